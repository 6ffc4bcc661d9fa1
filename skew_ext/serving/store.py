"""`LoggedFeatureStore`: a FeatureStore whose lookups are logged, for repos that keep their own provider."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from feast import FeatureStore

from skew_ext.serving.capture import Lookup
from skew_ext.serving.context import current, request_context
from skew_ext.serving.provider import LookupLogger, SkewProvider, repo_settings
from skew_ext.serving.retrieval import checked_retrieval

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from feast import FeatureService
    from feast.infra.offline_stores.offline_store import RetrievalJob
    from feast.online_response import OnlineResponse


class LoggedFeatureStore(FeatureStore):
    """A `feast.FeatureStore` that logs every online lookup exactly as it was served.

    Parameters
    ----------
    repo_path, config, fs_yaml_file
        As for `feast.FeatureStore`.
    model_name, model_version, environment
        Logged with every lookup of this store; over the `skew:` settings, under `request_context`.

    Notes
    -----
    On a repo whose provider is `skew_ext.SkewProvider` the provider logs, and each lookup is logged once.
    """

    def __init__(  # noqa: PLR0913 - Feast's parameters and ours, all but the first by name
        self,
        repo_path: str | None = None,
        *,
        config: Any = None,
        fs_yaml_file: Path | None = None,
        model_name: str | None = None,
        model_version: str | None = None,
        environment: str | None = None,
        **feast_arguments: Any,
    ) -> None:
        super().__init__(repo_path=repo_path, config=config, fs_yaml_file=fs_yaml_file, **feast_arguments)
        self._labels = {"model_name": model_name, "model_version": model_version, "environment": environment}
        self._lookups = LookupLogger(repo_settings(self.config, **self._labels))

    def get_online_features(
        self,
        features: list[str] | FeatureService,
        entity_rows: Any,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
        include_feature_view_version_metadata: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
        *,
        request_id: str | None = None,
    ) -> OnlineResponse:
        """Serve as Feast does, and log it. `response.request_id` tells the id that it is logged under."""
        arguments = (features, entity_rows, full_feature_names, include_feature_view_version_metadata)
        with self._context(request_id):
            lookup = self._lookup_to_log(features, entity_rows, full_feature_names=full_feature_names)
            if lookup is None:
                return super().get_online_features(*arguments)
            self._lookups.before(lookup)
            response = super().get_online_features(*arguments)
            self._lookups.after(lookup, response)
            return response

    async def get_online_features_async(
        self,
        features: list[str] | FeatureService,
        entity_rows: Any,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
        include_feature_view_version_metadata: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
        *,
        request_id: str | None = None,
    ) -> OnlineResponse:
        """Serve as Feast does, and log it; see `get_online_features`."""
        arguments = (features, entity_rows, full_feature_names, include_feature_view_version_metadata)
        with self._context(request_id):
            lookup = self._lookup_to_log(features, entity_rows, full_feature_names=full_feature_names)
            if lookup is None:
                return await super().get_online_features_async(*arguments)
            self._lookups.before(lookup)
            response = await super().get_online_features_async(*arguments)
            self._lookups.after(lookup, response)
            return response

    def get_historical_features(self, *args: Any, **kwargs: Any) -> RetrievalJob:
        """Retrieve as Feast does, with the transforms checked as at serving. Arguments and result are Feast's."""
        job = super().get_historical_features(*args, **kwargs)
        return job if isinstance(self._get_provider(), SkewProvider) else checked_retrieval(job, self._lookups.guard)

    @property
    def transform_mismatches(self) -> dict[str, int]:
        """How many lookups and retrievals of this process met a transform that is not the registered one, by view."""
        provider = self._get_provider()
        lookups = provider.lookups if isinstance(provider, SkewProvider) else self._lookups
        return lookups.guard.mismatches.totals()

    def _context(self, request_id: str | None) -> AbstractContextManager[Any]:
        outer = current()
        labels: dict[str, Any] = {
            name: value for name, value in self._labels.items() if value and getattr(outer, name) is None
        }
        if request_id is None and not labels:
            return nullcontext()
        return request_context(request_id=request_id, **labels)

    def _lookup_to_log(self, features: Any, entity_rows: Any, *, full_feature_names: bool) -> Lookup | None:
        if isinstance(self._get_provider(), SkewProvider):
            return None
        return Lookup(features, entity_rows, self.registry, self.project, full_feature_names)
