"""Stores: what the chosen offline and online stores do to the rows of every view."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from skew_ext.linting.model import Hit, LintedRepo
from skew_ext.linting.rule import Example, rule
from skew_ext.linting.stores import DASK, DUCKDB, RAY, REMOTE, REPEATING, SQLITE, TEMPLATED

_STATS: Final = """
stats = FeatureView(
    name="stats", entities=[driver], ttl=timedelta(hours=3),
    schema=[Field(name="{name}", dtype=Float64)], source={source},
)
"""
_RATING: Final = _STATS.format(name="rating", source="source")
_ROWS: Final = """
rows = RedshiftSource(
    name="rows", table="stats", timestamp_field="event_timestamp"{created}
)
"""
_TABLE: Final = _ROWS.format(created=',\n    created_timestamp_column="created",') + _STATS.format(
    name="rating", source="rows"
)


@rule(
    "SKW026",
    "offline-store-loses-rows",
    "warn",
    reason="""Feast's dask store, its default, leaves a row out of a training set when the value of one of its views
    has expired, however many others have one (289 of 10,000 rows in one run). It makes one row of entity rows that
    are equal, and sorts ties in no fixed order. The ray store ignores TTLs and makes one row of equal ones too. A
    model is then trained on other rows than were asked for.""",
    remedy="use another offline store: duckdb reads the same files and keeps every row",
    bad=Example(_RATING, yaml="offline_store: {type: dask}"),
    good=Example(_RATING, yaml="offline_store: {type: duckdb}"),
)
def offline_store_loses_rows(repo: LintedRepo) -> Iterator[Hit]:
    """The offline store drops rows of a training set, or uses expired values."""
    done = {
        DASK: "drops rows for which a value has expired, and makes equal entity rows one",
        RAY: "ignores TTLs, and makes equal entity rows one",
    }
    if repo.feature_views and repo.settings.offline in done:
        message = f"the offline store {repo.settings.offline} {done[repo.settings.offline]}"
        yield Hit(repo.settings.line("offline_store"), message)


@rule(
    "SKW027",
    "offline-store-repeats-rows",
    "warn",
    reason="""Feast's SQL template joins the latest event time back to the source's rows. Where a key has two rows of
    that event time, the training row comes out twice. A created timestamp column decides between them, unless that is
    equal too.""",
    remedy="name a created_timestamp_column in the sources, or make (key, event time) unique",
    bad=Example(_ROWS.format(created="") + _STATS.format(name="rating", source="rows"), yaml="offline_store: redshift"),
    good=Example(_TABLE, yaml="offline_store: redshift"),
)
def offline_store_repeats_rows(repo: LintedRepo) -> Iterator[Hit]:
    """The offline store repeats training rows for views whose source has no created timestamp."""
    if repo.settings.offline not in REPEATING:
        return
    for view in repo.feature_views:
        if view.source is not None and not view.source.created_column:
            yield Hit(
                view.subject, f"{repo.settings.offline} repeats a training row when two source rows tie in event time"
            )


@rule(
    "SKW028",
    "composite-key-without-separator",
    "warn",
    reason="""Feast's SQL template names a training row by the texts of its join keys, one after the other, with
    nothing between them. ("1", "11") and ("11", "1") are then one row, and each gets the other's values. Keys of a
    fixed length cannot meet so: then ignore this rule with a tag on the view.""",
    remedy="join on one key that holds both with a separator; or ignore it where the keys have a fixed length",
    bad=Example(
        """
city = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)
"""
        + _TABLE.replace("[driver]", "[driver, city]"),
        yaml="offline_store: redshift",
    ),
    good=Example(_TABLE, yaml="offline_store: redshift"),
)
def composite_key_without_separator(repo: LintedRepo) -> Iterator[Hit]:
    """A view has several join keys, on an offline store that runs their texts together."""
    if repo.settings.offline not in TEMPLATED:
        return
    for view in repo.feature_views:
        if len(view.entities) > 1:
            keys = " and ".join(repr(name) for name in view.entities)
            yield Hit(view.subject, f"{repo.settings.offline} runs the texts of {keys} together: (1, 11) is (11, 1)")


@rule(
    "SKW029",
    "duckdb-feature-name",
    "fail",
    reason="""Feast's DuckDB store takes a column whose name ends in `_y` for the duplicate that its join makes, and
    drops it: training raises IbisTypeError, 'Column is not found in table'.""",
    remedy="rename the feature, for instance with the source's field_mapping",
    bad=Example(_STATS.format(name="rating_y", source="source"), columns={"rating_y": "double"}),
    good=Example(_RATING),
)
def duckdb_feature_name(repo: LintedRepo) -> Iterator[Hit]:
    """On the DuckDB store, a feature's name ends in `_y`."""
    if repo.settings.offline != DUCKDB:
        return
    for view in repo.feature_views:
        for feature in view.features:
            if feature.name.endswith("_y"):
                yield Hit(view.subject, "ends in _y: the duckdb store drops the column", feature.name, feature.tags)


@rule(
    "SKW030",
    "sqlite-in-production",
    "warn",
    reason="""Feast's SQLite store is a file of one machine: other servers do not see what is materialized here. It
    overwrites newer values with older ones, keeps event times in whole seconds, and reads them in the process's own
    time zone.""",
    remedy="use a server, such as Redis; or correct skew.environment",
    bad=Example(_RATING, yaml="skew: {environment: production}"),
    good=Example(_RATING, yaml="skew: {environment: development}"),
)
def sqlite_in_production(repo: LintedRepo) -> Iterator[Hit]:
    """The environment is production, and the online store is SQLite."""
    skew = repo.settings.skew if isinstance(repo.settings.skew, dict) else {}
    environment = str(skew.get("environment", ""))
    if repo.settings.online == SQLITE and environment.lower() in ("production", "prod"):
        message = f"skew.environment is {environment}, and the online store is a SQLite file"
        yield Hit(repo.settings.line("online_store"), message)


@rule(
    "SKW031",
    "remote-online-store",
    "warn",
    reason="""The remote online store asks a feature server over HTTP, and the event times do not come back with the
    values. What is logged on this side cannot be checked for staleness or expiry.""",
    remedy="log at the feature server: give its repo the provider skew_ext.SkewProvider",
    bad=Example(_RATING, yaml="online_store: {type: remote, path: 'http://localhost:6566'}"),
    good=Example(_RATING),
)
def remote_online_store(repo: LintedRepo) -> Iterator[Hit]:
    """The online store is a remote feature server, which gives values without their event times."""
    if repo.settings.online == REMOTE:
        yield Hit(repo.settings.line("online_store"), "the remote online store gives values without their event times")
