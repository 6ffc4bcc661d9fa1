"""Historical retrieval with the shared transforms checked, and run on Arrow columns instead of Python lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skew_ext.transform.on_demand import on_arrow_columns

if TYPE_CHECKING:
    from feast.infra.offline_stores.offline_store import RetrievalJob

    from skew_ext.serving.guard import TransformGuard


def checked_retrieval(job: RetrievalJob, guard: TransformGuard) -> RetrievalJob:
    """Give a retrieval job back, once its on-demand views are checked.

    Raises
    ------
    TransformError
        An installed function is not the registered one and `on_transform_mismatch` is `raise`.
    """
    try:
        views = job.on_demand_feature_views
    except NotImplementedError:  # a job that knows of none, as a saved dataset's in some stores
        return job
    guard.check_views(views or ())
    if isinstance(views, list):
        # In place: the job computes with the list that it gives.
        views[:] = [on_arrow_columns(view) for view in views]
    return job
