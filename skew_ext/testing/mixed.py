"""Two faults in one cell: the wrong row, and a job that changes its values on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from skew_ext.testing.fault import Fault
from skew_ext.testing.row_faults import ROW_FAULTS, Restated, TimestampShift
from skew_ext.testing.value_faults import VALUE_FAULTS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np

    from skew_ext.testing.timeline import Timeline
    from skew_ext.testing.value_faults import ValueFault
    from skew_ext.testing.views import Row, SyntheticView

AND: Final = "+"
"""Stands between the names of two faults that befall the same cells: `stale_online+rescaled`."""
WHATEVER_VALUE: Final = ("future_served", "expired_served")
"""Causes of a row that should not have been served at all, whatever became of its values."""


class Mixed(Fault):
    """A row's fault and a value's fault at once.

    What is true of a cell is the fault that a repair must begin with, since nothing of the other can be seen before:
    that of the value where the job changed it, as no row has what was served; that of the row where it did not, and
    where the row should not have been served at all, or its right value is in no source any more.
    """

    def __init__(
        self,
        pair: tuple[type[Fault], type[ValueFault]],
        view: SyntheticView,
        times: Timeline,
        random: np.random.Generator,
    ) -> None:
        super().__init__(view, times, random)
        self._row, self._value = pair[0](view, times, random), pair[1](view, times, random)
        gone = isinstance(self._row, Restated) and self._row.in_place
        self._hides_values = gone or self._row.cause in WHATEVER_VALUE
        self.cause = f"{self._row.cause}{AND}{self._value.cause}"

    def fits(self) -> bool:
        """Only where both can happen."""
        return self._row.fits() and self._value.fits()

    def cause_of(self, feature: str, changed: frozenset[str], served: Collection[str]) -> str:
        """Give the value's fault for what the job changed, else the row's."""
        told = self._row if self._hides_values or feature not in changed else self._value
        return told.cause_of(feature, changed, served)

    def source(self, rows: list[Row]) -> list[Row]:
        """Let the row's fault happen."""
        return self._row.source(rows)

    def written(self, rows: Sequence[Row], tick: int) -> Row | None:
        """Write the wrong row, changed."""
        row = self._row.written(rows, tick)
        return row if row is None or tick < self._value.since else self._value.applied(row, rows)

    def evicts(self, tick: int) -> bool:
        """Let the row's fault happen."""
        return self._row.evicts(tick)

    def afterwards(self, rows: list[Row]) -> list[Row]:
        """Let the row's fault happen."""
        return self._row.afterwards(rows)


MIXABLE: Final[tuple[tuple[type[Fault], ...], tuple[type[ValueFault], ...]]] = (
    # A value of another time has no row at its event time to be measured by.
    tuple(fault for fault in ROW_FAULTS if fault is not TimestampShift),
    VALUE_FAULTS,
)
"""The faults of rows, and those of values, that may stand before and after a `+`."""
