"""Leakage on real repos: each leak that is put in is named for what it is, and a clean training set gives nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from skew_ext import request_context, training_set_from_log
from skew_ext.shipping.shipper import Shipper
from tests.kit import HOUR, MINUTE, NOON, Repo, row
from tests.leaks import DRIVERS, FEATURES, REFERENCES, ROWS, asked, check, codes, history, latest, retrieved


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    made = Repo(tmp_path_factory.mktemp("leakage") / "repo")
    made.write(history())
    return made


@pytest.fixture(scope="module")
def training(repo: Repo) -> pd.DataFrame:
    return retrieved(repo, asked())


def test_a_training_set_from_feast_itself_has_no_leak(repo: Repo, training: pd.DataFrame) -> None:
    report = check(repo, training)
    assert (report.verdict, report.findings, report.notes) == ("pass", [], [])
    assert (report.rows, report.checked) == (ROWS, ROWS)
    assert report.features == {name: f"stats__{name}" for name in FEATURES}


@pytest.mark.parametrize("seed", range(1, 9))
def test_clean_training_sets_of_many_repos_have_none(tmp_path: Path, seed: int) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write(history(seed))
    for rows in (1, 20, 400):
        report = check(repo, retrieved(repo, asked(seed, rows)))
        assert (report.findings, report.verdict) == ([], "pass")


def test_the_latest_values_are_a_join_without_time(repo: Repo, training: pd.DataFrame) -> None:
    report = check(repo, latest(training))
    assert codes(report) == [("fail", "joined_without_time", "stats")]
    finding = report.findings[0]
    assert finding.features == ("rating", "trips", "city")
    assert finding.rows > 0.95 * ROWS
    assert finding.share == finding.rows / ROWS
    assert finding.ci95 is not None
    assert finding.ci95[0] < finding.share <= finding.ci95[1]
    assert len(finding.examples) == 5
    example = finding.examples[0]
    assert example["source_event"] == NOON
    assert {"row", "driver", "event_timestamp", "rating", "rating at its time"} <= set(example)


def test_the_last_value_of_each_column_is_a_join_without_time_too(repo: Repo, training: pd.DataFrame) -> None:
    # pandas' `last` skips nulls: the rating may be of another row than the rest.
    last = pd.DataFrame(history()).sort_values("event_timestamp").groupby("driver").last().reset_index()
    report = check(repo, training.drop(columns=FEATURES).merge(last[["driver", *FEATURES]], on="driver"))
    found = {
        name: finding.code for finding in report.findings for name in finding.features if finding.severity == "fail"
    }
    assert found["trips"] == found["city"] == "joined_without_time"
    assert found["rating"] in ("joined_without_time", "future_value")


@pytest.mark.parametrize("rows", [5, 60])
def test_a_few_rows_from_the_future_are_found_among_many(repo: Repo, training: pd.DataFrame, rows: int) -> None:
    chosen = np.random.default_rng(1).choice(
        np.flatnonzero(training["event_timestamp"] < NOON - 9 * HOUR), rows, replace=False
    )
    last = pd.DataFrame(history()).sort_values("event_timestamp").groupby("driver").tail(1).set_index("driver")
    leaky = training.copy()
    for name in FEATURES:
        leaky.loc[chosen, name] = last[name].loc[leaky.loc[chosen, "driver"]].to_numpy()
    report = check(repo, leaky)
    assert codes(report) == [("fail", "future_value", "stats")]
    finding = report.findings[0]
    assert 0.9 * rows <= finding.rows <= rows
    assert {example["row"] for example in finding.examples} <= set(chosen.tolist())
    assert all(example["source_event"] > example["event_timestamp"] for example in finding.examples)  # type: ignore[operator]


def test_one_column_of_a_view_from_the_future_is_found_alone(repo: Repo, training: pd.DataFrame) -> None:
    ahead = retrieved(repo, asked().assign(event_timestamp=lambda frame: frame["event_timestamp"] + 30 * HOUR))
    random = np.random.default_rng(3)
    chosen = random.choice(ROWS, 200, replace=False)
    leaky = training.copy()
    leaky.loc[chosen, "rating"] = ahead.loc[chosen, "rating"]
    report = check(repo, leaky)
    assert codes(report) == [("fail", "future_value", "rating")]
    assert 100 < report.findings[0].rows <= 200


def of_kind(kind: str) -> list[dict[str, Any]]:
    """Make histories whose values repeat: a coin, a flag that goes up once, few numbers, a counter, a slow number."""
    random, rows = np.random.default_rng(4), []
    for driver in range(1, DRIVERS + 1):
        rises, slow = int(random.integers(1, 72)), 0.0
        for hour in range(72, 0, -1):
            slow = float(random.normal()) if random.random() < 0.1 else slow
            values = {
                "coin": float(random.integers(0, 2)),
                "flag": float(hour < rises),
                "few": float(random.integers(0, 5)),
                "counter": float(max(72 - hour - rises, 0) // 2),
                "slow": slow,
            }
            rows.append(row(driver, NOON - hour * HOUR, values[kind]))
    return rows


@pytest.mark.parametrize("kind", ["coin", "flag", "few", "counter", "slow"])
def test_leaks_are_found_where_values_repeat_and_chance_is_none(tmp_path: Path, kind: str) -> None:
    repo = Repo(tmp_path / "repo")
    rows = of_kind(kind)
    repo.write(rows)
    entities = asked().assign(event_timestamp=lambda frame: frame["event_timestamp"] - 2 * HOUR)
    entities = entities[entities["event_timestamp"] > NOON - 70 * HOUR].reset_index(drop=True)
    right = retrieved(repo, entities)[["driver", "event_timestamp", "label", "rating"]]
    ahead = retrieved(repo, entities.assign(event_timestamp=entities["event_timestamp"] + 6 * HOUR))["rating"]
    behind = retrieved(repo, entities.assign(event_timestamp=entities["event_timestamp"] - 3 * HOUR))["rating"]
    last = pd.DataFrame(rows).groupby("driver").tail(1).set_index("driver")["rating"]
    assert check(repo, right).findings == []
    assert check(repo, right.assign(rating=right["rating"].where(right.index % 3 > 0, behind))).findings == []
    assert codes(check(repo, right.assign(rating=last[right["driver"]].to_numpy()))) == [
        ("fail", "joined_without_time", "rating")
    ]
    found = check(repo, right.assign(rating=ahead)).findings
    assert [finding.code for finding in found] == ["timestamp_shift"]
    assert "the values of 6 h later" in found[0].message


def test_older_values_are_no_leak(repo: Repo, training: pd.DataFrame) -> None:
    behind = retrieved(repo, asked().assign(event_timestamp=lambda frame: frame["event_timestamp"] - 2 * HOUR))
    stale = training.copy()
    stale.loc[:300, FEATURES] = behind.loc[:300, FEATURES]
    assert check(repo, stale).findings == []


@pytest.mark.parametrize("hours", [-5, 5.5])
def test_local_times_are_told_by_their_offset(repo: Repo, training: pd.DataFrame, hours: float) -> None:
    local = (training["event_timestamp"] + timedelta(hours=hours)).dt.tz_localize(None)
    report = check(repo, training.assign(event_timestamp=local))
    assert [finding.code for finding in report.findings] == ["timestamp_shift"]
    finding = report.findings[0]
    assert finding.severity == ("fail" if hours < 0 else "warn")
    assert f"the values of {'5 h later' if hours < 0 else '5 h 30 min earlier'} than their time" in finding.message
    assert "are they local, and not UTC?" in finding.message
    assert finding.rows > 0.9 * ROWS


def test_offsets_of_summer_and_winter_are_one_shift(repo: Repo, training: pd.DataFrame) -> None:
    offset = np.where(np.arange(ROWS) % 5 < 3, 4, 5)
    local = (training["event_timestamp"] - pd.to_timedelta(offset, unit="h")).dt.tz_localize(None)
    report = check(repo, training.assign(event_timestamp=local))
    assert [finding.code for finding in report.findings] == ["timestamp_shift"]


def test_times_without_a_zone_that_are_utc_are_a_note(repo: Repo, training: pd.DataFrame) -> None:
    report = check(repo, training.assign(event_timestamp=training["event_timestamp"].dt.tz_localize(None)))
    assert report.findings == []
    assert report.notes == ["'event_timestamp' holds times without a zone: they were taken as UTC, as Feast takes them"]


def test_values_that_only_a_later_row_tells_are_known_later(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    for late, severity in ((range(1, 2), "info"), (range(1, 10), "warn"), (range(1, DRIVERS + 1), "fail")):
        repo.write(history(late=dict.fromkeys(late, 50 * MINUTE)))
        report = check(repo, retrieved(repo, asked()))
        assert codes(report) == [(severity, "known_later", "stats")]
        expected = len(late) / DRIVERS * 50 / 60
        assert report.findings[0].share == pytest.approx(expected, rel=0.25)
        assert "min after, by the median): serving could not have known them" in report.findings[0].message
        example = report.findings[0].examples[0]
        assert example["source_created"] > example["event_timestamp"] >= example["source_event"]  # type: ignore[operator]


def test_filtered_by_created_time_nothing_is_known_later(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write(history(late=dict.fromkeys(range(1, DRIVERS + 1), 50 * MINUTE)))
    entities = asked()
    known = []
    for each in entities.itertuples():
        rows = [one for one in ROWS_OF_LATE[each.driver] if one["created"] <= each.event_timestamp]
        best = max(rows, key=lambda one: one["event_timestamp"], default=None)
        within = best is not None and best["event_timestamp"] >= each.event_timestamp - 2 * HOUR  # type: ignore[operator]
        known.append({name: best[name] if within and best else None for name in FEATURES})
    assert check(repo, pd.concat([entities, pd.DataFrame(known)], axis=1)).findings == []


ROWS_OF_LATE: dict[Any, list[dict[str, Any]]] = {}
for _one in history(late=dict.fromkeys(range(1, DRIVERS + 1), 50 * MINUTE)):
    ROWS_OF_LATE.setdefault(_one["driver"], []).append(_one)


def test_created_times_of_a_backfill_say_nothing(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    loaded = NOON + 48 * HOUR
    repo.write([{**one, "created": loaded} for one in history()])
    report = check(repo, retrieved(repo, asked()))
    assert (report.verdict, codes(report)) == ("pass", [("info", "created_is_backfill", "stats")])
    # Half of the history was loaded at once, and half came as it happened.
    cut = NOON - 50 * HOUR
    repo.write([{**one, "created": max(one["created"], cut)} for one in history()])
    report = check(repo, retrieved(repo, asked()))
    assert (report.verdict, codes(report)) == ("pass", [("info", "created_is_backfill", "stats")])


def test_preprocessing_is_noted_and_no_leak(repo: Repo, training: pd.DataFrame) -> None:
    prepared = training.assign(
        rating=training["rating"].fillna(0.0),
        trips=(training["trips"] - 25) / 14.4,
        city=training["city"].map({f"city {each}": each * 3 % 5 for each in range(5)}),
    )
    report = check(repo, prepared)
    assert report.findings == []
    assert any(note.startswith("rating: ") and note.endswith("nulls are filled, with 0.0") for note in report.notes)
    for name in ("trips", "city"):
        assert f"{name} was checked no further: it is a function of the right value" in report.notes


def test_values_of_no_row_at_all_are_told_with_both(repo: Repo, training: pd.DataFrame) -> None:
    wrong = training.copy()
    wrong.loc[:99, "rating"] = wrong.loc[:99, "rating"] + np.arange(100) / 7 + 0.01
    report = check(repo, wrong)
    assert codes(report) == [("warn", "not_point_in_time", "rating")]
    assert 80 <= report.findings[0].rows <= 100
    example = report.findings[0].examples[0]
    assert example["rating"] != example["rating at its time"]


def test_rows_lost_gained_and_repeated_are_counted(repo: Repo, training: pd.DataFrame) -> None:
    entities = training[["driver", "event_timestamp"]]
    assert check(repo, training, entity_rows=entities).findings == []
    stranger = training.iloc[[0]].assign(event_timestamp=NOON - 7 * HOUR - MINUTE, driver=3)
    changed = pd.concat(
        [training.iloc[5:], training.iloc[[5, 6, 7]], retrieved(repo, stranger[["driver", "event_timestamp", "label"]])]
    )
    report = check(repo, changed, entity_rows=pa.Table.from_pandas(entities, preserve_index=False))
    assert {finding.code: finding.rows for finding in report.findings} == {
        "rows_lost": 5,
        "rows_gained": 1,
        "rows_repeated": 3,
    }
    assert report.findings[0].examples[0]["driver"] == entities["driver"].iloc[0]
    assert report.verdict == "warn"


def test_a_store_that_drops_rows_is_caught_by_its_entity_rows(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", offline_store={"type": "dask"})
    repo.write(history())
    entities = pd.concat([asked(), asked(1, 40).assign(event_timestamp=NOON + 5 * HOUR)], ignore_index=True)
    dropped = repo.store.get_historical_features(entities, REFERENCES).to_df()
    report = check(repo, dropped, entity_rows=entities)
    assert [(finding.code, finding.rows) for finding in report.findings] == [
        ("rows_lost", len(entities) - len(dropped))
    ]
    assert report.findings[0].rows >= 40


def test_copies_of_rows_are_noted(repo: Repo, training: pd.DataFrame) -> None:
    fine = training.assign(x=np.random.default_rng(0).normal(size=ROWS))
    notes = check(repo, pd.concat([fine, fine.iloc[:100]])).notes
    assert len(notes) == 1
    assert notes[0].startswith(
        "100 of 1,600 rows are copies of another row in every column, the first of them row 1500"
    )


def test_no_time_a_guessed_time_and_one_time_for_all(repo: Repo, training: pd.DataFrame) -> None:
    report = check(repo, training.drop(columns="event_timestamp"))
    assert codes(report) == [("fail", "timestamp_missing", None)]
    assert report.checked == 0
    renamed = training.rename(columns={"event_timestamp": "at"})
    assert codes(check(repo, renamed)) == [("warn", "timestamp_guessed", "at")]
    assert check(repo, renamed, timestamp="at").findings == []
    two = check(repo, renamed.assign(seen=renamed["at"]))
    assert "'at', 'seen' all hold times" in two.findings[0].message
    snapshot = retrieved(repo, asked().assign(event_timestamp=NOON - HOUR))
    assert codes(check(repo, snapshot)) == [("warn", "timestamp_constant", "event_timestamp")]


def test_times_that_are_null_or_to_come_are_told(repo: Repo, training: pd.DataFrame) -> None:
    broken = training.copy()
    broken.loc[:4, "event_timestamp"] = pd.NaT
    report = check(repo, broken)
    assert codes(report) == [("warn", "timestamp_null", "event_timestamp")]
    assert report.checked == ROWS - 5
    assert any("5 rows lack a key or their time" in note for note in report.notes)
    early = check(repo, training, clock=lambda: NOON - 45 * HOUR)
    assert codes(early) == [("warn", "timestamp_in_future", "event_timestamp")]
    assert early.findings[0].share == pytest.approx(0.5, abs=0.05)


def test_a_training_set_made_of_the_log_has_no_leak(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write(history())
    service = repo.store.get_feature_service("scoring")
    for hour in range(12, 0, -1):
        repo.materialize(NOON - hour * HOUR)
        for part in range(6):
            # Half an hour passes before rows are online: much of what is served is older than what training sees.
            with request_context(request_id=f"{hour}-{part}", served_at=NOON - hour * HOUR + (part * 11) * MINUTE):
                repo.store.get_online_features(service, [{"driver": each} for each in range(part + 1, DRIVERS + 4, 6)])
    Shipper(repo.path / "data/skew/spool").drain()
    random = np.random.default_rng(0)
    labels = pd.DataFrame(
        [
            {
                "request_id": f"{hour}-{part}",
                "row": place,
                "label": int(random.integers(0, 2)),
                "observed_at": NOON + HOUR,
            }
            for hour in range(12, 0, -1)
            for part in range(6)
            for place in range(6)
        ]
    )
    made = training_set_from_log(repo.store, labels, "scoring")
    report = check(repo, made.table, features=service)
    assert (report.verdict, report.findings) == ("pass", [])
    assert report.checked == made.account.rows > 300
    assert report.features == {f"stats__{name}": f"stats__{name}" for name in FEATURES}
    assert check(repo, made.to_pandas()).findings == []
