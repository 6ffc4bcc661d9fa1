"""The stream: late and repeated events, bounded memory, a state that can be saved, several threads."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skew_ext.windows import Aggregator, WindowedAggregate, WindowError, Windows
from tests.windows import NOON, TICK, bits, event_rows, windows

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def declared(**options: Any) -> Windows:
    return Windows(
        **{
            "keys": {"card": "Int64"},
            "columns": {"amount": "Float64", "payment": "String"},
            "aggregates": [
                WindowedAggregate("n", "count", HOUR),
                WindowedAggregate("spend", "sum", HOUR, column="amount"),
                WindowedAggregate("most", "max", HOUR, column="amount"),
            ],
            "allowed_lateness": 10 * MINUTE,
            **options,
        }
    )


def payment(moment: datetime, amount: float = 1.0, card: int = 1, name: str = "p") -> dict[str, Any]:
    return {"card": card, "event_timestamp": moment, "amount": amount, "payment": name}


def test_an_event_within_the_allowed_lateness_counts_and_a_later_one_does_not() -> None:
    aggregator = declared().aggregator()
    assert aggregator.add(payment(NOON), arrived=NOON + 10 * MINUTE) == "added"
    assert aggregator.add(payment(NOON), arrived=NOON + 10 * MINUTE + TICK) == "late"
    assert aggregator.value(1, NOON + 10 * MINUTE)["n"] == 1
    assert dict(aggregator.outcomes) == {"added": 1, "late": 1}


def test_an_event_delivered_again_is_a_duplicate() -> None:
    aggregator = declared(event_id="payment").aggregator()
    outcomes = [
        aggregator.add(payment(NOON, 0.0), arrived=NOON),
        aggregator.add(payment(NOON, 0.0), arrived=NOON + MINUTE),
        aggregator.add(payment(NOON, -0.0), arrived=NOON + MINUTE),
        aggregator.add(payment(NOON, 0.0, card=2), arrived=NOON + MINUTE),
    ]
    assert outcomes == ["added", "duplicate", "added", "added"]


def test_an_event_of_the_future_waits_for_its_time() -> None:
    aggregator = declared().aggregator()
    aggregator.add(payment(NOON + HOUR), arrived=NOON)
    assert aggregator.value(1, NOON)["n"] == 0
    assert aggregator.value(1, NOON + HOUR)["n"] == 1


def test_reads_go_as_far_back_as_events_may_be_late() -> None:
    aggregator = declared().aggregator()
    aggregator.add(payment(NOON - HOUR), arrived=NOON - HOUR)
    aggregator.add(payment(NOON), arrived=NOON)
    assert aggregator.value(1, NOON - 10 * MINUTE)["n"] == 1
    with pytest.raises(WindowError, match="more than 0:10:00 back; a longer allowed_lateness keeps more"):
        aggregator.value(1, NOON - 10 * MINUTE - TICK)
    assert aggregator.now == NOON


def test_the_clock_or_the_arrived_column_says_when_an_event_arrived() -> None:
    by_clock = declared().aggregator(clock=lambda: NOON + HOUR)
    assert by_clock.add(payment(NOON)) == "late"
    by_column = declared(arrived="known").aggregator(clock=lambda: NOON + HOUR)
    assert by_column.add({**payment(NOON), "known": NOON + MINUTE}) == "added"
    assert by_column.now == NOON + MINUTE
    with pytest.raises(WindowError, match="'known' is missing"):
        by_column.add(payment(NOON))


def test_the_key_is_a_row_or_where_there_is_one_its_value() -> None:
    aggregator = declared().aggregator()
    aggregator.add(payment(NOON), arrived=NOON)
    assert aggregator.value({"card": 1, "other": 3}, NOON) == aggregator.value(1, NOON)
    with pytest.raises(WindowError, match="'card' is missing"):
        aggregator.value({"cart": 1}, NOON)
    pair = declared(keys={"card": "Int64", "zone": "String"}).aggregator()
    with pytest.raises(WindowError, match="give the key by name: card, zone"):
        pair.value(1, NOON)
    with pytest.raises(WindowError, match="as_of is 'noon', which is no time; give a datetime"):
        aggregator.value(1, "noon")  # type: ignore[arg-type]
    with pytest.raises(WindowError, match="arrived is 5, which is no time"):
        aggregator.add(payment(NOON), arrived=5)  # type: ignore[arg-type]


def test_memory_is_bounded_by_what_may_still_be_read() -> None:
    aggregator = declared().aggregator()
    most = 0
    for minute in range(2000):
        moment = NOON + minute * MINUTE
        # Every card is silent from its one event on: nobody asks for it again.
        aggregator.add(payment(moment, card=minute), arrived=moment)
        most = max(most, len(aggregator))
    assert len(aggregator._states) == len(aggregator)
    kept = 60 + 10  # minutes: look-back and lateness
    assert kept <= most <= kept * (1 + 1 / 32) + 2
    assert len(aggregator._buckets) == len(aggregator._oldest) <= 35


def test_what_left_one_key_leaves_its_series_too() -> None:
    aggregator = declared().aggregator()
    for minute in range(500):
        aggregator.add(payment(NOON + minute * MINUTE, 0.1), arrived=NOON + minute * MINUTE)
    (state,) = aggregator._states.values()
    lengths = {len(series.times) for series in state.series.values()}
    assert lengths == {len(aggregator)}
    assert max(lengths) < 75
    assert aggregator.value(1, NOON + 499 * MINUTE) == {"n": 60, "spend": 6.0, "most": 0.1}


def equal(one: Aggregator, other: Aggregator, as_of: datetime) -> bool:
    rows = [{"key": key, "zone": zone} for key in (1, 2) for zone in "ab"]
    return all(
        {name: bits(value) for name, value in one.value(row, as_of).items()}
        == {name: bits(value) for name, value in other.value(row, as_of).items()}
        for row in rows
    )


@settings(deadline=None)
@given(st.lists(event_rows(lateness=5), max_size=20), st.integers(0, 20))
def test_a_saved_state_goes_on_as_if_nothing_had_been(tmp_path_factory: Any, events: list[Any], cut: int) -> None:
    path = tmp_path_factory.mktemp("state") / "aggregator.arrow"
    shapes: list[dict[str, Any]] = [{"look_back": 4 * TICK}, {"look_back": 6 * TICK, "closed": "left"}]
    definition = windows(shapes, event_id="payment", order="offset", arrived="arrived", allowed_lateness=5 * TICK)
    events.sort(key=lambda event: event["arrived"])
    whole, begun = definition.aggregator(), definition.aggregator()
    for event in events[:cut]:
        whole.add(event)
        begun.add(event)
    definition.save(begun, path)
    resumed = definition.load(path)
    assert [whole.add(event) for event in events[cut:]] == [resumed.add(event) for event in events[cut:]]
    assert whole.now == resumed.now
    assert equal(whole, resumed, whole.now or NOON)


def test_a_state_keeps_text_to_the_character(tmp_path: Path) -> None:
    definition = declared(event_id="payment")
    aggregator = definition.aggregator()
    names = ("e\u0301", "\u00e9", "a\0b", "")
    for name in names:
        aggregator.add(payment(NOON, name=name), arrived=NOON)
    definition.save(aggregator, tmp_path / "state")
    again = definition.load(tmp_path / "state")
    assert [again.add(payment(NOON, name=name), arrived=NOON) for name in names] == ["duplicate"] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_an_empty_state_is_a_state(tmp_path: Path) -> None:
    definition = declared()
    definition.save(definition.aggregator(), tmp_path / "state")
    assert definition.load(tmp_path / "state").now is None


def test_a_state_of_another_definition_is_refused(tmp_path: Path) -> None:
    definition = declared()
    definition.save(definition.aggregator(), tmp_path / "state")
    with pytest.raises(WindowError, match="is the state of another definition"):
        declared(allowed_lateness=HOUR).load(tmp_path / "state")
    with pytest.raises(WindowError, match="cannot be read as a saved state"):
        definition.load(tmp_path / "nothing")
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(WindowError, match="cannot be read as a saved state"):
        definition.load(tmp_path / "junk")


def test_threads_lose_no_event() -> None:
    aggregator = declared().aggregator()
    random = np.random.default_rng(5)
    shares = [random.integers(0, 3600, 500).tolist() for _ in range(4)]

    def work(seconds: list[int]) -> None:
        for second in seconds:
            aggregator.add(payment(NOON - timedelta(seconds=second), 0.1), arrived=NOON)
            aggregator.value(1, NOON)

    lenient = [threading.Thread(target=work, args=([second % 600 for second in share],)) for share in shares]
    for thread in lenient:
        thread.start()
    for thread in lenient:
        thread.join()
    assert aggregator.value(1, NOON) == {"n": 2000, "spend": 200.0, "most": 0.1}
    assert aggregator.outcomes["added"] == 2000
