"""Feature services: whether what they serve is logged, and can be asked for as it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from skew_ext.linting.model import Hit, LintedRepo, Service
from skew_ext.linting.rule import Example, rule

MOST_NAMED: Final = 3

_STATS: Final = """
stats = FeatureView(
    name="stats", entities=[driver], ttl=timedelta(hours=3),
    schema=[Field(name="rating", dtype=Float64)], source=source,
)
"""
_MORE: Final = """
more = FeatureView(
    name="more", entities=[driver], ttl=timedelta(hours=3),
    schema=[Field(name="{name}", dtype={dtype})], source=source{online},
)
"""
_HALVES: Final = """
@on_demand_feature_view(
    sources=[stats], schema=[Field(name="half", dtype=Float64)], mode="python"
)
def halves(inputs):
    return {"half": [value and value / 2 for value in inputs["rating"]]}
"""
_LOGGING: Final = """
    logging_config=LoggingConfig(
        destination=FileLoggingDestination(path="data/log"){rate}
    ),"""
_SERVICE: Final = """
scoring = FeatureService(
    name="scoring", features={features},{logging}
)
"""


def _service(features: str, *, before: str = _STATS, rate: str = "", yaml: str = "", logged: bool = True) -> Example:
    logging = _LOGGING.format(rate=rate) if logged else ""
    return Example(before + _SERVICE.format(features=features, logging=logging), yaml=yaml)


_GOOD: Final = _service("[stats]")
_TWO: Final = _STATS + _MORE.format(name="trips", dtype="Int64", online="")
_SAME: Final = _STATS + _MORE.format(name="rating", dtype="Float64", online="")
_OFFLINE: Final = _STATS + _MORE.format(name="trips", dtype="Int64", online=", online=False")


def _logs(repo: LintedRepo) -> bool:
    return repo.settings.provider.endswith(".SkewProvider")


@rule(
    "SKW032",
    "not-logged",
    "warn",
    reason="""Nothing keeps what is served: Feast's Python SDK and `feast serve` log no feature, whatever
    logging_config a service has. What was served last week cannot be compared with training, nor trained on.""",
    remedy="set provider: skew_ext.SkewProvider, or serve through LoggedFeatureStore and ignore this rule",
    bad=_service("[stats]", yaml="provider: local"),
    good=_GOOD,
)
def not_logged(repo: LintedRepo) -> Iterator[Hit]:
    """There are services, and nothing logs what they serve."""
    if not repo.services or _logs(repo):
        return
    promised = [service.name for service in repo.services if service.sample_rate is not None]
    said = f"; the logging_config of {', '.join(promised)} is read by no Python code of Feast" if promised else ""
    yield Hit(repo.settings.line("provider"), f"provider {repo.settings.provider} logs nothing that is served{said}")


@rule(
    "SKW033",
    "logging-config-missing",
    "info",
    reason="""What the service serves is logged, but Feast does not know where: `feast monitor run --source-type log`
    and Feast's UI find a service's log by its logging_config, and so does a destination of type feast.""",
    remedy="give it logging_config=LoggingConfig(destination=...) with the folder or table of the log",
    bad=_service("[stats]", logged=False),
    good=_GOOD,
)
def logging_config_missing(repo: LintedRepo) -> Iterator[Hit]:
    """A service has no logging_config."""
    for service in repo.services if _logs(repo) else ():
        if service.sample_rate is None:
            yield Hit(service.subject, "has no logging_config: `feast monitor` does not find its log")


@rule(
    "SKW034",
    "sample-rate-ignored",
    "warn",
    reason="""No Python code of Feast reads the sample_rate of a LoggingConfig, so every lookup is logged, or none.
    The rate that holds is skew.sample_rate of feature_store.yaml, which keeps every lookup of a chosen key.""",
    remedy="set sample_rate under skew: in feature_store.yaml, and leave it out here",
    bad=_service("[stats]", rate=", sample_rate=0.1"),
    good=_GOOD,
)
def sample_rate_ignored(repo: LintedRepo) -> Iterator[Hit]:
    """A service's logging_config has a sample rate, which nothing reads."""
    for service in repo.services:
        if service.sample_rate is not None and service.sample_rate != 1.0:
            yield Hit(service.subject, f"sample_rate={service.sample_rate:g} of its logging_config is read by nothing")


