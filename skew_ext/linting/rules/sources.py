"""Sources: where the rows lie, which columns they have, and what their timestamps are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from skew_ext.linting.model import Hit, LintedRepo, Source, View
from skew_ext.linting.rule import Example, rule
from skew_ext.linting.stores import DUCKDB

_STATS = """
stats = FeatureView(
    name="stats", entities=[driver], ttl=timedelta(hours=3),
    schema=[Field(name="rating", dtype=Float64)], source=source,
)
"""
_STATS_OF = """
rows = FileSource(
    name="rows", path={path}, timestamp_field="event_timestamp"{created}
)
stats = FeatureView(
    name="stats", entities=[driver], ttl=timedelta(hours=3),
    schema=[Field(name="rating", dtype=Float64)], source=rows,
)
"""
_CREATED = ',\n    created_timestamp_column="created",'
_NAIVE, _NANOSECONDS = "timestamp[us]", "timestamp[ns, tz=UTC]"
_HERE = 'str(DATA / "stats.parquet")'


def _timestamps(source: Source) -> Iterator[tuple[str, pa.TimestampType]]:
    """Give the source's event and created columns that its Parquet holds as timestamps."""
    for column in (source.timestamp_field, source.created_column):
        kind = None if source.columns is None or not column else source.columns.type_of(source.stored(column))
        if kind is not None and pa.types.is_timestamp(kind):
            yield column, kind


@rule(
    "SKW006",
    "source-missing",
    "info",
    reason="""A file source names a path where nothing is on this machine. Feast finds that out only when it
    materializes or trains. Until then nothing of the source's columns could be checked here either: their types,
    their timestamps, their nulls.""",
    remedy="correct the path; where the data are elsewhere by design, lint again where they are",
    bad=Example(_STATS_OF.format(path='str(DATA / "nowhere.parquet")', created=_CREATED)),
    good=Example(_STATS_OF.format(path=_HERE, created=_CREATED)),
)
def source_missing(repo: LintedRepo) -> Iterator[Hit]:
    """A file source's path holds no Parquet that can be read here."""
    for source in repo.batch_sources.values():
        if source.file is not None and source.columns is None:
            reason = "cannot be read as Parquet" if source.file.exists() else "does not exist"
            yield Hit(source.subject, f"{source.path} {reason}: its columns were not checked")


@rule(
    "SKW007",
    "column-missing",
    "fail",
    reason="""A view asks its source for a column that is not there: `feast apply` accepts it, and materialization and
    training fail. A view with a transformation is not judged, since its features come out of that.""",
    remedy="correct the name, or map the source's column to it with the source's field_mapping",
    bad=Example(_STATS, columns={"rating": None}),
    good=Example(_STATS),
)
def column_missing(repo: LintedRepo) -> Iterator[Hit]:
    """A timestamp, join key or feature is not among the columns of the source."""
    for view in repo.views:
        if view.source is None or view.source.columns is None:
            continue
        names = view.source.columns.names
        for role, name in _wanted(repo, view):
            if name not in names and view.source.stored(name) not in names:
                place = f"{role} {name!r} is not a column of {view.source.path}"
                yield Hit(view.subject, place, name if role == "feature" else None)


def _wanted(repo: LintedRepo, view: View) -> Iterator[tuple[str, str]]:
    if view.source is not None:
        named = {"timestamp_field": view.source.timestamp_field}
        named["created_timestamp_column"] = view.source.created_column
        yield from ((role, name) for role, name in named.items() if name)
    if view.function is not None or view.derived:
        return
    for name in view.entities:
        entity = repo.entity(name)
        if entity is not None:
            yield "join key", entity.join_key
    for feature in view.features:
        yield "feature", feature.name


@rule(
    "SKW008",
    "created-timestamp-missing",
    "warn",
    reason="""Without a created time nobody can say what was known when. Training sees rows that came in late, which
    serving could not have had, and neither Feast's filter_by_created_timestamp nor the audit can take them out. And
    of two rows with the same event time the right one is anybody's guess.""",
    remedy="write the time at which a row came to be known, and name it in created_timestamp_column",
    bad=Example(_STATS_OF.format(path=_HERE, created="")),
    good=Example(_STATS_OF.format(path=_HERE, created=_CREATED)),
)
def created_timestamp_missing(repo: LintedRepo) -> Iterator[Hit]:
    """A source that a view is trained on has no created timestamp column."""
    for source in _feature_sources(repo):
        if not source.created_column:
            yield Hit(source.subject, "has no created_timestamp_column: late and corrected rows cannot be told apart")


