"""Feast values to Arrow: every primitive, list and set type exactly; what does not fit is refused, never changed."""

from __future__ import annotations

import math
import struct
from typing import Any

import pyarrow as pa
import pytest
from feast.protos.feast.types.Value_pb2 import Int64List, Map, Null, Value
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType
from hypothesis import given
from hypothesis import strategies as st

from skew_ext.log.values import UnexpectedValueError, arrow_type, to_arrow

int32, int64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
double, single = st.floats(allow_nan=True), st.floats(width=32, allow_nan=True)
CASES = [
    ("INT32", "int32_val", int32),
    ("INT64", "int64_val", int64),
    ("DOUBLE", "double_val", double),
    ("FLOAT", "float_val", single),
    ("BOOL", "bool_val", st.booleans()),
    ("STRING", "string_val", st.text()),
    ("BYTES", "bytes_val", st.binary()),
    ("UNIX_TIMESTAMP", "unix_timestamp_val", st.integers(-(2**40), 2**40)),
    ("DECIMAL", "decimal_val", st.decimals(allow_nan=False, allow_infinity=False).map(str)),
    ("UUID", "uuid_val", st.uuids().map(str)),
    ("JSON", "json_val", st.text()),
]


def bits(value: Any) -> Any:
    """Give a value in which NaN equals itself and -0.0 is not 0.0."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, list):
        return [bits(one) for one in value]
    return value


def raw(array: pa.Array, value_type: str) -> list[Any]:
    """Give an array as Python values, timestamps as their seconds."""
    if value_type.startswith("UNIX_TIMESTAMP"):
        array = array.cast(pa.int64()) if pa.types.is_timestamp(array.type) else array.cast(pa.list_(pa.int64()))
    return list(array.to_pylist())


@pytest.mark.parametrize(("value_type", "field", "values"), CASES, ids=[case[0] for case in CASES])
def test_scalars_are_exact(value_type: str, field: str, values: st.SearchStrategy[Any]) -> None:
    @given(st.lists(st.none() | values, max_size=20))
    def exact(plain: list[Any]) -> None:
        served = [Value() if one is None else Value(**{field: one}) for one in plain]
        array = to_arrow(served, value_type)
        assert array.type == arrow_type(value_type)
        assert bits(raw(array, value_type)) == bits(plain)

    exact()


@pytest.mark.parametrize("value_type", [f"{case[0]}_{kind}" for case in CASES for kind in ("LIST", "SET")])
def test_lists_and_sets_are_exact(value_type: str) -> None:
    base, _, kind = value_type.rpartition("_")
    values = next(case[2] for case in CASES if case[0] == base)
    field = f"{base.lower()}_{kind.lower()}_val"

    @given(st.lists(st.none() | st.lists(values, max_size=5), max_size=6))
    def exact(plain: list[Any]) -> None:
        served = []
        for one in plain:
            value = Value()
            if one is not None:
                content = getattr(value, field)
                content.SetInParent()
                content.val.extend(one)
            served.append(value)
        assert bits(raw(to_arrow(served, value_type), value_type)) == bits(plain)

    if hasattr(Value(), field):
        exact()
    else:
        assert value_type == "JSON_SET"  # the only pair that Feast has no value for


def test_a_map_is_kept_as_feasts_own_bytes() -> None:
    value = Value(map_val=Map(val={"a": Value(double_val=-0.0)}))
    array = to_arrow([value, Value()], "MAP")
    assert Value.FromString(array[0].as_py()) == value
    assert array[1].as_py() is None


def test_an_explicit_null_is_null() -> None:
    assert to_arrow([Value(null_val=Null.NULL)], "DOUBLE").to_pylist() == [None]


def test_request_data_widens_only_where_nothing_is_lost() -> None:
    (whole,) = python_values_to_proto_values([3], ValueType.UNKNOWN)
    assert to_arrow([whole], "DOUBLE").to_pylist() == [3.0]
    with pytest.raises(UnexpectedValueError, match="int64_val was served where double_val is declared"):
        to_arrow([Value(int64_val=2**53 + 1)], "DOUBLE")
    with pytest.raises(UnexpectedValueError, match="string_val was served"):
        to_arrow([Value(string_val="3")], "INT64")


def test_a_null_time_of_feasts_is_null() -> None:
    null = -(2**63)
    served = [Value(unix_timestamp_val=5), Value(unix_timestamp_val=null), Value()]
    assert raw(to_arrow(served, "UNIX_TIMESTAMP"), "UNIX_TIMESTAMP") == [5, None, None]
    listed = Value(unix_timestamp_list_val=Int64List(val=[1, null]))
    assert raw(to_arrow([listed], "UNIX_TIMESTAMP_LIST"), "UNIX_TIMESTAMP_LIST") == [[1, None]]
