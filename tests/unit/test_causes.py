"""Each cause by itself, on cells made for it; and the coincidences that must not be taken for causes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skew_ext.audit.causes import CAUSES, attribute
from skew_ext.audit.causes.cells import NO_TIME, DifferingCells, Evidence, Siblings, Wider
from skew_ext.audit.causes.shifting import LONGEST, bounds
from skew_ext.audit.cells import compare
from skew_ext.baseline.evidence import SourceRows
from skew_ext.report import words

MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE
NOW = 1_772_366_400_000_000
RANDOM = np.random.default_rng(20260301)


def column(values: Iterable[Any], kind: pa.DataType | None = None) -> pa.Array:
    return pa.array(list(values), type=kind)


def online(served: pa.Array, baseline: pa.Array, siblings: dict[str, pa.Array] | None = None) -> DifferingCells:
    """Make cells whose source has one row for each, with the baseline's value, an hour before it was served.

    Only those that differ are cells; the others are dropped, as the audit does.
    """
    count = len(served)
    keys, events = np.arange(count), np.full(count, NOW - HOUR)
    source = SourceRows(keys, events, events + MINUTE, {"x": baseline})
    each = np.arange(count)
    evidence = Evidence(
        source=source,
        values=baseline,
        training=each,
        known=each,
        known_ever=each,
        first_at=each,
        end_at=each + 1,
        at_event=each,
        waiting_since=np.full(count, NO_TIME),
        numbers=each,
        feature="x",
        wider=lambda: Wider(source, keys),
    )
    cells = DifferingCells(
        served=served,
        baseline=baseline,
        served_event=events,
        served_at=np.full(count, NOW),
        ttl=None,
        evidence=evidence,
        fingerprints_differ=np.zeros(count, dtype=bool),
        siblings=Siblings(siblings or {}, {}, each),
    )
    return cells.take(np.flatnonzero(compare(served, baseline).different))


def on_demand(cells: DifferingCells, *, edited: bool = False) -> DifferingCells:
    return replace(cells, evidence=None, fingerprints_differ=np.full(len(cells), edited))


def named(cells: DifferingCells) -> dict[str, int]:
    causes = attribute(cells).causes.tolist()
    return {cause: causes.count(cause) for cause in dict.fromkeys(causes)}


def floats(count: int = 60) -> np.ndarray[Any, np.dtype[np.float64]]:
    return RANDOM.uniform(1, 1000, size=count)


def test_the_order_of_the_table_and_words_for_every_cause() -> None:
    table = (
        *("future_served", "expired_served", "restated", "late_arrival", "stale_online", "evicted_online"),
        *("missing_online", "precision", "type_coercion", "default_filled", "timestamp_shift", "rescaled"),
        *("swapped_feature", "transform_version", "transform_divergence", "unexplained"),
    )
    assert table == CAUSES
    assert tuple(words.CAUSES) == CAUSES


@pytest.mark.parametrize(
    ("narrow", "says"),
    [
        (lambda values: values.astype(np.float32).astype(np.float64), "to float32"),
        (lambda values: values.astype(np.float16).astype(np.float64), "to float16"),
        (np.trunc, "to whole numbers, cut off"),
        (np.round, "to whole numbers, rounded"),
        (np.ceil, "to whole numbers, rounded up"),
    ],
)
def test_precision(narrow: Any, says: str) -> None:
    values = floats()
    found = attribute(online(column(narrow(values)), column(values)))
    assert set(found.causes) == {"precision"}
    assert found.constants == {"precision": says}


def test_precision_of_lists_large_numbers_and_timestamps() -> None:
    vectors = [[0.1, 0.7], [1 / 3], [2.5, 1e-9]]
    narrow = [[float(np.float32(value)) for value in vector] for vector in vectors]
    assert named(online(column(narrow), column(vectors))) == {"precision": 3}
    large = [2**60 + 1, -(2**61) - 3, 2**53 + 1]
    assert named(online(column(int(float(value)) for value in large), column(large))) == {"precision": 3}
    moments = [datetime(2026, 3, 1, 12, 0, 0, number + 1, tzinfo=timezone.utc) for number in range(3)]
    seconds = column([moment.replace(microsecond=0) for moment in moments], pa.timestamp("s", "UTC"))
    assert named(online(seconds, column(moments, pa.timestamp("us", "UTC")))) == {"precision": 3}


def test_a_single_value_in_float32_is_no_coincidence() -> None:
    assert named(online(column([float(np.float32(0.1))]), column([0.1]))) == {"precision": 1}
    assert named(online(column([1.0]), column([1.3]))) == {"unexplained": 1}


@pytest.mark.parametrize(
    ("served", "baseline"),
    [
        (["123.0", "9.0"], ["00123", "9"]),
        (["123"], ["00123"]),
        (["nan", "nan"], [None, None]),
        (["None"], [None]),
        ([1] * 12, list(range(2, 14))),
        ([value % 2**32 - 2**31 for value in range(12)], [value + 2**31 for value in range(12)]),
        ([-(2**63)] * 6, [None] * 6),
    ],
)
def test_type_coercion(served: list[Any], baseline: list[Any]) -> None:
    kind = pa.string() if isinstance(served[0], str) else pa.int64()
    assert named(online(column(served, kind), column(baseline, kind))) == {"type_coercion": len(served)}


def test_text_of_numbers() -> None:
    assert named(online(column(["1.0", "12.0"]), column([1, 12]))) == {"type_coercion": 2}
    assert named(online(column(["True", "False"]), column([True, False]))) == {"type_coercion": 2}


def test_default_filled_both_ways() -> None:
    values = floats(40).tolist()
    filled = attribute(online(column([0.0] * 8 + values), column([None] * 8 + values)))
    assert (set(filled.causes), filled.constants) == ({"default_filled"}, {"default_filled": "0.0 for null"})
    cities = [f"city {number}" for number in range(40)]
    emptied = attribute(online(column([None] * 8 + cities), column(["n/a"] * 8 + cities)))
    assert (set(emptied.causes), emptied.constants) == ({"default_filled"}, {"default_filled": "null for 'n/a'"})


def test_a_default_that_the_source_never_has_beside_a_common_value() -> None:
    words = ["dead", "ok", "warm", "hot"] * 15
    # As often as the default, "dead" stands where nothing should, and nobody knows why.
    served = ["dead"] * 10 + ["unknown"] * 10 + ["ok"] * 4 + words
    found = attribute(online(column(served), column([None] * 24 + words, pa.string())))
    assert found.constants == {"default_filled": "'unknown' for null"}
    assert found.causes.tolist() == ["unexplained"] * 10 + ["default_filled"] * 10 + ["unexplained"] * 4


@pytest.mark.parametrize(
    ("cells", "rows", "cause"), [(3, 2000, "default_filled"), (3, 20, "unexplained"), (2, 2000, "unexplained")]
)
def test_few_cells_of_a_default_that_a_large_source_never_has(cells: int, rows: int, cause: str) -> None:
    values = floats(rows).tolist()
    assert named(online(column([0.731] * cells + values), column([None] * cells + values))) == {cause: cells}


@pytest.mark.parametrize("word", ["none", " N/A ", "", "NULL"])
def test_few_cells_are_enough_of_a_word_for_nothing(word: str) -> None:
    def cause(served: Any, right: Any, count: int = 4, others: Any = (word, "basic", "pro", "max")) -> set[str]:
        rest = list(others) * 20
        return set(named(online(column([served] * count + rest), column([right] * count + rest))))

    # A quarter of the source's values is that word: four of four cells are that by chance once in 250 times.
    assert cause(None, word) == {"default_filled"}
    assert cause(word, None) == {"default_filled"}
    # So are four cells of any other value, and nobody expects null in the place of that.
    assert cause(None, "pro") == {"unexplained"}
    # Two cells, or a word that half of the column is, may be chance whatever it means.
    assert cause(None, word, count=2) == {"unexplained"}
    assert cause(None, word, others=(word, "basic")) == {"unexplained"}


def test_few_cells_are_enough_of_a_number_for_nothing() -> None:
    values = [0, -1, 7, 9, 11, 13] * 20
    for number, cause in ((0, "default_filled"), (-1, "default_filled"), (7, "unexplained")):
        emptied = online(column([None] * 4 + values, pa.int64()), column([number] * 4 + values))
        assert named(emptied) == {cause: 4}


def test_one_row_that_was_served_often_is_one_piece_of_evidence() -> None:
    words = ["none", "basic", "pro", "max"] * 20
    rows = online(column(["none"] * 4 + words), column([None] * 4 + words))
    assert named(rows) == {"default_filled": 4}
    assert rows.evidence is not None
    for at_event in (np.repeat(rows.evidence.at_event[:1], 4), np.full(4, -1)):  # one row; rows that are no more
        again = replace(rows, evidence=replace(rows.evidence, at_event=at_event))
        assert named(again) == {"unexplained": 4}


def test_what_is_no_number_and_is_served_as_nothing() -> None:
    values = floats(40).tolist()
    lost = attribute(online(column([None] * 8 + values), column([float("nan")] * 8 + values)))
    assert (set(lost.causes), lost.constants) == ({"default_filled"}, {"default_filled": "null for nan"})


def test_a_default_that_may_be_chance_is_not_named() -> None:
    # Six nulls out of a column that is constant anyway, or of which half is that value: who can tell?
    assert named(online(column([None] * 6 + [1] * 30), column([1] * 36))) == {"unexplained": 6}
    half = [0] * 30 + [1] * 30
    assert named(online(column([None] * 6 + half, pa.int64()), column([1] * 6 + half))) == {"unexplained": 6}
    # Different values in the place of null are no default.
    assert named(online(column(floats(10)), column([None] * 10, pa.float64()))) == {"unexplained": 10}


def test_a_default_is_not_hidden_by_more_cells_that_were_served_as_nothing() -> None:
    words = ["dead", "ok", "ok", "ok"] * 30
    served, right = ["unknown"] * 5 + [None] * 9, [None] * 5 + ["ok"] * 7 + ["dead"] * 2
    found = attribute(online(column(served + words, pa.string()), column(right + words, pa.string())))
    assert found.causes.tolist() == ["default_filled"] * 5 + ["unexplained"] * 9
    assert found.constants == {"default_filled": "'unknown' for null"}


def test_the_best_of_some_constants_must_be_better_than_one() -> None:
    # Four fifths of the source are that value: 33 cells of 33 are that by chance once in 1,300 times.
    words = ["bronze", "bronze", "bronze", "gold"] * 30
    emptied = online(column([None] * 33 + words, pa.string()), column(["bronze"] * 33 + words))
    assert named(emptied) == {"unexplained": 33}


def test_a_number_for_nothing_beside_what_nobody_knows() -> None:
    tenths = [number / 10 for number in range(11)] * 20
    served = [0.0] * 7 + [0.3, 0.7, 0.2, 0.9]
    cells = online(column(served + tenths), column([None] * len(served) + tenths, pa.float64()))
    assert named(cells) == {"default_filled": 7, "unexplained": 4}


@pytest.mark.parametrize("factor", [1.609344, 0.001, 100.0, -1.0, 3.0])
def test_rescaled(factor: float) -> None:
    values = floats(20)
    found = attribute(online(column(values * factor), column(values)))
    assert (set(found.causes), found.constants) == ({"rescaled"}, {"rescaled": f"by {factor:.7g}"})
    whole = RANDOM.integers(1000, 10**6, size=20)
    assert named(online(column(whole * 60), column(whole))) == {"rescaled": 20}
    vectors = RANDOM.normal(size=(12, 3)).astype(np.float32)
    kind = pa.list_(pa.float32())
    assert named(online(column((vectors * factor).tolist(), kind), column(vectors.tolist(), kind))) == {"rescaled": 12}


def test_one_value_alone_and_few_cells_fit_any_factor() -> None:
    assert named(online(column([6.0] * 40), column([2.0] * 40))) == {"unexplained": 40}
    assert named(online(column([6.0, 8.0]), column([3.0, 4.0]))) == {"unexplained": 2}


def test_swapped_with_another_feature_of_the_row() -> None:
    values, other = floats(30), floats(30)
    found = attribute(
        online(column(other), column(values), {"view__other": column(other), "view__more": column(values)})
    )
    assert (set(found.causes), found.constants) == ({"swapped_feature"}, {"swapped_feature": "with view__other"})


def test_small_numbers_swapped_are_found_where_there_are_enough_of_them() -> None:
    level, rank = RANDOM.integers(0, 4, size=(2, 200))
    assert set(named(online(column(rank), column(level), {"rank": column(rank)}))) == {"swapped_feature"}
    few = online(column(rank[:5]), column(level[:5]), {"rank": column(rank[:5])})
    assert set(named(few)) == {"unexplained"}


def test_a_constant_is_no_swap() -> None:
    level = RANDOM.integers(10, 90, size=100)
    ones = column(np.ones(100, dtype=np.int64))
    assert "swapped_feature" not in named(online(ones, column(level), {"constant": ones}))


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 2**32), st.sampled_from(["bool", "small", "text", "float", "vector"]))
def test_noise_has_no_cause(seed: int, kind: str) -> None:
    """Whatever is served in place of the right value: no cause is named for more cells than chance would."""
    random = np.random.default_rng(seed)
    draws: dict[str, Callable[[], Any]] = {
        "bool": lambda: random.random(200) < 0.5,
        "small": lambda: random.integers(0, 5, size=200),
        "text": lambda: np.array(["", "a", "b", "none"])[random.integers(0, 4, size=200)],
        "float": lambda: random.normal(size=200).round(1),
        "vector": lambda: random.integers(0, 3, size=(200, 2)).astype(float).tolist(),
    }
    served, baseline, *others = (column(draws[kind]()) for _ in range(8))
    cells = online(served, baseline, {str(number): other for number, other in enumerate(others)})
    assert named(cells) == {"unexplained": len(cells)}


@settings(deadline=None, max_examples=15, derandomize=True)
@given(st.floats(0.1, 0.9), st.integers(0, 2**32))
def test_two_causes_in_one_feature_do_not_hide_each_other(share: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    values, other = random.uniform(1, 1000, size=(2, 200))
    first = random.random(200) < share
    cells = online(column(np.where(first, values * 2.54, other)), column(values), {"other": column(other)})
    assert named(cells).get("rescaled", 0) == first.sum()
    assert named(cells).get("swapped_feature", 0) == (~first).sum()


def test_what_nobody_knows_does_not_hide_a_factor_that_fits_many_values() -> None:
    values = floats(100)
    served = np.where(np.arange(100) < 30, values * 2.2, RANDOM.uniform(1, 1000, size=100))
    assert named(online(column(served), column(values))) == {"rescaled": 30, "unexplained": 70}


def test_few_values_that_were_served_often_are_rescaled_where_the_source_has_many() -> None:
    values = floats(400)
    # Five entities, asked for eight times each; and ten values that nobody knows.
    right = np.concatenate([np.repeat(values[:5], 8), values[5:15], values])
    served = np.concatenate([np.repeat(values[:5], 8) * 1.609344, RANDOM.uniform(1, 1000, size=10), values])
    assert named(online(column(served), column(right))) == {"rescaled": 40, "unexplained": 10}
    # Where all are the same few whole numbers, a factor of two is no sign.
    small, drawn = RANDOM.integers(1, 5, size=(2, 60))
    assert named(online(column(drawn), column(small))) == {"unexplained": int((small != drawn).sum())}


def test_two_units_in_one_feature() -> None:
    values = floats(60)
    served = values * np.where(np.arange(60) % 3, 1.609344, 1000)
    found = attribute(online(column(served), column(values)))
    assert set(found.causes) == {"rescaled"}
    assert found.constants == {"rescaled": "by 1.609344; by 1000"}


def test_entities_that_are_asked_for_again_and_again_are_one_piece_of_evidence_each() -> None:
    values = np.repeat(floats(7), 3)
    noise = RANDOM.uniform(1, 1000, size=21)
    both = online(column([*(values * 60), *noise]), column([*values, *floats(21)]))
    assert named(both) == {"rescaled": 21, "unexplained": 21}
    # Seven cells of two values, beside others: small whole numbers fit many a factor.
    small = online(column([4, 6, 4, 6, 4, 6, 4, *range(100, 121)]), column([2, 3, 2, 3, 2, 3, 2, *range(7, 28)]))
    assert "rescaled" not in named(small)


def shifted(shift: int, *, moved: bool, keys: int = 40, flags: bool = False, unknown: int = 0) -> DifferingCells:
    """Make cells of keys with a row every 37 minutes, of which the one is served that is current `shift` later.

    With `flags` the feature is a bool. The last `unknown` keys are served their right row, with another value in it.
    """
    each = 80
    events = np.tile(NOW + (np.arange(each) - each // 2) * 37 * MINUTE, keys) + RANDOM.integers(0, MINUTE, keys * each)
    codes = np.repeat(np.arange(keys), each)
    drawn: Any = RANDOM.random(keys * each) < 1 / 2 if flags else RANDOM.normal(size=keys * each)
    values = column(drawn)
    source = SourceRows(codes, events, events, {"x": values})
    key, at = np.arange(keys), np.full(keys, NOW)
    right, wrong = source.latest(key, at, None, known=True), source.latest(key, at + shift, None, known=False)
    served = drawn[wrong]
    served[keys - unknown :] = ~drawn[right[keys - unknown :]] if flags else RANDOM.normal(size=unknown)
    event = np.where(np.arange(keys) < keys - unknown, events[wrong] - (shift if moved else 0), events[right])
    first, end = source.span(key, *bounds(event, 1))
    cells = DifferingCells(
        served=column(served),
        baseline=values.take(pa.array(right)),
        served_event=event,
        served_at=at,
        ttl=None,
        evidence=Evidence(
            source=source,
            values=values,
            training=right,
            known=right,
            known_ever=right,
            first_at=first,
            end_at=end,
            at_event=source.known_within(first, end, at),
            waiting_since=np.full(keys, NO_TIME),
            numbers=key,
            feature="x",
            wider=lambda: Wider(source, key),
        ),
        fingerprints_differ=np.zeros(keys, dtype=bool),
    )
    return cells.take(np.flatnonzero(compare(cells.served, cells.baseline).different))


@pytest.mark.parametrize(
    ("shift", "says"),
    [
        (-5 * HOUR, "by -5 h"),
        (330 * MINUTE, "by +5 h 30 min"),
        (-LONGEST, "by -14 h"),
        (345 * MINUTE, "by +5 h 45 min"),
    ],
)
def test_timestamp_shift(shift: int, says: str) -> None:
    found = attribute(shifted(shift, moved=True))
    assert (set(found.causes), found.constants) == ({"timestamp_shift"}, {"timestamp_shift": says})


def test_a_shift_of_few_flags_beside_what_nobody_knows() -> None:
    found = attribute(shifted(270 * MINUTE, moved=True, keys=40, flags=True, unknown=20))
    assert found.constants == {"timestamp_shift": "by +4 h 30 min"}
    assert found.causes.tolist().count("unexplained") == 20


def test_flags_that_nobody_knows_are_not_shifted() -> None:
    assert named(shifted(HOUR, moved=True, keys=30, flags=True, unknown=30)) == {"unexplained": 30}


def test_a_shift_that_no_time_zone_has_is_none() -> None:
    assert set(attribute(shifted(-200 * MINUTE - MINUTE // 2, moved=True)).causes) == {"unexplained"}


def test_older_rows_as_they_are_are_stale_and_not_shifted() -> None:
    assert set(attribute(shifted(-5 * HOUR, moved=False)).causes) == {"stale_online"}


def test_on_demand_outputs() -> None:
    values = floats(30)
    noise = column(floats(30))
    assert named(on_demand(online(noise, column(values)), edited=True)) == {"transform_version": 30}
    assert named(on_demand(online(noise, column(values)))) == {"transform_divergence": 30}
    # An edit that changes a factor is an edit; the same function in float32 is a matter of precision.
    assert named(on_demand(online(column(values * 2), column(values)), edited=True)) == {"transform_version": 30}
    narrow = column(values.astype(np.float32).astype(np.float64))
    assert named(on_demand(online(narrow, column(values)))) == {"precision": 30}


def test_no_cells_have_no_causes() -> None:
    assert len(attribute(online(column([], pa.float64()), column([], pa.float64()))).causes) == 0
