"""On-demand views and other transformations: whether the same code runs, on the same inputs, on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from skew_ext.linting.functions import missing_names, unrepeatable_calls
from skew_ext.linting.model import Function, Hit, LintedRepo, OnDemandView, Subject
from skew_ext.linting.rule import Example, rule
from skew_ext.linting.stores import RUNS_BATCH_TRANSFORMS
from skew_ext.transform.installed import installed_fingerprint
from skew_ext.transform.registered import FINGERPRINT_TAG, TRANSFORM_TAG

_STATS: Final = """
stats = FeatureView(
    name="stats", entities=[driver], ttl=timedelta(hours=3),
    schema=[Field(name="rating", dtype=Float64)], source=source,
)
"""
_SHARED: Final = """
from shared import halved

halves = halved.on_demand_feature_view(name="halves", sources=[stats])
"""
_PANDAS: Final = """
@on_demand_feature_view(sources=[stats], schema=[Field(name="half", dtype=Float64)])
def halves(inputs):
    return pd.DataFrame({"half": %s})
"""
_PYTHON: Final = """
@on_demand_feature_view(
    sources=[stats], schema=[Field(name="half", dtype=Float64)], mode="python"%s
)
def halves(inputs):
    return {"half": %s}
"""
_SHARED_GOOD: Final = Example(_STATS + _SHARED)
_BAD_PANDAS: Final = Example(_STATS + _PANDAS % 'inputs["rating"] / 2')
_ROWS: Final = '[value and value / 2 for value in inputs["rating"]]'


def _own_functions(repo: LintedRepo) -> Iterator[tuple[Subject, Function]]:
    """Give the on-demand views' functions that are written in the repo: a shared transform's text is generated."""
    for view in repo.on_demand:
        if view.function is not None and TRANSFORM_TAG not in view.subject.tags:
            yield view.subject, view.function


def _shared(view: OnDemandView) -> str | None:
    return view.subject.tags.get(TRANSFORM_TAG)


@rule(
    "SKW018",
    "on-demand-not-shared",
    "info",
    reason="""The function stands in the Feast repo alone. Pipelines that compute the same feature have a copy of it,
    and `feast apply` sees an edit of its own text only, not of what it calls or of a library. A shared transform is
    one function for both, with a fingerprint over all that it uses, which serving compares and the log keeps.""",
    remedy="write it as a @feature_transform in your library, and use its on_demand_feature_view(...)",
    bad=_BAD_PANDAS,
    good=_SHARED_GOOD,
)
def not_shared(repo: LintedRepo) -> Iterator[Hit]:
    """An on-demand view is not made from a shared transform."""
    for view in repo.on_demand:
        if _shared(view) is None:
            yield Hit(view.subject, "is not made from a shared transform: nothing tells when its code changes")


@rule(
    "SKW019",
    "on-demand-pandas",
    "info",
    reason="""In pandas mode a value depends on the rows that it is asked with: one null among them makes a column of
    whole numbers floats, so the function sees 5 alone and 5.0 beside a null. And a DataFrame is built at every
    lookup, which costs about 3 ms where python mode costs 0.2 ms.""",
    remedy='use a shared transform, or mode="python"',
    bad=_BAD_PANDAS,
    good=Example(_STATS + _PYTHON % ("", _ROWS)),
)
def pandas_mode(repo: LintedRepo) -> Iterator[Hit]:
    """An on-demand view runs in pandas mode."""
    for view in repo.on_demand:
        if view.mode == "pandas":
            yield Hit(view.subject, "runs in pandas mode: a DataFrame is built at every lookup")


@rule(
    "SKW020",
    "on-demand-singleton",
    "fail",
    reason="""With singleton=True Feast calls the function with the first row alone at serving: a lookup of several
    entities gets one output for all of them. In training it calls it with the lists of all rows, where what works on
    one value raises.""",
    remedy="leave singleton out, and compute over lists",
    bad=Example(_STATS + _PYTHON % (", singleton=True", 'inputs["rating"] / 2')),
    good=Example(_STATS + _PYTHON % ("", _ROWS)),
)
def singleton(repo: LintedRepo) -> Iterator[Hit]:
    """An on-demand view is a singleton."""
    for view in repo.on_demand:
        if view.singleton:
            yield Hit(
                view.subject, "is a singleton: only the first entity of a lookup is computed, and training raises"
            )


@rule(
    "SKW021",
    "on-demand-aggregation",
    "fail",
    reason="""An aggregation with a time window raises at serving ('Time window aggregation is not supported in online
    serving'); without one, its feature is left out of the online response. Training fails with an AssertionError
    either way.""",
    remedy="aggregate in the pipeline that writes the source",
    bad=Example(
        _STATS
        + """
totals = OnDemandFeatureView(
    name="totals", sources=[stats], entities=[driver],
    schema=[Field(name="sum_rating", dtype=Float64)],
    aggregations=[Aggregation(column="rating", function="sum", time_window=timedelta(hours=1))],
)
"""
    ),
    good=_SHARED_GOOD,
)
def aggregation(repo: LintedRepo) -> Iterator[Hit]:
    """An on-demand view aggregates."""
    for view in repo.on_demand:
        if view.aggregations:
            yield Hit(view.subject, f"aggregates ({', '.join(view.aggregations)}), which serving cannot")


@rule(
    "SKW022",
    "on-demand-missing-name",
    "fail",
    reason="""Feast rebuilds the function by executing its registered text, with pandas and numpy at hand and nothing
    else. A helper, a constant or an import of its module is not there: `feast apply` passes, and the first lookup,
    and the first training job, raise NameError. In pandas mode an annotation with such a name (DataFrame for
    pd.DataFrame) raises as soon as the registry is read, for every view in it.""",
    remedy="import what it needs inside its body, or use a shared transform",
    bad=Example(_STATS + "\nDIVISOR = 2\n\n" + _PANDAS % 'inputs["rating"] / DIVISOR'),
    good=Example(_STATS + _PANDAS % 'inputs["rating"] / 2'),
)
def missing_name(repo: LintedRepo) -> Iterator[Hit]:
    """An on-demand function uses a name that is gone once it is registered."""
    for subject, function in _own_functions(repo):
        names = missing_names(function.text, annotated=function.mode == "pandas")
        if names:
            yield Hit(
                subject, f"uses {', '.join(map(repr, names))}, which Feast does not find when it rebuilds the function"
            )


@rule(
    "SKW023",
    "unrepeatable",
    "fail",
    reason="""A function that asks a clock, or draws at random without a seed, gives one value when a request is
    served and another when the same row is trained on, months later.""",
    remedy="make the time an argument (request data, or a column of the source); draw nothing at random",
    bad=Example(_STATS + _PANDAS % 'inputs["rating"] * pd.Timestamp.now().hour'),
    good=Example(_STATS + _PANDAS % 'inputs["rating"] * 24'),
)
def unrepeatable(repo: LintedRepo) -> Iterator[Hit]:
    """A transformation asks a clock, or draws at random."""
    stored = [(view.subject, view.function) for view in repo.feature_views if view.function is not None]
    for subject, function in (*_own_functions(repo), *stored):
        calls = unrepeatable_calls(function.text)
        if calls:
            yield Hit(subject, f"calls {', '.join(f'{call}()' for call in calls)}: training cannot get what was served")


@rule(
    "SKW024",
    "transform-not-registered",
    "fail",
    reason="""The installed shared transform is not the one that was registered: serving runs what is installed, and
    the log, the audit and other processes go by what is registered. Only what is registered can be checked for it
    (--registry, or an open store): in the repo's files the fingerprint is always the installed one.""",
    remedy="run `feast apply`, or install the version of the library that was applied",
    bad=Example(_STATS + _SHARED + "\nhalves.tags['skew.fingerprint'] = 'of an older version'\n"),
    good=_SHARED_GOOD,
)
def transform_not_registered(repo: LintedRepo) -> Iterator[Hit]:
    """A shared transform's installed fingerprint is not the registered one."""
    for view in repo.on_demand if repo.origin == "registry" else ():
        reference = _shared(view)
        if reference is None:
            continue
        installed, registered = installed_fingerprint(reference), view.subject.tags.get(FINGERPRINT_TAG, "nothing")
        if installed is None:
            yield Hit(view.subject, f"{reference} cannot be imported here: serving here would fail")
        elif installed != registered:
            yield Hit(view.subject, f"{reference} is {installed[:12]} here, and {registered[:12]} registered")


@rule(
    "SKW025",
    "batch-transform-not-in-training",
    "fail",
    reason="""Feast runs a feature view's transformation when it materializes. In get_historical_features only the
    Spark and Ray stores run it; all others hand out the source's columns as they are. The same feature was 150.0
    served and 1.5 trained on.""",
    remedy="transform in the pipeline that writes the source (f.on_batch), and make it a plain feature view",
    bad=Example("""
@batch_feature_view(
    name="stats", entities=[driver], mode="pandas", ttl=timedelta(hours=3), online=True,
    schema=[Field(name="rating", dtype=Float64)], source=source,
)
def stats(frame):
    frame["rating"] = frame["rating"] * 100
    return frame
"""),
    good=Example(_STATS),
)
def batch_transform_not_in_training(repo: LintedRepo) -> Iterator[Hit]:
    """A feature view has a transformation that its offline store skips in training."""
    if repo.settings.offline in RUNS_BATCH_TRANSFORMS:
        return
    for view in repo.feature_views:
        if view.function is not None and view.variety == "feature view" and not view.derived:
            store = repo.settings.offline
            yield Hit(view.subject, f"its transformation runs at materialize, and not in training on {store}")
