"""What the features of a view tell of each other: a clock that is off moves whole rows.

A feature of few values may fit any shift, and alone it is no evidence. But the job that takes one time zone for another
writes all features of a row so. Where the feature beside it shows by how much, it may be asked whether it fits too.
It may be the only one that differs of its row: then the row's event time is asked too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from skew_ext.audit.causes.cells import nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from skew_ext.audit.causes.cells import DifferingCells, Mask
    from skew_ext.audit.causes.hypotheses import Hypothesis

    Causes = npt.NDArray[np.object_]

SHIFTED: Final = "timestamp_shift"


def shifted_rows(
    columns: Sequence[DifferingCells],
    causes: Sequence[Causes],
    shifts: Iterable[Hypothesis],
    unexplained: str,
) -> list[Causes]:
    """Give the causes of a view's differing cells, with a shift claimed by whole rows.

    `columns` are the cells of each feature, `shifts` the shifts that are believed of any of them. A row is shifted
    where one feature's own cells say so, or its event time does, and most of the cells that no other cause explains
    fit. Then all that fit are; and where most do not, it was a coincidence, and none is.
    """
    told = [found.copy() for found in causes]
    for one in told:
        one[one == SHIFTED] = unexplained
    for shift in shifts:
        open_cells = [np.flatnonzero(one == unexplained) for one in told]
        some = [cells.take(places) for cells, places in zip(columns, open_cells, strict=True)]
        fitting = [_asked(shift.fits, cells) for cells in some]
        own = [found[places] == SHIFTED for found, places in zip(causes, open_cells, strict=True)]
        sure = [_asked(shift.alone, cells) | one for cells, one in zip(some, own, strict=True)]
        shifted = _agreed(columns, open_cells, fitting, sure)
        for one, cells, places, mask in zip(told, columns, open_cells, fitting, strict=True):
            one[places[mask & shifted[_rows(cells)[places]]]] = SHIFTED
    return told


def _asked(which: Callable[[DifferingCells], Mask] | None, cells: DifferingCells) -> Mask:
    return which(cells) if which is not None and len(cells) else nothing(cells)


def _agreed(
    columns: Sequence[DifferingCells],
    open_cells: Sequence[npt.NDArray[np.int64]],
    fitting: Sequence[Mask],
    sure: Sequence[Mask],
) -> Mask:
    """Say of each of the view's rows whether it is shifted."""
    count = max((int(_rows(cells).max(initial=-1)) for cells in columns), default=-1) + 1
    asked, agree, told = (np.zeros(count, dtype=np.int64) for _ in range(3))
    for cells, places, fits, certain in zip(columns, open_cells, fitting, sure, strict=True):
        rows = _rows(cells)[places]
        np.add.at(asked, rows, 1)
        np.add.at(agree, rows[fits], 1)
        np.add.at(told, rows[fits & certain], 1)
    return np.asarray((told > 0) & (2 * agree > asked), dtype=bool)


def _rows(cells: DifferingCells) -> npt.NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64) if cells.evidence is None else cells.evidence.numbers
