"""Columns as the statistics see them: their kind, and numeric values sorted once for all that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Arrow: TypeAlias = pa.Array | pa.ChunkedArray
Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]
Kind = Literal["numeric", "categorical", "boolean", "other"]


@dataclass(frozen=True, eq=False)
class NumericColumn:
    """A numeric column, sorted.

    The rule for what is not an ordinary number: null is absent and is only counted; NaN is a value, but has no
    place in an order, and is only counted; the infinities are ordered like any value, and are left out of what
    sums (`finite`). Values are float64: integers over 2**53 are rounded to it, which no distribution shows.
    """

    values: Floats
    """Rising, infinities included, NaN not."""
    nulls: int
    nans: int

    @classmethod
    def of(cls, column: Arrow) -> NumericColumn:
        """Sort the values of a numeric Arrow column."""
        present = decoded(column).drop_null().cast(pa.float64(), safe=False)
        ordered: Floats = np.sort(np.asarray(present, dtype=np.float64))
        numbers = int(np.searchsorted(ordered, np.nan))
        return cls(ordered[:numbers], nulls=column.null_count, nans=len(ordered) - numbers)

    @property
    def finite(self) -> Floats:
        """The values without the infinities: a view, not a copy."""
        start = np.searchsorted(self.values, -np.inf, side="right")
        stop = np.searchsorted(self.values, np.inf, side="left")
        return self.values[start:stop]


def decoded(column: Arrow) -> Arrow:
    """Give a dictionary-encoded column as its values; any other column as it is."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def kind_of(reference: Arrow, served: Arrow) -> Kind:
    """Give the kind that both columns share; a column without any value takes the other one's kind.

    Columns of two kinds (numbers set against strings) are "other": their values cannot share bins.
    """
    columns = (reference, served)
    with_values = [column for column in columns if column.null_count < len(column)]
    kinds = {_kind(column.type) for column in with_values or columns}
    return kinds.pop() if len(kinds) == 1 else "other"


def _kind(arrow_type: Any) -> Kind:
    value_type = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
    if pa.types.is_boolean(value_type):
        return "boolean"
    if pa.types.is_integer(value_type) or pa.types.is_floating(value_type) or pa.types.is_decimal(value_type):
        return "numeric"
    if any(is_text(value_type) for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)):
        return "categorical"
    return "other"
