"""Columns of objects and lists keep their values, and say in one line what they cannot hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import types

from skew_ext import feature_transform
from skew_ext.errors import TransformError
from skew_ext.transform.types import COLUMN_TYPES

NOON = datetime(2013, 7, 22, 12, tzinfo=timezone.utc)
LONG_AGO = datetime(1, 1, 1, tzinfo=timezone.utc)
SCALARS: dict[str, list[Any]] = {
    "Float64": [0.1, -0.0, math.inf],
    "Float32": [0.25, -0.0, -math.inf],
    "Int64": [2**63 - 1, -(2**63)],
    "Int32": [7, -(2**31)],
    "Bool": [True, False],
    "String": ["é\x00", ""],
    "Bytes": [b"a\x00", b""],
    "UnixTimestamp": [NOON, LONG_AGO],
    "Uuid": [UUID(int=5)],
    "Decimal": [Decimal("1.10"), Decimal("-0")],
}
VALUES = {name: [*values, None] for name, values in SCALARS.items()} | {
    f"Array({name})": [values, [], None, values[:1]] for name, values in SCALARS.items()
}


def same(kind: object) -> Any:
    return feature_transform(inputs={"x": kind}, outputs={"y": kind})(lambda x: x)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(TransformError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_declared_type_is_tried() -> None:
    assert VALUES.keys() == COLUMN_TYPES.keys()


@pytest.mark.parametrize("kind", VALUES)
def test_values_come_out_of_every_container_as_they_went_in(kind: str) -> None:
    transform, values = same(kind), VALUES[kind]
    assert [repr(transform.on_row({"x": value})["y"]) for value in values] == list(map(repr, values))
    table = transform.on_batch(pa.table({"x": _arrow(values)}))
    assert table["y"].type == COLUMN_TYPES[kind].arrow
    assert list(map(repr, _python(transform, table["y"].to_pylist()))) == list(map(repr, values))
    frame = transform.on_batch(pd.DataFrame({"x": pd.Series(values, dtype=object)}))
    assert list(map(repr, _python(transform, list(frame["y"])))) == list(map(repr, values))


def _arrow(values: list[Any]) -> list[Any] | pa.Array:
    """Give values as Arrow can hold them: identifiers and decimals as text, as Feast's offline stores have them."""
    return pa.array([_textual(value) for value in values])


def _textual(value: Any) -> Any:
    if isinstance(value, list):
        return [_textual(item) for item in value]
    return str(value) if isinstance(value, (UUID, Decimal)) else value


def _python(transform: Any, column: list[Any]) -> list[Any]:
    return [transform.on_row({"x": value})["y"] for value in column]


@pytest.mark.parametrize("kind", VALUES)
def test_type_is_declared_by_feasts_object_too(kind: str) -> None:
    base = getattr(types, kind.removeprefix("Array(").removesuffix(")"))
    declared = types.Array(base) if kind.startswith("Array") else base
    assert dict(same(declared).inputs) == {"x": kind}


def test_list_reaches_the_function_as_an_array_of_its_elements() -> None:
    seen: list[Any] = []

    @feature_transform(inputs={"x": "Array(Float32)"}, outputs={"norm": "Float32"})
    def norm(x: Any) -> Any:
        seen.extend(x)
        return np.array([np.nan if v is None else np.sqrt(np.sum(v * v)) for v in x], dtype=np.float32)

    columns: Any = norm.on_batch({"x": [[3.0, 4.0], None, []]})
    assert columns["norm"].tolist()[::2] == [5.0, 0.0]
    assert [getattr(value, "dtype", None) for value in seen] == [np.float32, None, np.float32]
    with pytest.raises(ValueError, match="read-only"):
        seen[0][0] = 1.0


