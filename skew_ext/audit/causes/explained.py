"""Each differing cell with its cause, for whoever asks: an audit itself keeps counts and a few examples."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = ["request_id", "row", "feature", "cause", "served_at", "served_event", "served", "baseline"]


class ExplainedCells:
    """The differing cells of the audits that ran in a block of `explained_cells`."""

    def __init__(self) -> None:
        self._parts: list[dict[str, Any]] = []

    def add(self, cells: dict[str, Any]) -> None:
        """Take the differing cells of one feature, by `COLUMNS`."""
        self._parts.append(cells)

    def frame(self) -> pd.DataFrame:
        """Give the cells, a row for each.

        `row` is the place in the request, `feature` as in the log (`view__feature`); `served` and `baseline` are Python
        values; times are UTC, `served_event` is NaT where nothing was served.
        """
        columns = {name: [value for part in self._parts for value in part[name]] for name in COLUMNS}
        frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
        times = {name: pd.to_datetime(frame[name], utc=True) for name in ("served_at", "served_event")}
        return frame.assign(row=frame["row"].astype("int64"), **times)


_listener: ContextVar[ExplainedCells | None] = ContextVar("skew_ext_explained_cells", default=None)

listener = _listener.get
"""Gives who wants the differing cells of an audit that runs now; None for nobody."""


@contextmanager
def explained_cells() -> Iterator[ExplainedCells]:
    """Collect each differing cell of the audits inside the block, with its cause.

    They are held in memory, all of them: for tests, and for a look at a small window.

    Examples
    --------
    >>> with explained_cells() as cells:  # doctest: +SKIP
    ...     SkewAuditor("feature_repo").run_audit("scoring", start, end)
    >>> cells.frame().groupby(["feature", "cause"]).size()  # doctest: +SKIP
    """
    cells = ExplainedCells()
    token = _listener.set(cells)
    try:
        yield cells
    finally:
        _listener.reset(token)
