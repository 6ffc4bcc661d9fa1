"""Cell comparison: to the bit, within rounding, or different; nulls, NaN, -0.0 and types each by their rule."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType
from hypothesis import given
from hypothesis import strategies as st

from skew_ext.audit.cells import compare, mapped, plain

NAN = float("nan")


def kinds(served: pa.Array, baseline: pa.Array) -> str:
    """Give one letter a cell: same, rounding, different."""
    result = compare(served, baseline)
    assert not (result.same & result.rounding).any()
    return "".join(
        "s" if same else "r" if near else "d" for same, near in zip(result.same, result.rounding, strict=True)
    )


@pytest.mark.parametrize(
    ("served", "baseline", "kind", "expected"),
    [
        ([1.0, NAN, None, NAN, None], [1.0, NAN, None, None, NAN], pa.float64(), "sssdd"),
        ([0.0, 0.1 + 0.2, 1.0], [-0.0, 0.3, 1.1], pa.float64(), "rrd"),
        ([float("inf"), float("inf")], [float("inf"), float("-inf")], pa.float64(), "sd"),
        ([2**53 + 1, 1], [2**53, 1], pa.int64(), "ds"),
        (["a", None, ""], ["a", None, None], pa.string(), "ssd"),
        ([True, False], [True, True], pa.bool_(), "sd"),
        ([b"\0", b"x"], [b"\0", b"y"], pa.binary(), "sd"),
        ([[1.0, NAN], [1.0], None], [[1.0, NAN], [2.0], None], pa.list_(pa.float64()), "sds"),
    ],
)
def test_cells_of_one_type(served: list[Any], baseline: list[Any], kind: pa.DataType, expected: str) -> None:
    assert kinds(pa.array(served, kind), pa.array(baseline, kind)) == expected


def test_a_wider_source_differs_from_its_declared_type_by_rounding_only() -> None:
    assert kinds(pa.array([0.1, 0.5, 0.2], pa.float32()), pa.array([0.1, 0.5, 0.3], pa.float64())) == "rsd"


def test_integers_that_came_back_as_floats_are_the_same_where_they_are_whole() -> None:
    assert kinds(pa.array([3, 4, None], pa.int64()), pa.array([3.0, 4.5, None], pa.float64())) == "sds"


def test_what_the_served_type_cannot_hold_is_different() -> None:
    assert kinds(pa.array([1, 2], pa.int32()), pa.array([2**40, 2], pa.int64())) == "ds"
    assert kinds(pa.array([1, 2], pa.int64()), pa.array(["one", "2"], pa.string())) == "ds"


def test_timestamps_compare_across_units() -> None:
    moment = datetime(2026, 3, 1, tzinfo=timezone.utc)
    served = pa.array([moment, moment], pa.timestamp("s", "UTC"))
    baseline = pa.array([moment, moment.replace(microsecond=1)], pa.timestamp("us", "UTC"))
    assert kinds(served, baseline) == "sd"


def test_dictionary_and_large_types_are_plain_values() -> None:
    assert kinds(pa.array(["a", "b"]), pa.array(["a", "b"], pa.large_string()).dictionary_encode()) == "ss"


@given(st.lists(st.none() | st.floats(), max_size=30))
def test_a_column_equals_itself(values: list[float | None]) -> None:
    array = pa.array(values, pa.float64())
    assert compare(array, array).same.all()


@given(st.floats(1e-300, 1e300))
def test_rounding_is_a_few_units_in_the_last_place(value: float) -> None:
    near, far = float(value), float(value)
    for _ in range(4):
        near = float(np.nextafter(near, np.inf))
    for _ in range(9):
        far = float(np.nextafter(far, np.inf))
    assert kinds(pa.array([near, far]), pa.array([value, value])) == "rd"


def messages(*values: dict[str, Any] | None) -> pa.Array:
    """Give maps as the log keeps them: Feast's messages."""
    found = python_values_to_proto_values(list(values), ValueType.MAP)
    return pa.array(
        [None if value is None else each.SerializeToString() for value, each in zip(values, found, strict=True)]
    )


def test_sets_are_the_same_in_any_order() -> None:
    served, baseline = pa.array([["b", "a"], ["a"], None, []]), pa.array([["a", "b", "a"], ["b"], None, []])
    ordered = [plain(side, unordered=True) for side in (served, baseline)]
    assert kinds(ordered[0], ordered[1]) == "sdss"
    assert kinds(served, baseline) == "ddss"


def test_maps_are_the_same_entry_by_entry() -> None:
    served = messages({"b": 2.5, "a": "x"}, {"a": "x"}, {"a": None, "b": 1}, None)
    kind = pa.struct({"a": pa.string(), "b": pa.float64()})
    baseline = [{"a": "x", "b": 2.5}, {"a": "y"}, {"b": 1.0}, None]
    assert kinds(served, pa.array(baseline, kind)) == "sdss"


def test_arrow_maps_are_maps_too() -> None:
    baseline = pa.array([[("a", "1")], [("a", "2")]], pa.map_(pa.string(), pa.string()))
    assert kinds(messages({"a": "1"}, {"a": "1"}), baseline) == "sd"


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        (pa.array([1.5, None, -2.5]), pa.array([1.0, None, -2.0])),
        (pa.array([[1.5], None, []], pa.list_(pa.float64())), pa.array([[1.0], None, []], pa.list_(pa.float64()))),
        (pa.array([[0.5], [1.5, 2.5]]).slice(1), pa.array([[1.0, 2.0]])),
        (pa.array(["a"]), None),
    ],
)
def test_mapped_changes_numbers_and_lists_of_them(values: pa.Array, changed: pa.Array | None) -> None:
    assert mapped(values, np.trunc) == changed


def test_mapped_changes_timestamps_as_whole_microseconds() -> None:
    moments = pa.array([1_500_000, None], pa.timestamp("us", "UTC"))
    assert mapped(moments, lambda times: times // 1_000_000 * 1_000_000) == pa.array(
        [1_000_000, None], pa.timestamp("us", "UTC")
    )


@given(
    st.lists(st.none() | st.lists(st.none() | st.floats(width=32), max_size=4), max_size=12),
    st.lists(st.none() | st.lists(st.none() | st.floats(width=32), max_size=4), max_size=12),
)
def test_lists_compare_as_their_elements_do(left: list[Any], right: list[Any]) -> None:
    kind = pa.list_(pa.float64())
    pairs = list(zip(left, right, strict=False))
    served, baseline = (pa.array([pair[side] for pair in pairs], kind) for side in range(2))
    expected = []
    for ours, theirs in pairs:
        if ours is None or theirs is None or len(ours) != len(theirs):
            expected.append("s" if ours is theirs else "d")
        else:
            each = kinds(pa.array(ours, pa.float64()), pa.array(theirs, pa.float64()))
            expected.append("d" if "d" in each else "r" if "r" in each else "s")
    assert kinds(served, baseline) == "".join(expected)


def test_lists_of_any_kind_are_lists() -> None:
    fixed = pa.array([[1.0, 2.0], [1.0, 2.5]], pa.list_(pa.float32(), 2))
    assert kinds(pa.array([[1.0, 2.0], [1.0, 2.0]], pa.list_(pa.float32())), fixed) == "sd"
    assert kinds(pa.array([[0.1], [0.1]], pa.list_(pa.float32())), pa.array([[0.1], [0.2]])) == "rd"
    assert kinds(pa.array([["a"], []]), pa.array([["a"], []], pa.large_list(pa.string()))) == "ss"
