"""Source rows of one key and one event time: where nothing says which of them training uses, a match says little.

Cells that differ are set against every such row (`auditor/verifying.py`). A cell that matches agrees with the row that
the store gave this time, and where nothing orders them it may give another one to the training job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skew_ext.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    Times = npt.NDArray[np.int64]


def tied_rows(keys: Times, events: Times, created: Times | None) -> int:
    """Count the rows that share key and event time with another, and the created time where there is one."""
    columns = [column for column in (created, events, keys) if column is not None]
    order = np.lexsort(columns)
    same = np.ones(max(len(keys) - 1, 0), dtype=bool)
    for column in columns:
        same &= np.diff(column[order]) == 0
    return int((np.append(same, False) | np.append(False, same)).sum()) if len(keys) else 0


def tie_findings(view: str, times: tuple[Times, Times, Times | None], *, unordered: bool = False) -> Iterable[Finding]:
    """Give a finding where nothing says which of two rows of a view's source counts.

    `times` are the rows' key codes, event and created times; `unordered` says that the store heeds no created time.
    """
    keys, events, created = times
    tied = tied_rows(keys, events, None if unordered else created)
    if not tied:
        return
    shared = "key and event time" if unordered or created is None else "key, event time and created time"
    why = "the offline store does not order them" if unordered else "nothing orders them"
    message = (
        f"{tied:,} of {len(keys):,} source rows share their {shared} with another one, and {why}: where their values "
        "differ, training may use either, and a cell that matches may not match the next time"
    )
    remedy = "write corrections over the rows that they correct, or with a created time that is later"
    yield Finding("source_ties", "info", view, None, message, remedy)
