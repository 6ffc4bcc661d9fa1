"""The ways to run a transform without Feast, and their comparison to the bit."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from skew_ext.errors import TransformError
from skew_ext.transform.checking.findings import Finding, FoundError
from skew_ext.transform.contract import Contract
from skew_ext.transform.reading import read_column
from skew_ext.transform.types import Column, ColumnType
from skew_ext.transform.writing import to_arrow, to_python

Row = Mapping[str, Any]
Results = list[dict[str, Any]]

ROW: Final = "row"
_NULLABLE: Final = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}


def by_row(contract: Contract, rows: Sequence[Row]) -> Results:
    """Compute each row alone, as serving does."""
    return [contract.on_row(row) for row in rows]


def as_columns(contract: Contract, rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Give rows as a mapping of columns of Python values."""
    return {name: [row[name] for row in rows] for name in contract.input_types}


def as_table(contract: Contract, rows: Sequence[Row]) -> pa.Table:
    """Give rows as an Arrow table of the declared types; NaN stays NaN, None is null."""
    columns = as_columns(contract, rows)
    return pa.table({name: _arrow(columns[name], kind, name) for name, kind in contract.input_types.items()})


def _arrow(values: list[Any], kind: ColumnType, name: str) -> pa.Array:
    if kind.dtype.kind == "f":
        return pa.array(values, type=kind.arrow)
    return to_arrow(read_column(values, kind, name), kind)


def _in_columns(contract: Contract, rows: Sequence[Row]) -> Results:
    return results(contract, contract.on_batch(as_columns(contract, rows)))


def _in_table(contract: Contract, rows: Sequence[Row]) -> Results:
    return results(contract, contract.on_batch(as_table(contract, rows)))


def _in_frame(contract: Contract, rows: Sequence[Row]) -> Results:
    frame = as_table(contract, rows).to_pandas(types_mapper=_NULLABLE.get)
    return results(contract, contract.on_batch(frame))


BATCHES: Final[Mapping[str, Callable[[Contract, Sequence[Row]], Results]]] = {
    "dict": _in_columns,
    "pyarrow": _in_table,
    "pandas": _in_frame,
}


def results(contract: Contract, batch: Any) -> Results:
    """Give the outputs in a container as rows of Python values."""
    columns = {name: to_python(_read(batch[name], kind, name), kind) for name, kind in contract.output_types.items()}
    length = len(next(iter(columns.values())))
    return [{name: column[row] for name, column in columns.items()} for row in range(length)]


def _read(values: Any, kind: ColumnType, name: str) -> Column:
    return read_column(values, kind, f"output {name!r}")


def bits(value: Any) -> Any:
    """Give what two values have in common exactly if they are the same to the bit; NaN is null, whatever its bits."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [bits(item) for item in value]
    if isinstance(value, float):
        return "nan" if value != value else struct.pack(">d", value)  # noqa: PLR0124 - only NaN is unlike itself
    return type(value).__name__, repr(value)


def unlike(expected: Row, found: Row) -> str:
    """Say the first output in which two rows differ, or nothing."""
    for name, value in expected.items():
        if name not in found:
            return f"{name} is missing"
        if bits(value) != bits(found[name]) and not (_is_null(value) and _is_null(found[name])):
            return f"{name} is {found[name]!r}, and by the row {value!r}"
    return ""


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124 - only NaN is unlike itself


def compare(contract: Contract, rows: Sequence[Row]) -> None:
    """Run rows in every container, in another order, and again.

    Raises
    ------
    FoundError
        The transform fails, or two of the ways differ.
    """
    expected = _tried(contract, by_row, rows)
    _same(expected, _tried(contract, by_row, rows), rows, "not_repeatable", "")
    for name, run in BATCHES.items():
        found = _tried(contract, run, rows)
        _same(found, _tried(contract, run, rows), rows, "not_repeatable", "")
        if len(found) == len(rows) and any(map(unlike, expected, found)):
            _why(contract, rows, expected, name)
        _same(expected, found, rows, "path_mismatch", f"{name}: ")
    turned = _tried(contract, _in_columns, rows[::-1])[::-1]
    _same(expected, turned, rows, "order_dependence", "")


def _why(contract: Contract, rows: Sequence[Row], expected: Results, name: str) -> None:
    """Tell a batch that differs from a container that does: alone in the container, each row is as it should be."""
    run = BATCHES[name]
    alone = [_tried(contract, run, [row])[0] for row in rows]
    if any(map(unlike, expected, alone)):
        return
    together = _tried(contract, run, rows)
    turned = _tried(contract, run, rows[::-1])[::-1]
    place = next(row for row in range(len(rows)) if unlike(expected[row], together[row]))
    by_order = any(map(unlike, together, turned))
    detail = f"row {place} of a batch of {len(rows)}: {unlike(expected[place], together[place])}"
    raise FoundError(Finding("order_dependence" if by_order else "batch_dependence", detail, "", tuple(rows)))


def _same(expected: Results, found: Results, rows: Sequence[Row], code: str, prefix: str) -> None:
    for row, (wanted, got) in enumerate(zip(expected, found, strict=True)):
        if said := unlike(wanted, got):
            shown = rows if code == "order_dependence" else [rows[row]]
            raise FoundError(Finding(code, f"{prefix}{said}", "", tuple(shown)))


def _tried(contract: Contract, run: Callable[[Contract, Sequence[Row]], Results], rows: Sequence[Row]) -> Results:
    try:
        return run(contract, rows)
    except TransformError as error:
        empty = "" if rows else "on an empty batch: "
        text = str(error).removeprefix(f"{contract.reference} ").removeprefix(f"{contract.reference}: ")
        code = "input_mutation" if "read-only" in text else "error"
        raise FoundError(Finding(code, f"{empty}{text}", "", tuple(rows))) from None
