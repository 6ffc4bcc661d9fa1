"""What a windowed aggregate means, one sentence of it at a time; and what is refused."""

from __future__ import annotations

import doctest
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from skew_ext import SkewError
from skew_ext.windows import WindowedAggregate, WindowError, Windows
from skew_ext.windows import windows as windows_module
from tests.windows import NOON, bits

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def declared(*aggregates: WindowedAggregate, **options: Any) -> Windows:
    columns = {"amount": "Float64", "shop": "String", "pence": "Int64"}
    return Windows(**{"keys": {"card": "Int64"}, "columns": columns, "aggregates": aggregates, **options})


def events(*rows: tuple[int, datetime, float | None], **columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["card", "event_timestamp", "amount"])
    frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"], utc=True)
    return frame.assign(**{"shop": "a", "pence": 1, **columns})


def both_ways(definition: Windows, frame: pd.DataFrame, card: int, as_of: datetime) -> dict[str, Any]:
    """Give the row by history and by stream, which must be one."""
    asked = pa.table({"card": pa.array([card]), "event_timestamp": [as_of]})
    (found,) = definition.on_history(frame, asked).to_pylist()
    aggregator = definition.aggregator()
    for event in pa.Table.from_pandas(frame).to_pylist():
        aggregator.add(event, arrived=NOON + HOUR)
    streamed = aggregator.value(card, as_of)
    assert {name: bits(value) for name, value in streamed.items()} == {n: bits(value) for n, value in found.items()}
    return dict(found)


def test_the_example_of_the_docstring_holds() -> None:
    result = doctest.testmod(windows_module)
    assert (result.failed, result.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("closed", "begin", "inside", "end"),
    [("right", 0, 1, 1), ("left", 1, 1, 0), ("both", 1, 1, 1), ("neither", 0, 1, 0)],
)
def test_closed_says_which_edges_belong_to_the_window(closed: str, begin: int, inside: int, end: int) -> None:
    definition = declared(WindowedAggregate("n", "count", HOUR, closed=closed))
    for moment, expected in ((NOON - HOUR, begin), (NOON - MINUTE, inside), (NOON, end)):
        assert both_ways(definition, events((1, moment, 1.0)), 1, NOON) == {"n": expected}
    for moment in (NOON - HOUR - timedelta(microseconds=1), NOON + timedelta(microseconds=1)):
        assert both_ways(definition, events((1, moment, 1.0)), 1, NOON) == {"n": 0}


def test_an_empty_window_is_null_and_a_count_zero_if_not_said_otherwise() -> None:
    definition = declared(
        WindowedAggregate("n", "count", HOUR),
        WindowedAggregate("shops", "count_distinct", HOUR, column="shop"),
        WindowedAggregate("spend", "sum", HOUR, column="amount"),
        WindowedAggregate("spend_or_zero", "sum", HOUR, column="amount", empty="zero"),
        WindowedAggregate("pence_or_zero", "max", HOUR, column="pence", empty="zero"),
        WindowedAggregate("n_or_null", "count", HOUR, empty="null"),
    )
    empty = {"n": 0, "shops": 0, "spend": None, "spend_or_zero": 0.0, "pence_or_zero": 0, "n_or_null": None}
    assert both_ways(definition, events((1, NOON, 1.0)), 2, NOON) == empty
    assert both_ways(definition, events((1, NOON - 2 * HOUR, 1.0)), 1, NOON) == empty
    found: Any = definition.on_history(events(), {"card": [1], "event_timestamp": [NOON]})
    assert {name: values.tolist() for name, values in found.items()} | {"spend": [None]} == {
        name: [value] for name, value in empty.items()
    }


