"""A small real model, which tells whether a flight will arrive 15 minutes late or more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from skew_ext.demo.repo import quiet
from skew_ext.demo.world import REQUEST

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore

Floats = npt.NDArray[np.float64]


def point_in_time(store: FeatureStore, service: FeatureService, lookups: pd.DataFrame) -> pa.Table:
    """Give the features of the lookups as training sees them: Feast's point-in-time retrieval, in the lookups' order.

    The features are named `view__feature`.
    """
    # The row's number goes through as a column of ours, since a store need not keep the order; and a copy goes in,
    # since DuckDB's retrieval changes the frame that it is given.
    entities = lookups[[*REQUEST, "event_timestamp"]].assign(row=np.arange(len(lookups)))
    with quiet():
        job = store.get_historical_features(entity_df=entities, features=service, full_feature_names=True)
        return job.to_arrow().sort_by("row").drop_columns(["row"])


class DelayModel:
    """Gradient boosting over all features of the service; null is a value of its own to it.

    Parameters
    ----------
    service
        Whose features the model takes.
    """

    def __init__(self, service: FeatureService) -> None:
        views = service.feature_view_projections
        self.features = [f"{view.name_to_use()}__{feature.name}" for view in views for feature in view.features]
        self._short = [name.split("__", 1)[1] for name in self.features]
        self._model = HistGradientBoostingClassifier(random_state=0)

    def fit(self, table: pa.Table, late: pd.Series[float]) -> None:
        """Learn from point-in-time features and whether each flight came late (1.0) or not (0.0)."""
        self._model.fit(self._matrix([table[name].to_pylist() for name in self.features]), late.to_numpy())

    def scores(self, table: pa.Table) -> Floats:
        """Give each row's probability of coming late."""
        return self._score(self._matrix([table[name].to_pylist() for name in self.features]))

    def score(self, response: Mapping[str, Sequence[Any]]) -> float:
        """Give the probability for the one row of an online response's dict."""
        return float(self._score(self._matrix([response[name] for name in self._short]))[0])

    def _score(self, matrix: Floats) -> Floats:
        scores: Floats = self._model.predict_proba(matrix)[:, 1]
        return scores

    @staticmethod
    def _matrix(columns: Sequence[Sequence[Any]]) -> Floats:
        matrix: Floats = np.array(columns, dtype=np.float64).T
        return matrix


def one_thread() -> AbstractContextManager[Any]:
    """Give a block in which the model uses one thread.

    Over a single row, threads cost more than all the arithmetic; and where the processors are busy with other work,
    OpenMP's threads wait for each other by spinning, which makes seconds of training into minutes.
    """
    limits: AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limits


def auc(late: pd.Series[float], scores: pd.Series[float]) -> float:
    """Give the area under the ROC curve, over the flights that arrived."""
    arrived = late.notna()
    return float(roc_auc_score(late[arrived], scores[arrived]))
