"""A view's TTL in practice: who had a value, serving or training, and how old the served ones were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from skew_ext.audit.causes.cells import NO_TIME
from skew_ext.audit.parity import lag_of
from skew_ext.model import ViewTtl

if TYPE_CHECKING:
    Mask = npt.NDArray[np.bool_]


def view_ttl(
    view: str,
    ttl: int | None,
    served_event: npt.NDArray[np.int64],
    served_at: npt.NDArray[np.int64],
    baseline_present: npt.NDArray[np.bool_],
) -> ViewTtl:
    """Sum up one view over the window's rows; times in microseconds, `NO_TIME` where nothing was served.

    The matrix sets rows served or absent online against rows inside (training has a value) or outside.
    """
    served: Mask = served_event != NO_TIME
    age = (served_at - served_event)[served]
    matrix: dict[str, Any] = {
        f"{here}_{there}": int((online & offline).sum())
        for here, online in (("served", served), ("absent", ~served))
        for there, offline in (("inside", baseline_present), ("outside", ~baseline_present))
    }
    return ViewTtl(
        view=view,
        ttl_seconds=None if ttl is None else ttl / 1e6,
        rows=len(served),
        matrix=matrix,
        staleness_seconds=lag_of(age),
        served_past_ttl=0 if ttl is None else int((age > ttl).sum()),
    )