def test_nulls_and_nan_are_not_aggregated_and_events_are_counted_all_the_same() -> None:
    definition = declared(
        WindowedAggregate("n", "count", HOUR),
        WindowedAggregate("amounts", "count", HOUR, column="amount"),
        WindowedAggregate("spend", "sum", HOUR, column="amount"),
        WindowedAggregate("last", "last", HOUR, column="amount"),
    )
    frame = events((1, NOON - 2 * MINUTE, 4.0), (1, NOON - MINUTE, None), (1, NOON, float("nan")))
    assert both_ways(definition, frame, 1, NOON) == {"n": 3, "amounts": 1, "spend": 4.0, "last": 4.0}


def test_a_tumbling_window_moves_only_at_full_multiples() -> None:
    definition = declared(WindowedAggregate("n", "count", HOUR, closed="left", slide_interval=HOUR))
    frame = events((1, NOON - HOUR, 1.0), (1, NOON - MINUTE, 1.0), (1, NOON, 1.0))
    for as_of, expected in ((NOON - MINUTE, 0), (NOON, 2), (NOON + 59 * MINUTE, 2), (NOON + HOUR, 1)):
        assert both_ways(definition, frame, 1, as_of) == {"n": expected}


def test_ties_are_ordered_by_the_order_column_and_then_by_value() -> None:
    aggregates = [WindowedAggregate(name, name, HOUR, column="amount") for name in ("first", "last")]
    frame = events((1, NOON, 3.0), (1, NOON, 1.0), (1, NOON, 2.0), pence=[7, 8, 8])
    assert both_ways(declared(*aggregates), frame, 1, NOON) == {"first": 1.0, "last": 3.0}
    assert both_ways(declared(*aggregates, order="pence"), frame, 1, NOON) == {"first": 3.0, "last": 2.0}


def test_ties_are_ordered_alike_whichever_of_them_arrives_first() -> None:
    aggregates = [WindowedAggregate(name, name, HOUR, column="amount") for name in ("first", "last")]
    definition = declared(*aggregates, order="pence", arrived="known")
    frame = events((1, NOON, 1.0), (1, NOON, 2.0), pence=[8, 7], known=[NOON, NOON + MINUTE])
    for as_of, expected in ((NOON, (1.0, 1.0)), (NOON + MINUTE, (2.0, 1.0))):
        asked = pa.table({"card": [1], "event_timestamp": [as_of]})
        assert tuple(definition.on_history(frame, asked).to_pylist()[0].values()) == expected


def test_an_event_delivered_twice_counts_once_where_it_has_an_id() -> None:
    frame = events((1, NOON, 3.0), (1, NOON, 3.0), (1, NOON, 4.0), shop="payment-1")
    count = WindowedAggregate("n", "count", HOUR)
    assert both_ways(declared(count), frame, 1, NOON) == {"n": 3}
    assert both_ways(declared(count, event_id="shop"), frame, 1, NOON) == {"n": 2}  # another payload, another event


def test_zeros_of_both_signs_are_one_value_in_two_forms() -> None:
    shape: dict[str, Any] = {"look_back": HOUR, "column": "amount"}
    functions = ("count_distinct", "min", "max", "sum", "mean", "first", "last")
    definition = declared(*(WindowedAggregate(function, function, **shape) for function in functions))
    for amounts in ((0.0, -0.0), (-0.0, 0.0)):
        found = both_ways(definition, events(*((1, NOON, amount) for amount in amounts)), 1, NOON)
        assert [repr(found[function]) for function in functions] == ["1", "-0.0", "0.0", "0.0", "0.0", "-0.0", "0.0"]
    negative = both_ways(definition, events((1, NOON, -0.0)), 1, NOON)
    assert [repr(negative[function]) for function in functions] == ["1", "-0.0", "-0.0", "0.0", "0.0", "-0.0", "-0.0"]


def test_what_is_asked_decides_what_is_read_and_never_what_is_found() -> None:
    definition = declared(
        WindowedAggregate("n", "count", HOUR), WindowedAggregate("most", "max", HOUR, column="amount")
    )
    random = np.random.default_rng(3)
    moments = [NOON + timedelta(minutes=int(minute)) for minute in random.integers(0, 3000, 400)]
    frame = events(*((int(random.integers(1, 5)), moment, float(random.random())) for moment in moments))
    asked = pa.table({"card": random.integers(1, 7, 40), "event_timestamp": moments[:40]})
    together = definition.on_history(frame, asked).to_pylist()
    assert [definition.on_history(frame, asked.slice(row, 1)).to_pylist()[0] for row in range(40)] == together


