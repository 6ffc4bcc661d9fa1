"""Why a cell differs: one small unit for each cause, tried in the order of the table; the first that fits names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skew_ext.audit.causes import availability, staleness, transforms, values

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from skew_ext.audit.causes.cells import DifferingCells

UNEXPLAINED = "unexplained"
CAUSES: tuple[tuple[str, Callable[[DifferingCells], npt.NDArray[np.bool_]]], ...] = (
    ("future_served", availability.future_served),
    ("expired_served", availability.expired_served),
    ("restated", staleness.restated),
    ("late_arrival", staleness.late_arrival),
    ("stale_online", staleness.stale_online),
    ("missing_online", availability.missing_online),
    ("rescaled", values.rescaled),
    ("transform_version", transforms.transform_version),
    ("transform_divergence", transforms.transform_divergence),
)
"""Every cause in the order in which it is tried. A test of a cell is a counterfactual: would this have served it?"""


def attribute(cells: DifferingCells) -> npt.NDArray[np.object_]:
    """Give each differing cell of one feature its cause: the first whose counterfactual reproduces what was served."""
    causes = np.full(len(cells), UNEXPLAINED, dtype=object)
    for name, reproduces in CAUSES:
        open_cells = np.flatnonzero(causes == UNEXPLAINED)
        if not len(open_cells):
            break
        causes[open_cells[reproduces(cells.take(open_cells))]] = name
    return causes
