"""`provider: skew_ext.SkewProvider`: every lookup of every process that loads the repo is logged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from feast.infra.passthrough_provider import PassthroughProvider

from skew_ext.serving.capture import Capture, Lookup
from skew_ext.serving.guard import TransformGuard
from skew_ext.serving.retrieval import checked_retrieval
from skew_ext.settings import SkewSettings, settings_from

if TYPE_CHECKING:
    from feast.infra.offline_stores.offline_store import RetrievalJob
    from feast.online_response import OnlineResponse
    from feast.repo_config import RepoConfig


class LookupLogger:
    """What the provider and the wrapped store share: the guard before a lookup, the capture after it.

    `after(lookup, response)` logs what was served, and never raises.
    """

    def __init__(self, settings: SkewSettings) -> None:
        self.settings = settings
        self.guard = TransformGuard(settings.on_transform_mismatch, settings.spool)
        self.capture = Capture(settings, self.guard)
        self.after = self.capture.record

    def before(self, lookup: Lookup) -> None:
        """Refuse, or warn of, a transform that is not the registered one; TransformError if it refuses."""
        try:
            schema = self.capture.plan(lookup).schema
        except Exception:  # noqa: BLE001 - a request that Feast cannot resolve either gets Feast's own error
            return
        if schema.transforms:
            self.guard.check(schema, lookup.registry)


def repo_settings(config: RepoConfig, **overrides: Any) -> SkewSettings:
    """Read the `skew:` block of a loaded feature_store.yaml; SettingsError if it does not fit."""
    path = Path(config.repo_path or Path.cwd())
    return settings_from(getattr(config, "skew", None), path, project=config.project, **overrides)


class SkewProvider(PassthroughProvider):
    """Feast's own provider, with the lookups logged.

    Named in feature_store.yaml it works under the Python SDK, sync and async, and under a stock `feast serve`,
    since Feast itself makes the provider.

    Raises
    ------
    SettingsError
        The `skew:` block of feature_store.yaml has an unknown or wrong setting.
    """

    def __init__(self, config: RepoConfig) -> None:
        super().__init__(config)
        self.lookups = LookupLogger(repo_settings(config))

    def get_online_features(  # noqa: PLR0913 - the parameters are those of Feast's Provider
        self,
        config: RepoConfig,
        features: Any,
        entity_rows: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002
        *args: Any,
        **kwargs: Any,
    ) -> OnlineResponse:
        """Serve as Feast does, and log what was served. Arguments and result are Feast's."""
        lookup = Lookup(features, entity_rows, registry, project, full_feature_names)
        self.lookups.before(lookup)
        response = super().get_online_features(
            config, features, entity_rows, registry, project, full_feature_names, *args, **kwargs
        )
        self.lookups.after(lookup, response)
        return response

    async def get_online_features_async(  # noqa: PLR0913 - the parameters are those of Feast's Provider
        self,
        config: RepoConfig,
        features: Any,
        entity_rows: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002
        *args: Any,
        **kwargs: Any,
    ) -> OnlineResponse:
        """Serve as Feast does, and log what was served. Arguments and result are Feast's."""
        lookup = Lookup(features, entity_rows, registry, project, full_feature_names)
        self.lookups.before(lookup)
        response = await super().get_online_features_async(
            config, features, entity_rows, registry, project, full_feature_names, *args, **kwargs
        )
        self.lookups.after(lookup, response)
        return response

    def get_historical_features(self, *args: Any, **kwargs: Any) -> RetrievalJob:
        """Retrieve as Feast does, with the transforms checked as at serving. Arguments and result are Feast's."""
        return checked_retrieval(super().get_historical_features(*args, **kwargs), self.lookups.guard)
