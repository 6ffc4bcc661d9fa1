"""Values of Python and numpy through the messages of the log and back: whatever comes, to the bit."""

from __future__ import annotations

import json
import math
import struct
from datetime import timezone
from typing import Any

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given

from skew_ext.log.decode import Entry, decode
from skew_ext.log.opaque import is_opaque, opened
from skew_ext.log.union import MIXED, union
from skew_ext.serving.record import Record
from skew_ext.serving.row import RowMaker

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
INT64 = st.integers(-(2**63), 2**63 - 1)
SCALARS: list[st.SearchStrategy[Any]] = [
    st.none(),
    st.booleans(),
    INT64,
    st.floats(),
    TEXT,
    st.binary(),
    st.datetimes(timezones=st.sampled_from([timezone.utc])),
]
LISTS = [st.lists(each) for each in SCALARS[1:]]
MIXED_LISTS = st.lists(st.one_of(*SCALARS[:-1]))
ARRAYS = st.one_of(
    *(
        arrays.arrays(dtype, st.integers(0, 9))
        for dtype in (np.float32, np.float64, np.float16, np.int8, np.int32, np.int64, np.uint32, np.bool_)
    )
)


def bits(value: Any) -> Any:
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    return [bits(each) for each in value] if isinstance(value, list) else (type(value), value)


def invalid(column: str, error: Exception) -> None:
    raise AssertionError(f"{column}: {error}")


def logged(*values: Any, maker: RowMaker | None = None) -> pa.Table:
    """Give the rows that these values of one feature make, read as the log reads them."""
    maker = maker or RowMaker(invalid)
    tables = []
    for place, value in enumerate(values):
        row = maker.make("_inference", "inference", {"k": 1}, [("x", value)], 5)
        schema = row.schema("p")
        constants = json.dumps(["", "", "", ""]).encode()
        record = Record(5, schema.hash.encode(), b"r", constants, b"", row.response())
        tables.append(decode([Entry("w", place, 1, record)], schema))
    return union(tables)


def read(table: pa.Table) -> list[Any]:
    values: list[Any] = table["inference__x"].to_pylist()
    if is_opaque(table.schema.field("inference__x")):
        return [None if value is None else opened(value) for value in values]
    return values


@given(st.one_of(*SCALARS, *LISTS, MIXED_LISTS))
@example([False, 0, 0.0])
def test_any_value_is_read_back_as_it_was(value: Any) -> None:
    expected = value
    if isinstance(value, list) and {type(each) for each in value} == {int, float}:
        # A list of integers and fractions is one of doubles, unless an integer would not be the same.
        fits = all(int(float(each)) == each for each in value if isinstance(each, int))
        expected = [float(each) for each in value] if fits else value
    assert bits(read(logged(value))) == bits([expected])


@given(ARRAYS)
def test_any_array_is_read_back_as_it_was(array: Any) -> None:
    table = logged(array)
    (back,) = read(table)
    assert bits(back) == bits(array.tolist())
    element = table["inference__x"].type.value_type.to_pandas_dtype()
    assert np.array_equal(np.array(back, dtype=element), array, equal_nan=array.dtype.kind == "f")
    assert np.can_cast(array.dtype, element)


@given(st.lists(st.one_of(*SCALARS[:4]), min_size=2, max_size=6))
def test_numbers_in_any_order_stay_what_they_are(values: list[Any]) -> None:
    table = logged(*values)
    back = table["inference__x"].to_pylist()
    assert [each is None for each in back] == [each is None for each in values]
    there = [each for each in values if each is not None]
    if pa.types.is_string(table["inference__x"].type):
        types = table.schema.field("inference__x").metadata[MIXED].decode().split(", ")
        assert len(types) > 1
        assert [float(each) for each in back if each not in (None, "True", "False")] == pytest.approx(
            [float(each) for each in there if not isinstance(each, bool)], rel=0, abs=0, nan_ok=True
        )
        return
    assert list(map(float, there)) == pytest.approx(
        [float(each) for each in back if each is not None], rel=0, abs=0, nan_ok=True
    )


@pytest.mark.parametrize(
    ("values", "arrow_type", "expected"),
    [
        ((None, 1), "int64", [None, 1]),
        ((1, 2.5, 3), "double", [1.0, 2.5, 3.0]),
        ((np.float32(0.1), 0.1), "double", [float(np.float32(0.1)), 0.1]),
        ((np.int8(1), 2), "int64", [1, 2]),
        ((2.5, 2**53 + 1), "string", ["2.5", str(2**53 + 1)]),
        ((True, 1), "string", ["True", "1"]),
        (("a", b"\xff"), "string", ["a", "ff"]),
        (([], [1.5]), "list<item: double>", [[], [1.5]]),
        (([], ["a"], []), "list<item: string>", [[], ["a"], []]),
        (([], "a"), "string", ["[]", "a"]),
        (([1.5], []), "list<item: double>", [[1.5], []]),
        (([1], [2.5]), "list<item: double>", [[1.0], [2.5]]),
    ],
)
def test_types_of_one_column_meet_where_nothing_is_lost(
    values: tuple[Any, ...], arrow_type: str, expected: list[Any]
) -> None:
    table = logged(*values)
    assert str(table["inference__x"].type).replace("element", "item") == arrow_type
    assert table["inference__x"].to_pylist() == expected
