"""Every fault by the cause that describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from skew_ext.testing.lookup_faults import LOOKUP_FAULTS, LookupFault
from skew_ext.testing.mixed import AND, MIXABLE, Mixed
from skew_ext.testing.row_faults import ROW_FAULTS
from skew_ext.testing.value_faults import VALUE_FAULTS

if TYPE_CHECKING:
    import numpy as np

    from skew_ext.testing.fault import Fault
    from skew_ext.testing.timeline import Timeline
    from skew_ext.testing.views import SyntheticView

FAULTS: Final[dict[str, type[Fault]]] = {fault.cause: fault for fault in (*ROW_FAULTS, *VALUE_FAULTS)}
"""Faults of entity keys."""
LOOKUPS: Final[dict[str, type[LookupFault]]] = {fault.cause: fault for fault in LOOKUP_FAULTS}
"""Faults of lookups."""
PAIRS: Final = {f"{row.cause}{AND}{value.cause}": (row, value) for row in MIXABLE[0] for value in MIXABLE[1]}
"""Faults of entity keys, two at once: `stale_online+rescaled`."""


def made(name: str, view: SyntheticView, times: Timeline, random: np.random.Generator) -> Fault:
    """Make a fault of entity keys, or two at once, for a view."""
    if name in PAIRS:
        return Mixed(PAIRS[name], view, times, random)
    return FAULTS[name](view, times, random)
