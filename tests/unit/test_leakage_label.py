"""What columns tell of a label: leaks are found, and chance is not called one."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skew_ext.leakage import linear
from skew_ext.leakage.frame import read_frame
from skew_ext.leakage.label import LabelCheck, check_label
from skew_ext.leakage.target import Target, target

ROWS = 600
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def checked(frame: pd.DataFrame, *, timestamp: str | None = "event_timestamp", skipped: Any = ()) -> LabelCheck:
    read = read_frame(frame)
    read = read if timestamp is None else read.timed(timestamp)
    return check_label(read, "label", ["driver"], set(skipped))


def codes(result: LabelCheck) -> dict[str | None, str]:
    return {finding.feature: finding.code for finding in result.findings}


def clean(seed: int, rows: int = ROWS, entities: int = 60) -> pd.DataFrame:
    """Make a frame of columns of many kinds, none of which knows the label."""
    random = np.random.default_rng(seed)
    zeros = np.where(random.random(rows) < 0.8, 0.0, random.exponential(size=rows))
    nulls = np.where(random.random(rows) < 0.3, np.nan, random.normal(size=rows))
    seconds = np.sort(random.integers(0, 90 * 86_400, rows))
    drivers = random.integers(0, entities, rows)
    return pd.DataFrame(
        {
            "driver": drivers,
            "event_timestamp": pd.Timestamp(START) + pd.to_timedelta(seconds, unit="s"),
            "normal": random.normal(size=rows),
            "count": random.poisson(3, rows),
            "zeros": zeros,
            "nulls": nulls,
            "flag": random.random(rows) < 0.1,
            "rare": random.random(rows) < 2 / rows,
            "city": random.choice(np.array(["a", "b", "c", None], dtype=object), rows),
            "shop": [f"shop {each}" for each in random.integers(0, 80, rows)],
            "of_driver": (drivers * 7919 % 101) / 7,
            "home": [f"home {each}" for each in drivers],
            "total": np.cumsum(random.random(rows)),
            "row_number": np.arange(rows),
            "request": [f"r{each}" for each in range(rows)],
            "updated": pd.Timestamp(START) + pd.to_timedelta(seconds - random.integers(0, 9999, rows), unit="s"),
            "nothing": None,
            "same": 7,
            "label": random.integers(0, 2, rows),
        }
    )


def labelled(seed: int, kind: str, rows: int) -> pd.DataFrame:
    """Give a clean frame a label of a kind that tempts to false alarms."""
    random = np.random.default_rng(1000 + seed)
    frame = clean(seed, rows, entities=max(rows // 10, 6))
    labels: dict[str, Any] = {
        "even": random.integers(0, 2, rows),
        "rare": random.random(rows) < 0.03,
        "classes": random.choice(["x", "y", "z"], rows),
        "of the entity": (frame["driver"] * 31 % 7) < 3,
        "number": random.normal(size=rows),
        "walk": frame["driver"] % 3 + random.normal(size=rows) / 2,
        "with nulls": np.where(random.random(rows) < 0.4, np.nan, random.integers(0, 2, rows)),
        "few": np.arange(rows) < 3,
    }
    return frame.assign(label=labels[kind])


@pytest.mark.parametrize("kind", ["even", "rare", "classes", "of the entity", "number", "walk", "with nulls", "few"])
def test_clean_frames_give_nothing(kind: str) -> None:
    for seed in range(12):
        for rows in (24, 90, 400):
            result = checked(labelled(seed, kind, rows))
            assert result.findings == [], (seed, rows, result.findings)


def leaky() -> dict[str, tuple[Any, str]]:
    """Give columns that know the label, with the code of the finding that must come of each."""
    frame = clean(0)
    random = np.random.default_rng(5)
    label = frame["label"].to_numpy()
    shown = random.normal(size=ROWS)
    after = frame.sort_values("event_timestamp").groupby("driver")["label"].shift(-1)
    closed = frame["event_timestamp"] + pd.to_timedelta(3600 * (1 + 9 * label) + random.integers(0, 60, ROWS), unit="s")
    mostly_null = np.where(random.random(ROWS) < 0.99, np.nan, shown)
    columns = {
        "copy": label,
        "negated": 1 - label,
        "named": np.where(label == 1, "yes", "no"),
        "as_bool": label == 1,
        "present": np.where(label == 1, 3.5, np.nan),
        "decides": random.random(ROWS) + label,
        "opposite": random.random(ROWS) - 3 * label,
        "nearly": label + random.normal(scale=0.3, size=ROWS),
        "inside": np.where(label == 1, shown / 9, np.sign(shown) * (1 + np.abs(shown))),
        "null_when_0": np.where(label == 1, shown, mostly_null),
        "code": [f"{'p' if each else 'n'}{random.integers(0, 20)}" for each in label],
        "closed_at": closed,
        "next": after.to_numpy(),
    }
    copies = ("copy", "negated", "named", "as_bool", "present")
    told = {"next": "label_shifted", **dict.fromkeys(copies, "label_copy")}
    return {name: (values, told.get(name, "label_predicted")) for name, values in columns.items()}


@pytest.mark.parametrize("name", list(leaky()))
def test_a_column_that_knows_the_label_is_found(name: str) -> None:
    values, code = leaky()[name]
    result = checked(clean(0).assign(leak=values))
    assert codes(result) == {"leak": code}
    finding = result.findings[0]
    assert finding.features == ("leak",)
    assert finding.remedy
    assert len(finding.examples) == 5
    if code == "label_predicted":
        assert finding.score is not None
        assert finding.score_ci95 is not None
        assert finding.score_ci95[0] <= finding.score <= finding.score_ci95[1]
        assert finding.score_ci95[0] > 0.95


def test_where_a_column_decides_it_is_said_from_which_value() -> None:
    frame = clean(0)
    frame["leak"] = np.where(frame["label"] == 1, 15.0, 14.0) + np.where(frame["label"] == 1, 1, -1) * np.arange(ROWS)
    assert "without an error: label is" in checked(frame).findings[0].message
    late = frame.assign(label=frame["leak"] >= 15)
    assert checked(late).findings[0].message.endswith("without an error: label is True from 15 up")


def test_the_label_of_the_row_before_is_noted_and_no_finding() -> None:
    frame = clean(0).sort_values("event_timestamp")
    before = frame.groupby("driver")["label"].shift(1)
    result = checked(frame.assign(last=before))
    assert result.findings == []
    assert any("last is the label of the previous row of its entity" in note for note in result.notes)


def test_each_class_of_several_is_set_against_the_rest() -> None:
    frame = clean(3).assign(label=np.random.default_rng(1).choice(["x", "y", "z"], ROWS))
    known = np.where(frame["label"] == "y", 1.0, 0.0) + np.random.default_rng(2).normal(scale=0.2, size=ROWS)
    result = checked(frame.assign(leak=known))
    assert codes(result) == {"leak": "label_predicted"}
    assert "tells label = 'y' from the rest with an AUC" in result.findings[0].message


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda y: y, "label_copy"),
        (lambda y: 1.8 * y + 32, "label_function"),
        (np.exp, "label_function"),
        (lambda y: y > 0.5, "label_function"),
        (lambda y: y + np.random.default_rng(0).normal(scale=0.01, size=ROWS), "label_predicted"),
        (lambda y: np.round(y, 1), "label_predicted"),
    ],
)
def test_a_label_that_is_a_number_is_told_by_r2(made: Any, code: str) -> None:
    numbers = np.random.default_rng(9).normal(size=ROWS)
    result = checked(clean(1).assign(label=numbers, leak=made(numbers)))
    assert codes(result) == {"leak": code}
    if code == "label_predicted":
        assert "(a number, so by R2) with an R2 of" in result.findings[0].message


def test_persistence_of_a_number_is_no_leak() -> None:
    random = np.random.default_rng(0)
    yesterday = np.cumsum(random.normal(size=ROWS))
    assert checked(clean(1).assign(label=yesterday + random.normal(scale=2, size=ROWS), last=yesterday)).findings == []


def test_what_no_column_tells_alone_a_linear_model_tells() -> None:
    frame, random = clean(2), np.random.default_rng(3)
    noise = random.normal(scale=3, size=ROWS)
    result = checked(frame.assign(with_noise=frame["label"] + noise, noise=noise))
    assert [finding.code for finding in result.findings] == ["label_predicted_by_model"]
    assert set(result.findings[0].features[:2]) == {"with_noise", "noise"}
    assert "logistic regression over" in result.findings[0].message
    numbers = random.normal(size=ROWS)
    result = checked(frame.assign(label=numbers, with_noise=numbers + noise, noise=noise))
    assert [finding.code for finding in result.findings] == ["label_predicted_by_model"]


def test_without_scikit_learn_one_line_says_what_was_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "installed", lambda: False)
    frame, noise = clean(2), np.random.default_rng(3).normal(scale=3, size=ROWS)
    result = checked(frame.assign(with_noise=frame["label"] + noise, noise=noise, copy=frame["label"]))
    assert codes(result) == {"copy": "label_copy"}
    assert [note for note in result.notes if "pip install 'skew-ext[leakage]'" in note and "\n" not in note]


def test_labels_drawn_from_periods_apart_are_told_by_time() -> None:
    frame = clean(4).sort_values("event_timestamp", ignore_index=True)
    result = checked(frame.assign(label=np.arange(ROWS) > ROWS / 2).drop(columns=["total", "row_number"]))
    assert codes(result)["event_timestamp"] == "label_by_time"


def test_few_entities_are_not_many_rows() -> None:
    drivers = np.repeat(np.arange(8), 200)
    frame = pd.DataFrame({"driver": drivers, "label": drivers % 2, "age": drivers % 2 * 10 + drivers / 100, "x": 1.0})
    assert checked(frame, timestamp=None).findings == []
    # The same, of many entities, is a leak.
    many = np.repeat(np.arange(400), 4)
    frame = pd.DataFrame({"driver": many, "label": many % 2, "age": many % 2 * 10 + many / 1000, "x": 1.0})
    assert codes(checked(frame, timestamp=None)) == {"age": "label_predicted"}


def test_what_was_left_out_is_said() -> None:
    frame = clean(0)
    frame["embedding"] = [[1.0, float(each)] for each in frame["label"]]
    frame.loc[:9, "label"] = None
    result = checked(frame.assign(weight=frame["label"].fillna(0) + 1), skipped=["weight"])
    assert result.findings == []
    assert any("10 rows without a label" in note for note in result.notes)
    named = next(note for note in result.notes if note.startswith("not set against the label"))
    assert all(name in named for name in ("embedding", "request", "row_number"))


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ([None] * 50, "every label is null"),
        ([1] * 50, "one value alone (1)"),
        ([1] + [0] * 49, "its rarest class has 1 rows"),
        ([f"id {each}" for each in range(50)], "50 classes, more than the 20 that are checked: is it an identifier?"),
        (np.linspace(0, 1, 49), "49 rows with a label are too few"),
        ([[1.0]] * 50, "of type list<item: double>"),
        ([float("inf"), *np.arange(48.0)], "48 rows with a label are too few"),
    ],
)
def test_a_label_that_cannot_be_checked_is_said_to_be_none(label: Any, why: str) -> None:
    frame = pd.DataFrame({"label": label, "x": np.arange(len(label)) / 7})
    assert why in str(target(read_frame(frame).columns["label"]))
    result = checked(frame, timestamp=None)
    assert result.findings == []
    assert why in result.notes[0]


def test_labels_of_several_kinds_are_read() -> None:
    kinds: dict[str, Any] = {
        "bool": np.arange(60) % 2 == 0,
        "text": np.where(np.arange(60) % 2 == 0, "a", "b"),
        "classes": np.arange(60) % 3,
        "category": pd.Categorical(np.where(np.arange(60) % 2 == 0, "a", "b")),
        "many": np.arange(60.0),
        "time": pd.Timestamp(START) + pd.to_timedelta(np.arange(60), unit="s"),
    }
    read = {
        name: target(read_frame(pd.DataFrame({"label": values})).columns["label"]) for name, values in kinds.items()
    }
    assert all(isinstance(one, Target) for one in read.values())
    assert [name for name, one in read.items() if isinstance(one, Target) and one.kind == "number"] == ["many", "time"]


def test_of_very_many_rows_whole_entities_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skew_ext.leakage.label.MOST_ROWS", 300)
    frame = clean(0)
    after = frame.sort_values("event_timestamp").groupby("driver")["label"].shift(-1)
    result = checked(frame.assign(copy=frame["label"], next=after))
    assert codes(result) == {"copy": "label_copy", "next": "label_shifted"}
    note = next(note for note in result.notes if note.startswith("the label was set against"))
    assert "of 600 rows, whole entities" in note
    assert 250 < result.findings[0].checked <= 300
    assert checked(frame.assign(driver=1, copy=frame["label"])).findings[0].checked == 300
