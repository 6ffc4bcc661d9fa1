"""The functions that aggregate a window: which types each takes, which it gives, and what an empty window is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

NUMERIC: Final = ("Float64", "Float32", "Int64", "Int32")
ANY: Final = (*NUMERIC, "Bool", "String", "UnixTimestamp")


@dataclass(frozen=True)
class Function:
    """One function: the column types that it takes, the type that it gives, and what an empty window gives.

    `output` is a type's name, or "same" (the column's) or "total" (Int64 of integers, Float64 of floats).
    """

    takes: tuple[str, ...]
    output: str
    empty: str = "null"

    def output_type(self, column: str | None) -> str:
        """Give the output's type for a column of type `column`."""
        if self.output == "same":
            return str(column)
        if self.output == "total":
            return "Int64" if str(column).startswith("Int") else "Float64"
        return self.output


FUNCTIONS: Final[Mapping[str, Function]] = {
    "count": Function(ANY, "Int64", "zero"),
    "sum": Function(NUMERIC, "total"),
    "mean": Function(NUMERIC, "Float64"),
    "min": Function(ANY, "same"),
    "max": Function(ANY, "same"),
    "count_distinct": Function(ANY, "Int64", "zero"),
    "first": Function(ANY, "same"),
    "last": Function(ANY, "same"),
}
