"""Why a cell differs: one small unit for each cause, tried in the order of the table; the first that fits names it.

Some causes are counterfactuals of one cell: an older row, a row that came later. Others have a constant (a factor, a
shift, a default), which is learned from the cells that the first leave open and then tried on each: `hypotheses`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from skew_ext.audit.causes import availability, staleness, transforms
from skew_ext.audit.causes.coercion import type_coercion
from skew_ext.audit.causes.defaults import default_filled
from skew_ext.audit.causes.hypotheses import learned
from skew_ext.audit.causes.loads import LATE, one_load
from skew_ext.audit.causes.precision import precision
from skew_ext.audit.causes.scaling import rescaled
from skew_ext.audit.causes.shifting import timestamp_shift
from skew_ext.audit.causes.swapping import swapped_feature
from skew_ext.audit.causes.together import SHIFTED, shifted_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from skew_ext.audit.causes.cells import DifferingCells, Mask
    from skew_ext.audit.causes.hypotheses import Hypothesis, Proposer

UNEXPLAINED = "unexplained"
ROW_CAUSES: tuple[tuple[str, Callable[[DifferingCells], Mask]], ...] = (
    ("future_served", availability.future_served),
    ("expired_served", availability.expired_served),
    ("restated", staleness.restated),
    ("late_arrival", staleness.late_arrival),
    ("stale_online", staleness.stale_online),
    ("evicted_online", availability.evicted_online),
    ("missing_online", availability.missing_online),
)
"""Causes that are told cell by cell: would this have served it?"""
VALUE_CAUSES: tuple[tuple[str, Proposer], ...] = (
    ("precision", precision),
    ("type_coercion", type_coercion),
    ("default_filled", default_filled),
    ("timestamp_shift", timestamp_shift),
    ("rescaled", rescaled),
    ("swapped_feature", swapped_feature),
)
"""Causes with a constant, which is learned from the cells that no row explains."""
TRANSFORM_CAUSES: tuple[tuple[str, Callable[[DifferingCells], Mask]], ...] = (
    ("transform_version", transforms.transform_version),
    ("transform_divergence", transforms.transform_divergence),
)
CAUSES = (*(name for table in (ROW_CAUSES, VALUE_CAUSES, TRANSFORM_CAUSES) for name, _ in table), UNEXPLAINED)
"""Every cause, in the order in which it is tried."""


@dataclass(frozen=True)
class Attribution:
    """Each cell's cause, what is believed of those causes that have a constant, and the load that late rows came in."""

    causes: npt.NDArray[np.object_]
    believed: dict[str, list[Hypothesis]] = field(default_factory=dict)
    load: str = ""

    @property
    def constants(self) -> dict[str, str]:
        """What was learned of the causes, in words: their constants, and when rows were loaded that came late."""
        found = set(self.causes.tolist())
        said = {name: [one.says for one in some if one.says] for name, some in self.believed.items() if name in found}
        constants = {name: "; ".join(dict.fromkeys(says)) for name, says in said.items() if says}
        return constants | ({LATE: self.load} if self.load else {})


def attribute_view(columns: Sequence[DifferingCells]) -> list[Attribution]:
    """Give the differing cells of each of a view's features their causes, with what they tell of each other."""
    found = [attribute(cells) for cells in columns]
    shifts = {one.says: one for each in found for one in each.believed.get(SHIFTED, ())}
    if not shifts or len(columns) == 1:
        return found
    told = shifted_rows(columns, [one.causes for one in found], shifts.values(), UNEXPLAINED)
    believed = {SHIFTED: list(shifts.values())}
    return [
        replace(one, causes=causes, believed={**one.believed, **believed})
        for causes, one in zip(told, found, strict=True)
    ]


def attribute(cells: DifferingCells) -> Attribution:
    """Give each differing cell of one feature its cause: the first whose counterfactual reproduces what was served."""
    causes = np.full(len(cells), UNEXPLAINED, dtype=object)
    _claim(causes, cells, ROW_CAUSES)
    # Another function's output is no value that was changed on its way: it has no unit to be off by.
    _claim(causes, cells, TRANSFORM_CAUSES[:1])
    open_cells = np.flatnonzero(causes == UNEXPLAINED)
    believed = learned(cells.take(open_cells), VALUE_CAUSES) if len(open_cells) else {}
    _claim(causes, cells, [(name, one.fits) for name, _ in VALUE_CAUSES for one in believed.get(name, ())])
    _claim(causes, cells, TRANSFORM_CAUSES)
    return Attribution(causes, believed, one_load(cells, causes == LATE))


def _claim(
    causes: npt.NDArray[np.object_],
    cells: DifferingCells,
    table: Iterable[tuple[str, Callable[[DifferingCells], Mask]]],
) -> None:
    for name, reproduces in table:
        open_cells = np.flatnonzero(causes == UNEXPLAINED)
        if not len(open_cells):
            return
        causes[open_cells[reproduces(cells.take(open_cells))]] = name
