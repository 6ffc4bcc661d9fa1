"""A shared transform gives the same in every container, and says in one line what does not fit."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast.types import Float64, Int32

from skew_ext import feature_transform
from skew_ext.errors import TransformError
from skew_ext.transform import installed_fingerprint

NOON = datetime(2013, 7, 22, 12, tzinfo=timezone.utc)
KINDS = {
    "wide": "Float64",
    "narrow": "Float32",
    "big": "Int64",
    "small": "Int32",
    "flag": "Bool",
    "name": "String",
    "time": "UnixTimestamp",
}
ROW: dict[str, Any] = {
    "wide": 0.1,
    "narrow": 0.1,
    "big": 2**63 - 1,
    "small": -7,
    "flag": True,
    "name": "é\x00",
    "time": NOON,
}


@feature_transform(inputs=KINDS, outputs={f"{name}_out": kind for name, kind in KINDS.items()})
def every_type(  # noqa: PLR0913 - one input of each type
    wide: Any, narrow: Any, big: Any, small: Any, flag: Any, name: Any, time: Any
) -> dict[str, Any]:
    """Touch a column of every type."""
    return {
        "wide_out": np.exp(wide),
        "narrow_out": narrow * narrow,
        "big_out": big - 1,
        "small_out": small * small,
        "flag_out": ~flag,
        "name_out": np.array([None if text is None else text + "!" for text in name], dtype=object),
        "time_out": time + np.timedelta64(60, "s"),
    }


@feature_transform(inputs={"x": Float64}, outputs={"y": Float64})
def plus_one(x: Any) -> Any:
    """Give the only output as an array."""
    return x + 1.0


def refused(call: Callable[[], object]) -> str:
    """Give the one line that a call is refused with."""
    with pytest.raises(TransformError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_decorated_function_is_the_same_function() -> None:
    assert plus_one(np.array([1.0])).tolist() == [2.0]
    assert plus_one.__name__ == "plus_one"
    assert (dict(plus_one.inputs), dict(plus_one.outputs), plus_one.version) == (
        {"x": "Float64"},
        {"y": "Float64"},
        "1",
    )


def test_row_of_every_type() -> None:
    assert every_type.on_row(ROW) == {
        "wide_out": math.exp(0.1),
        "narrow_out": float(np.float32(0.1) * np.float32(0.1)),
        "big_out": 2**63 - 2,
        "small_out": 49,
        "flag_out": False,
        "name_out": "é\x00!",
        "time_out": datetime(2013, 7, 22, 12, 1, tzinfo=timezone.utc),
    }


@pytest.mark.parametrize("column", ["wide", "narrow", "name", "time"])
def test_type_with_its_own_null_makes_only_its_own_output_null(column: str) -> None:
    outputs = every_type.on_row({**ROW, column: None})
    assert [name for name, value in outputs.items() if value is None] == [f"{column}_out"]


@pytest.mark.parametrize("column", ["big", "small", "flag"])
def test_null_of_a_type_without_one_makes_the_whole_row_null(column: str) -> None:
    assert set(every_type.on_row({**ROW, column: None}).values()) == {None}
    others = every_type.on_batch(pa.Table.from_pylist([{**ROW, column: None}, ROW])).to_pylist()
    assert others[1] == every_type.on_row(ROW)


def test_nan_and_null_of_a_float_are_one() -> None:
    assert plus_one.on_row({"x": math.nan}) == plus_one.on_row({"x": None}) == {"y": None}
    assert plus_one.on_batch(pa.table({"x": [math.nan, None]}))["y"].null_count == 2


def test_infinities_and_negative_zero_pass() -> None:
    assert plus_one.on_row({"x": math.inf}) == {"y": math.inf}
    assert math.copysign(1, every_type.on_row({**ROW, "narrow": -0.0})["narrow_out"]) == 1


def test_containers_agree_with_rows_to_the_bit() -> None:
    rows = [ROW, {**ROW, "big": None}, {**ROW, "name": None, "time": None}, {**ROW, "wide": None, "narrow": -0.5}]
    expected = [every_type.on_row(row) for row in rows]
    table = pa.Table.from_pylist(rows)
    assert every_type.on_batch(table).to_pylist() == expected
    assert every_type.on_batch(pa.concat_tables([table[:2], table[2:]])).to_pylist() == expected
    frame = every_type.on_batch(table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get))
    assert pa.Table.from_pandas(frame, schema=every_type.on_batch(table).schema).to_pylist() == expected
    columns: Any = every_type.on_batch({name: [row[name] for row in rows] for name in ROW})
    assert columns["big_out"].tolist() == [row["big_out"] for row in expected]
    assert columns["wide_out"].dtype == np.float64


@pytest.mark.parametrize("function", [np.exp, np.log, np.sin, np.sqrt, np.tanh])
def test_batch_of_many_does_the_arithmetic_of_a_batch_of_one(function: Callable[[Any], Any]) -> None:
    transform = feature_transform(inputs={"x": "Float64"}, outputs={"y": "Float64"})(lambda x: function(x) ** 1.3)
    values = np.random.default_rng(7).uniform(0.1, 50.0, 517)
    many = transform.on_batch({"x": values})["y"]
    strided = transform.on_batch({"x": np.repeat(values, 2)[::2]})["y"]
    ones = [transform.on_batch({"x": values[i : i + 1]})["y"][0] for i in range(len(values))]
    assert many.tobytes() == strided.tobytes() == np.array(ones).tobytes()


def test_output_types_do_not_depend_on_the_data() -> None:
    with_null = every_type.on_batch(pd.DataFrame([{**ROW, "big": None}]))
    without = every_type.on_batch(pd.DataFrame([{**ROW, "big": 5}]))
    assert with_null.dtypes.equals(without.dtypes)
    empty = every_type.on_batch(pa.table({name: pa.array([], pa.null()) for name in ROW}))
    assert empty.schema == every_type.on_batch(pa.Table.from_pylist([ROW])).schema


def test_frame_keeps_its_index_and_the_caller_its_data() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "other": ["a", "b"]}, index=[7, 3])
    before = frame.copy()
    assert plus_one.on_batch(frame).to_dict() == {"y": {7: 2.0, 3: 3.0}}
    pd.testing.assert_frame_equal(frame, before)


def test_function_cannot_change_its_inputs() -> None:
    @feature_transform(inputs={"x": "Float64"}, outputs={"y": "Float64"})
    def careless(x: Any) -> Any:
        x += 1
        return x

    values = np.array([1.0])
    assert "read-only" in refused(lambda: careless.on_batch({"x": values}))
    values[0] = 2.0  # still the caller's own


def test_whole_floats_are_integers_unless_digits_may_be_lost() -> None:
    transform = feature_transform(inputs={"n": Int32}, outputs={"m": Int32})(lambda n: n)
    assert transform.on_batch(pd.DataFrame({"n": [1.0, None]}))["m"].tolist() == [1, pd.NA]
    assert "floats" in refused(lambda: transform.on_row({"n": 1.5}))
    assert "floats" in refused(lambda: every_type.on_row({**ROW, "big": 2.0**53}))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("wide", "1.5", "'wide' cannot be read as Float64"),
        ("big", 2**63, "lies beyond"),
        ("small", 2**31, "lies beyond"),
        ("big", True, "cannot be read as Int64"),
        ("flag", 1, "cannot be read as Bool"),
        ("name", 3, "it holds 3"),
        ("time", "noon", "it holds 'noon'"),
    ],
)
def test_value_that_does_not_fit_is_named(column: str, value: object, said: str) -> None:
    assert said in refused(lambda: every_type.on_row({**ROW, column: value}))


def test_missing_column_is_named_with_the_nearest() -> None:
    assert "column 'wide' is missing (did you mean 'wid'?)" in refused(
        lambda: every_type.on_row({"wid" if name == "wide" else name: value for name, value in ROW.items()})
    )


def test_what_is_no_batch_is_refused() -> None:
    assert "not list" in refused(lambda: plus_one.on_batch([1.0]))
    assert "dimensions" in refused(lambda: plus_one.on_batch({"x": np.zeros((2, 2))}))
    assert "differ in length" in refused(lambda: every_type.on_batch({name: [ROW[name]] * len(name) for name in ROW}))


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda x: {"z": x}, "returned ['z'], not the outputs ['y']"),
        (lambda x: x.astype(np.float32), "is float32, declared Float64; return it as float64"),
        (lambda x: x[:-1], "has 1 rows for 2 input rows"),
        (lambda x: x.tolist(), "returned list"),
        (lambda x: {"y": x.sum()}, "not a one-dimensional numpy array"),
        (lambda x: x / no_such_name, "is not defined above it"),  # type: ignore[name-defined]  # noqa: F821
        (lambda x: x.no_such_method(), "AttributeError"),
    ],
)
def test_broken_contract_is_said(returned: Any, said: str) -> None:
    def run() -> None:
        transform = feature_transform(inputs={"x": "Float64"}, outputs={"y": "Float64"})(returned)
        transform.on_batch({"x": [1.0, 2.0]})

    assert said in refused(run)


def test_errors_stay_in_one_line_whatever_they_tell_of() -> None:
    def verbose(x: Any) -> Any:
        raise ValueError(f"first line\nsecond line of {x}")

    transform = feature_transform(inputs={"x": "Float64"}, outputs={"y": "Float64"})(verbose)
    assert refused(lambda: transform.on_row({"x": 1.0})).endswith("failed: ValueError: first line")
    long = refused(lambda: plus_one.on_row({"x": "a\n" * 1_000_000}))
    assert len(long) < 200


def test_declarations_that_do_not_fit_are_said() -> None:
    def declare(**contract: Any) -> str:
        return refused(lambda: feature_transform(**contract)(lambda x: x))

    assert "did you mean 'Float64'?" in declare(inputs={"x": "Float6"}, outputs={"y": "Float64"})
    assert "declares input 'z' but does not take it" in declare(
        inputs={"x": "Float64", "z": "Float64"}, outputs={"y": "Float64"}
    )
    assert "takes 'x', which inputs does not declare" in declare(inputs={"y": "Float64"}, outputs={"y": "Float64"})
    assert "outputs must map" in declare(inputs={"x": "Float64"}, outputs={})


def test_masked_output_is_null() -> None:
    transform = feature_transform(inputs={"x": "Float64"}, outputs={"n": "Int64"})(
        lambda x: np.ma.masked_where(np.isnan(x), np.zeros(len(x), dtype=np.int64))
    )
    assert [transform.on_row({"x": value})["n"] for value in (1.0, None)] == [0, None]


def test_transforms_need_no_feast() -> None:
    code = "import transforms.flight, sys; raise SystemExit('feast' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_installed_fingerprint_is_none_for_what_is_no_transform() -> None:
    assert installed_fingerprint("no_such_module_here:f") is None
    assert installed_fingerprint("math:nothing") is None
    assert installed_fingerprint("math:floor") is None