@rule(
    "SKW035",
    "feature-name-collision",
    "warn",
    reason="""Two views of a service have a feature of one name. Asked for by short names, which is the default, Feast
    raises FeatureNameCollisionError, at training and at serving.""",
    remedy="rename one of them, or ask for the service with full_feature_names=True everywhere and ignore this rule",
    bad=_service("[stats, more]", before=_SAME),
    good=_service("[stats, more]", before=_TWO),
)
def feature_name_collision(repo: LintedRepo) -> Iterator[Hit]:
    """Two views of a service have a feature of one name."""
    for service in repo.services:
        for name, views in _collisions(service).items():
            yield Hit(service.subject, f"{' and '.join(views)} both have it: only full_feature_names=True works", name)


def _collisions(service: Service) -> dict[str, list[str]]:
    views: dict[str, list[str]] = {}
    for projection in service.projections:
        for feature in projection.features:
            views.setdefault(feature, []).append(projection.alias)
    return {name: found for name, found in views.items() if len(found) > 1}


@rule(
    "SKW036",
    "full-names-lose-features",
    "fail",
    reason="""The service can only be asked for with full_feature_names=True, since names collide in it. Under full
    names Feast leaves the outputs of python-mode on-demand views out of its online response, and has them in
    training. Shared transforms are python-mode views.""",
    remedy="rename the colliding feature, so that short names work; or give the on-demand view a service of its own",
    bad=_service("[stats, more, halves]", before=_SAME + _HALVES),
    good=_service("[stats, more, halves]", before=_TWO + _HALVES),
)
def full_names_lose_features(repo: LintedRepo) -> Iterator[Hit]:
    """A service needs full feature names, under which Feast does not serve its python-mode outputs."""
    modes = {view.name: view.mode for view in repo.on_demand}
    for service in repo.services:
        lost = [view.alias for view in service.projections if modes.get(view.view) == "python"]
        if lost and _collisions(service):
            yield Hit(service.subject, f"needs full names, under which {', '.join(lost)} is trained on and not served")


@rule(
    "SKW037",
    "offline-view-served",
    "fail",
    reason="""A view with online=False is never materialized. A service that has it is trained on its values, and at
    serving the lookup fails (SQLite: no such table) or gives null.""",
    remedy="set online=True, or take the view out of the service",
    bad=_service("[stats, more]", before=_OFFLINE),
    good=_service("[stats, more]", before=_TWO),
)
def offline_view_served(repo: LintedRepo) -> Iterator[Hit]:
    """A service has a view that is not online."""
    for service in repo.services:
        for projection in service.projections:
            view = repo.view(projection.view)
            if view is not None and not view.online and view.variety != "label view":
                yield Hit(
                    service.subject, f"{projection.alias} has online=False: it is trained on and cannot be served"
                )


@rule(
    "SKW038",
    "inputs-not-logged",
    "info",
    reason="""The audit recomputes an on-demand view from the inputs that were logged with it, so that a stale input
    is not blamed on the transform. Inputs that are not in the service are not served, so not logged, and the view's
    outputs cannot be audited.""",
    remedy="add the inputs to the service; where it needs only some of a view: sources=[stats[['rating']]]",
    bad=_service("[halves]", before=_STATS + _HALVES),
    good=_service("[stats, halves]", before=_STATS + _HALVES),
)
def inputs_not_logged(repo: LintedRepo) -> Iterator[Hit]:
    """A service has an on-demand view, and not the features it is computed from."""
    computed = {view.name: view for view in repo.on_demand}
    for service in repo.services:
        given = {(view.view, feature) for view in service.projections for feature in view.features}
        for projection in service.projections:
            view = computed.get(projection.view)
            inputs = () if view is None else ((i.view, c.name) for i in view.inputs for c in i.columns)
            missing = [f"{source}:{name}" for source, name in inputs if (source, name) not in given]
            if len(missing) > MOST_NAMED:
                missing[MOST_NAMED - 1 :] = [f"{len(missing) - MOST_NAMED + 1} more"]
            if missing:
                yield Hit(
                    service.subject, f"{projection.alias} is computed from {', '.join(missing)}, not in the service"
                )