def _feature_sources(repo: LintedRepo) -> list[Source]:
    names = {view.source.subject.name for view in repo.feature_views if view.source is not None}
    return [source for name, source in repo.batch_sources.items() if name in names]


@rule(
    "SKW009",
    "naive-timestamp",
    "warn",
    reason="""Feast takes a timestamp without a time zone as UTC. A pipeline that writes local time shifts every
    point-in-time join by the zone's offset, twice a year by another one, and no error is raised anywhere.""",
    remedy="write the column as timestamp[us, tz=UTC]",
    bad=Example(_STATS, columns={"event_timestamp": _NAIVE}),
    good=Example(_STATS),
)
def naive_timestamp(repo: LintedRepo) -> Iterator[Hit]:
    """A source's timestamps have no time zone."""
    for source in repo.batch_sources.values():
        for column, kind in _timestamps(source):
            if kind.tz is None:
                yield Hit(source.subject, f"{column} is {kind}, without a time zone: Feast takes it as UTC")


@rule(
    "SKW010",
    "nanosecond-timestamp",
    "fail",
    reason="""pandas writes nanoseconds unless told otherwise. DuckDB cannot cast such a timestamp with a time zone
    (TIMESTAMPTZ_NS) to the one that Feast asks for, so materialization raises a ConversionException.""",
    remedy='write microseconds: frame["event_timestamp"].astype("datetime64[us, UTC]")',
    bad=Example(_STATS, columns={"event_timestamp": _NANOSECONDS}),
    good=Example(_STATS),
)
def nanosecond_timestamp(repo: LintedRepo) -> Iterator[Hit]:
    """On the DuckDB store, a source's event timestamps are in nanoseconds."""
    if repo.settings.offline != DUCKDB:
        return
    for source in repo.batch_sources.values():
        for column, kind in _timestamps(source):
            if column == source.timestamp_field and kind.unit == "ns" and kind.tz is not None:
                yield Hit(source.subject, f"{column} is {kind}, which DuckDB cannot materialize")


@rule(
    "SKW011",
    "relative-path",
    "warn",
    reason="""Feast's dask store counts a relative path from the repo. Its DuckDB store counts it from wherever the
    process happens to be: the same repo trains in one folder, fails in another, and may read another file in a
    third.""",
    remedy="give the path from the file that defines it: str(Path(__file__).parent / 'data' / ...)",
    bad=Example(_STATS_OF.format(path='"data/stats.parquet"', created=_CREATED)),
    good=Example(_STATS_OF.format(path=_HERE, created=_CREATED)),
)
def relative_path(repo: LintedRepo) -> Iterator[Hit]:
    """On the DuckDB store, a source's path is relative."""
    if repo.settings.offline != DUCKDB:
        return
    for source in repo.batch_sources.values():
        if source.path and "://" not in source.path and not Path(source.path).is_absolute():
            yield Hit(source.subject, f"path {source.path!r} is relative: DuckDB counts it from the working folder")


@rule(
    "SKW012",
    "no-history",
    "warn",
    reason="""A view without a batch source can be pushed to and served, but has no past: get_historical_features
    raises for it. A training set can only be made of what was logged, and what it serves cannot be audited.""",
    remedy="give the view a batch source that holds its history, and push to online and offline",
    bad=Example("""
stats = FeatureView(
    name="stats", entities=[driver], ttl=timedelta(hours=3),
    schema=[Field(name="rating", dtype=Float64)],
)
"""),
    good=Example(_STATS),
)
def no_history(repo: LintedRepo) -> Iterator[Hit]:
    """A feature view has no batch source, so it cannot be trained on."""
    for view in repo.feature_views:
        if view.source is None:
            yield Hit(view.subject, "has no batch source: it can be served and not trained on")