def test_matrix_is_a_list_in_each_row_on_both_sides() -> None:
    transform = feature_transform(inputs={"x": "Array(Float64)"}, outputs={"y": "Array(Float64)"})(
        lambda x: np.stack(list(x)) * 2.0
    )
    assert transform.on_batch(pa.table({"x": [[1.0, 2.0], [3.0, 4.0]]}))["y"].to_pylist() == [[2.0, 4.0], [6.0, 8.0]]
    columns: Any = transform.on_batch({"x": np.ones((2, 3))})
    assert [row.tolist() for row in columns["y"]] == [[2.0] * 3] * 2
    fixed = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0]), 1)
    assert transform.on_batch(pa.table({"x": fixed}))["y"].to_pylist() == [[2.0], [4.0]]


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("Array(Int64)", [1, None], "a list holds a null"),
        ("Array(Float64)", [0.5, None], "a list holds a null"),
        ("Array(String)", ["a", None], "a list holds a null"),
        ("Array(Int64)", [1.5], "floats that are not exact integers"),
        ("Array(Int64)", 1, "it holds 1, not a plain list"),
        ("Array(Float64)", [[1.0]], "it holds [[1.0]]"),
        ("Array(Float64)", np.zeros((1, 1)), "not a plain list"),
        ("String", "\ud800", "surrogates not allowed"),
        ("String", b"a", "it holds b'a'"),
        ("Bytes", "a", "it holds 'a'"),
        ("Uuid", "not one", "badly formed"),
        ("Decimal", "not one", "it holds 'not one'"),
        ("Decimal", 0.5, "it holds 0.5"),
        ("UnixTimestamp", 2**40, "beyond the years 1 to 9999"),
    ],
)
def test_value_that_does_not_fit_is_said(kind: str, value: object, said: str) -> None:
    message = refused(lambda: same(kind).on_row({"x": value}))
    assert f"'x' cannot be read as {kind}: " in message
    assert said in message
    assert said in refused(lambda: same(kind).on_batch({"x": [value, value]}))


@pytest.mark.parametrize(
    ("kind", "returned", "said"),
    [
        ("Array(Float64)", np.array([1.0]), "holds float64; return a one-dimensional array for each row"),
        ("Array(Float64)", np.zeros((1, 2), dtype=np.float32), "is float32, declared Float64"),
        ("Array(Float64)", np.array([[0.5], None], dtype=object)[:1], "holds list"),
        ("Array(Float64)", np.zeros((2, 2)), "has 2 rows for 1 input rows"),
        ("Array(Float64)", np.ma.masked_equal(np.zeros((1, 2)), 0), "is a masked matrix"),
        ("Array(String)", np.array([["a", None], 0], dtype=object)[:1], "has a null in a list"),
        ("String", np.array([1], dtype=object), "holds 1, declared String; return str"),
        ("Bytes", np.array([b"a"]), "loses NULs at the end"),
        ("Uuid", np.array(["a"], dtype=object), "holds 'a', declared Uuid; return UUID"),
        ("String", np.array(["\ud800"], dtype=object), "surrogates not allowed"),
        ("UnixTimestamp", np.array([2**40], dtype="datetime64[s]"), "beyond the years 1 to 9999"),
    ],
)
def test_output_that_does_not_fit_is_said(kind: str, returned: Any, said: str) -> None:
    transform = feature_transform(inputs={"x": "Float64"}, outputs={"y": kind})(lambda x: returned)  # noqa: ARG005
    # The closure holds what the function returns, and can be fingerprinted whatever that is.
    assert said in refused(lambda: transform.on_row({"x": 1.0}))


def test_type_that_no_column_can_have_is_said() -> None:
    for kind in ("Map", "Array(Array(Float64))", "Struct", "ZonedTimestamp"):
        assert "is not one that a shared transform takes" in refused(partial(same, kind))


@pytest.mark.parametrize(("micros", "seconds"), [(-1, -1), (1_500_000, 1), (-1_500_000, -2)])
def test_fraction_of_a_second_is_cut_off_in_every_container(micros: int, seconds: int) -> None:
    transform, expected = same("UnixTimestamp"), datetime.fromtimestamp(seconds, tz=timezone.utc)
    column = pa.array([micros, micros], pa.timestamp("us", tz="UTC"))
    table = pa.table({"x": column})
    assert transform.on_row({"x": column[0].as_py()}) == {"y": expected}
    assert transform.on_batch(table)["y"].to_pylist() == [expected] * 2
    assert transform.on_batch(table.to_pandas())["y"].tolist() == [expected] * 2
    assert transform.on_batch({"x": column.to_pylist()})["y"].tolist() == [expected.replace(tzinfo=None)] * 2


def test_integers_reach_a_float32_by_one_way() -> None:
    value = 2**60 + 2**36 + 1
    alone = same("Float32").on_row({"x": value})["y"]
    assert alone == same("Float32").on_batch({"x": [value, 0.5]})["y"].tolist()[0]
    assert alone == same("Float32").on_batch({"x": np.array([value])})["y"].tolist()[0]
