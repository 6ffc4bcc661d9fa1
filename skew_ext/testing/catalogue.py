"""Every fault by the cause that describes it."""

from __future__ import annotations

from typing import Final

from skew_ext.testing.fault import Fault
from skew_ext.testing.lookup_faults import LOOKUP_FAULTS, LookupFault
from skew_ext.testing.row_faults import ROW_FAULTS
from skew_ext.testing.value_faults import VALUE_FAULTS

FAULTS: Final[dict[str, type[Fault]]] = {fault.cause: fault for fault in (*ROW_FAULTS, *VALUE_FAULTS)}
"""Faults of entity keys."""
LOOKUPS: Final[dict[str, type[LookupFault]]] = {fault.cause: fault for fault in LOOKUP_FAULTS}
"""Faults of lookups."""