def test_the_outputs_are_of_the_declared_types_whatever_the_data() -> None:
    definition = declared(
        WindowedAggregate("n", "count", HOUR),
        WindowedAggregate("total", "sum", HOUR, column="pence"),
        WindowedAggregate("mean", "mean", HOUR, column="pence"),
        WindowedAggregate("shop", "last", HOUR, column="shop"),
    )
    assert definition.outputs == {"n": "Int64", "total": "Int64", "mean": "Float64", "shop": "String"}
    asked = pd.DataFrame({"card": [1, 2], "event_timestamp": [NOON, NOON]}, index=[5, 3])
    found = definition.on_history(events((1, NOON, 1.0), pence=2**53 + 1), asked)
    assert found.index.tolist() == [5, 3]
    assert [str(kind) for kind in found.dtypes] == ["Int64", "Int64", "float64", "object"]
    assert found["total"].tolist() == [2**53 + 1, pd.NA]
    nobody = definition.on_history(events(), pa.table({"card": pa.array([], pa.int64()), "event_timestamp": NO_TIMES}))
    assert nobody.schema.types == [pa.int64(), pa.int64(), pa.float64(), pa.string()]


NO_TIMES = pa.array([], pa.timestamp("us", tz="UTC"))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_may_come_in_any_unit_and_zone(unit: str) -> None:
    definition = declared(WindowedAggregate("n", "count", HOUR))
    frame = events((1, NOON, 1.0))
    frame["event_timestamp"] = frame["event_timestamp"].dt.tz_convert("America/New_York").dt.as_unit(unit)
    naive = np.array([NOON.replace(tzinfo=None), NOON.replace(tzinfo=None) + HOUR], dtype=f"datetime64[{unit}]")
    found: Any = definition.on_history(frame, {"card": [1, 1], "event_timestamp": naive})
    assert found["n"].tolist() == [1, 0]


