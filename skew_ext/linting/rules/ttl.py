"""TTLs: what training takes for expired, and what serving goes on serving."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from skew_ext.baseline.plan import MATERIALIZE_EVERY_TAG, parse_interval
from skew_ext.clock import duration_text
from skew_ext.linting.model import Hit, LintedRepo, View
from skew_ext.linting.rule import Example, rule
from skew_ext.linting.stores import KEY_TTL_OPTION, TEMPLATED

LOOKBACK_TAG = "skew.lookback"
FOR_EVER = timedelta(days=3653)
"""From here on a TTL is none: nothing that is older than ten years is still there to expire."""
SLACK = timedelta(minutes=30)
"""How late a materialization may be beside its interval before values expire."""

_STATS = """
stats = FeatureView(
    name="stats", entities=[driver], ttl={ttl},
    schema=[Field(name="rating", dtype=Float64)], source=source,{tags}
)
"""


def _view(ttl: str, yaml: str = "", **tags: str) -> Example:
    written = "".join(f'"skew.{name}": "{value}", ' for name, value in tags.items()).removesuffix(", ")
    return Example(_STATS.format(ttl=ttl, tags=f"\n    tags={{{written}}}," if tags else ""), yaml)


def _said(span: timedelta) -> str:
    return duration_text(span.total_seconds())


def _tagged(view: View, tag: str) -> timedelta | None:
    return parse_interval(view.subject.tags.get(tag, ""))


@rule(
    "SKW001",
    "ttl-missing",
    "warn",
    reason="""Feast takes a TTL of zero, its default, as 'never expires'. A key whose rows stop coming is trained on
    and served with its last value for ever, however old, and nothing tells that value from a fresh one.""",
    remedy="give the view a ttl: the longest that a value still means something",
    bad=_view("timedelta(0)"),
    good=_view("timedelta(hours=3)"),
)
def ttl_missing(repo: LintedRepo) -> Iterator[Hit]:
    """A feature view has no TTL, or one of more than ten years, so its values never expire."""
    for view in repo.feature_views:
        if view.ttl is None:
            yield Hit(view.subject, "has no TTL: values of any age are trained on and served")
        elif view.ttl > FOR_EVER:
            yield Hit(view.subject, f"has a TTL of {view.ttl.days:,} days: values of any age are trained on and served")


@rule(
    "SKW002",
    "ttl-below-look-back",
    "warn",
    reason="""A value that sums up a look-back window (tag `skew.lookback`) holds until its window has passed, and
    what serving has may be one materialization interval (tag `skew.materialize_every`) old on top of that. With a TTL
    below the sum, training gets null for values that serving still serves, since Feast's online reads honour no
    TTL.""",
    remedy="make the ttl at least the look-back and the materialization interval together",
    bad=_view("timedelta(hours=6)", lookback="6h", materialize_every="1h"),
    good=_view("timedelta(hours=8)", lookback="6h", materialize_every="1h"),
)
def ttl_below_look_back(repo: LintedRepo) -> Iterator[Hit]:
    """A view's TTL is shorter than its look-back and its materialization interval together."""
    for view in repo.feature_views:
        window, every = _tagged(view, LOOKBACK_TAG), _tagged(view, MATERIALIZE_EVERY_TAG)
        if view.ttl and window and every and view.ttl < window + every:
            needed = f"look-back {_said(window)} + interval {_said(every)} = {_said(window + every)}"
            yield Hit(view.subject, f"ttl {_said(view.ttl)} is shorter than {needed}")


@rule(
    "SKW003",
    "ttl-below-two-intervals",
    "warn",
    reason="""One materialization that fails or is late leaves the online store with values two intervals old. If the
    TTL is shorter than two intervals and half an hour of slack, those values are past it: serving goes on serving
    them, and training gets null for the same keys and times.""",
    remedy="make the ttl at least 2 intervals + 30 min, or materialize more often",
    bad=_view("timedelta(hours=2)", materialize_every="1h"),
    good=_view("timedelta(hours=3)", materialize_every="1h"),
)
def ttl_below_two_intervals(repo: LintedRepo) -> Iterator[Hit]:
    """A view's TTL is shorter than two of its materialization intervals and half an hour."""
    for view in repo.feature_views:
        every = _tagged(view, MATERIALIZE_EVERY_TAG)
        if view.ttl and every and view.ttl < 2 * every + SLACK:
            needed = f"2 intervals of {_said(every)} + {_said(SLACK)} = {_said(2 * every + SLACK)}"
            yield Hit(view.subject, f"ttl {_said(view.ttl)} is shorter than {needed}")


@rule(
    "SKW004",
    "ttl-truncated",
    "fail",
    reason="""Offline stores that fill Feast's SQL template (PostgreSQL, Spark, BigQuery, Redshift, Snowflake, Athena,
    Trino, ClickHouse, Couchbase) take a TTL as whole seconds: 1.5 s becomes 1 s, and anything below a second becomes
    0, which means 'never expires'.""",
    remedy="make the ttl a whole number of seconds, at least one",
    bad=_view("timedelta(milliseconds=500)", "offline_store: redshift"),
    good=_view("timedelta(seconds=1)", "offline_store: redshift"),
)
def ttl_truncated(repo: LintedRepo) -> Iterator[Hit]:
    """A view's TTL has a fraction of a second, on an offline store that drops it."""
    if repo.settings.offline not in TEMPLATED:
        return
    for view in repo.feature_views:
        if view.ttl and view.ttl.microseconds:
            seconds = view.ttl // timedelta(seconds=1)
            taken = f"{seconds} s" if seconds else "0, which never expires"
            yield Hit(view.subject, f"ttl {_said(view.ttl)} is taken as {taken} by {repo.settings.offline}")


@rule(
    "SKW005",
    "key-ttl-below-view-ttl",
    "fail",
    reason="""With `key_ttl_seconds`, Redis drops a whole entity, all its feature views, so long after the entity was
    last written. Where that is shorter than a view's TTL, serving loses values that training still uses: a key that
    has no new rows is served null.""",
    remedy="make key_ttl_seconds longer than the longest ttl of the views, or leave it out",
    bad=Example(
        _view("timedelta(days=2)").python,
        yaml="online_store: {type: redis, connection_string: 'localhost:6379', key_ttl_seconds: 86400}",
    ),
    good=Example(
        _view("timedelta(days=2)").python,
        yaml="online_store: {type: redis, connection_string: 'localhost:6379', key_ttl_seconds: 259200}",
    ),
)
def key_ttl_below_view_ttl(repo: LintedRepo) -> Iterator[Hit]:
    """The online store expires keys before a view's TTL has passed."""
    option = KEY_TTL_OPTION.get(repo.settings.online, "")
    seconds = repo.settings.online_options.get(option)
    if not isinstance(seconds, int) or seconds <= 0:
        return
    for view in repo.feature_views:
        if view.online and (view.ttl is None or view.ttl > timedelta(seconds=seconds)):
            held = "values that never expire" if view.ttl is None else f"its ttl is {_said(view.ttl)}"
            yield Hit(view.subject, f"{option} drops keys after {duration_text(seconds)}, and {held}")