def test_a_sum_beyond_int64_is_an_error_both_ways() -> None:
    definition = declared(WindowedAggregate("total", "sum", HOUR, column="pence"))
    frame = events((1, NOON, 1.0), (1, NOON, 1.0), pence=2**62)
    with pytest.raises(WindowError, match="lies beyond int64; declare the column Float64"):
        definition.on_history(frame, {"card": [1], "event_timestamp": [NOON]})
    aggregator = definition.aggregator()
    for event in frame.to_dict("records"):
        aggregator.add({str(name): value for name, value in event.items()}, arrived=NOON)
    with pytest.raises(WindowError, match="lies beyond int64"):
        aggregator.value(1, NOON)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: WindowedAggregate("n", "summ", HOUR), "function 'summ' is not known.*did you mean 'sum'"),
        (lambda: WindowedAggregate("n", "count", HOUR, closed="rigth"), "closed 'rigth'.*did you mean 'right'"),
        (lambda: WindowedAggregate("n", "count", HOUR, empty="nil"), "empty 'nil' is not known"),
        (lambda: WindowedAggregate("n", "count", timedelta(0)), "look_back is 0:00:00; it must be at least"),
        (lambda: WindowedAggregate("n", "sum", HOUR), "sum needs a column"),
        (declared, "at least one key and one aggregate"),
        (lambda: declared(WindowedAggregate("n", "sum", HOUR, column="amuont")), "'amuont'.*did you mean 'amount'"),
        (lambda: declared(WindowedAggregate("n", "sum", HOUR, column="shop")), "sum of String is not defined"),
        (
            lambda: declared(WindowedAggregate("n", "last", HOUR, column="shop", empty="zero")),
            "empty is 'zero', but the output is String",
        ),
        (lambda: declared(WindowedAggregate("card", "count", HOUR)), "the name 'card' stands for two columns"),
        (lambda: declared(WindowedAggregate("created", "count", HOUR)), "the name 'created' stands for two columns"),
        (lambda: declared(WindowedAggregate("n", "count", HOUR), event_id="id"), "event_id is 'id', which columns"),
        (
            lambda: declared(WindowedAggregate("n", "count", HOUR), keys={"card": "Float64"}),
            "key 'card' is Float64; a key is one of",
        ),
        (
            lambda: declared(WindowedAggregate("n", "count", HOUR), columns={"id": "Uuid"}),
            "column 'id' is Uuid; windows take",
        ),
        (
            lambda: declared(WindowedAggregate("n", "count", HOUR), allowed_lateness=-HOUR),
            "allowed_lateness is .*must not be negative",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_in_one_line(make: Any, said: str) -> None:
    with pytest.raises(SkewError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"card": None}, "'card' is null"),
        ({"event_timestamp": None}, "event_timestamp"),
        ({"event_timestamp": 1_700_000_000}, "'event_timestamp' cannot be read as"),
        ({"amount": "12"}, "'amount' cannot be read as Float64"),
        ({"shop": "\ud800"}, "'shop' cannot be read as String"),
        ({"pence": 2**63}, "'pence' cannot be read as Int64"),
    ],
)
def test_a_wrong_event_is_refused_both_ways(changes: dict[str, Any], said: str) -> None:
    definition = declared(WindowedAggregate("spend", "sum", HOUR, column="amount"))
    event = {"card": 1, "event_timestamp": NOON, "amount": 1.0, "shop": "a", "pence": 1, **changes}
    with pytest.raises(WindowError, match=said):
        definition.aggregator().add(event, arrived=NOON)
    with pytest.raises(WindowError, match=said):
        definition.on_history(
            {name: [value] for name, value in event.items()}, {"card": [1], "event_timestamp": [NOON]}
        )


def test_a_missing_column_is_named() -> None:
    definition = declared(WindowedAggregate("spend", "sum", HOUR, column="amount"))
    asked = {"card": [1], "event_timestamp": [NOON]}
    with pytest.raises(WindowError, match="column 'amount' is missing"):
        definition.on_history(events((1, NOON, 1.0)).drop(columns="amount"), asked)
    with pytest.raises(WindowError, match="'card' is missing"):
        definition.aggregator().add({"cord": 1, "event_timestamp": NOON}, arrived=NOON)
    with pytest.raises(WindowError, match="a batch is a pandas DataFrame"):
        definition.on_history([1, 2], asked)


def test_the_fingerprint_tells_definitions_apart_and_is_stable() -> None:
    plain = declared(WindowedAggregate("n", "count", HOUR))
    same = declared(WindowedAggregate("n", "count", timedelta(minutes=60), closed="right", empty="zero"))
    assert plain.fingerprint == same.fingerprint
    others = [
        declared(WindowedAggregate("n", "count", HOUR, closed="left")),
        declared(WindowedAggregate("n", "count", HOUR, slide_interval=HOUR)),
        declared(WindowedAggregate("n", "count", HOUR), event_id="shop"),
        declared(WindowedAggregate("n", "count", HOUR), allowed_lateness=HOUR),
        declared(WindowedAggregate("n", "count", HOUR), keys={"card": "Int32"}),
    ]
    assert len({plain.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_the_package_imports_no_feast_and_no_pandas() -> None:
    code = "import sys, skew_ext.windows; print(sorted({'feast', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_aware_times_of_any_zone_are_one_time() -> None:
    definition = declared(WindowedAggregate("n", "count", HOUR))
    aggregator = definition.aggregator()
    east = timezone(timedelta(hours=5, minutes=30))
    row = {"card": 1, "event_timestamp": NOON.astimezone(east), "amount": 1.0, "shop": "a", "pence": 1}
    aggregator.add(row, arrived=NOON)
    assert aggregator.value({"card": 1}, NOON.replace(tzinfo=None)) == {"n": 1}
