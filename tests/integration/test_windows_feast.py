"""Windows through a real Feast repo: what training retrieves is what the online store serves, expiry included."""

from __future__ import annotations

import inspect
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, Project, ValueType, types
from feast.repo_contents import RepoContents

from skew_ext.baseline.plan import parse_interval
from skew_ext.windows import WindowedAggregate, Windows
from tests.servers import RedisServer
from tests.windows import NOON, bits

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CARDS = [1, 2, 3, 4]  # nobody paid with card 4
CARD = Entity(name="card", join_keys=["card"], value_type=ValueType.INT64)
SPENDING = Windows(
    keys={"card": "Int64"},
    columns={"amount": "Float64", "shop": "String", "payment": "Int64"},
    aggregates=[
        WindowedAggregate("payments", "count", HOUR),
        WindowedAggregate("spend", "sum", HOUR, column="amount"),
        WindowedAggregate("mean", "mean", 2 * HOUR, column="amount"),
        WindowedAggregate("least", "min", HOUR, column="amount", closed="left"),
        WindowedAggregate("shops", "count_distinct", 2 * HOUR, column="shop"),
        WindowedAggregate("shop", "last", HOUR, column="shop"),
        WindowedAggregate("payments_of_the_hour", "count", HOUR, closed="left", slide_interval=HOUR),
    ],
    arrived="arrived",
    event_id="payment",
    order="payment",
    allowed_lateness=20 * MINUTE,
)


def payments() -> list[dict[str, Any]]:
    """Give three hours of payments: some minutes late, some twice, some at one time, some too late to count."""
    random = np.random.default_rng(11)
    events: list[dict[str, Any]] = []
    for payment in range(60):
        moment = NOON + timedelta(seconds=int(random.integers(0, 180)) * 60)
        delay = timedelta(minutes=int(random.choice([0, 0, 3, 15, 25])))
        events.append(
            {
                "card": int(random.integers(1, 4)),
                "event_timestamp": moment,
                "arrived": moment + delay,
                "amount": float(np.round(random.lognormal(2, 1), 2)) if random.random() < 0.9 else None,
                "shop": str(random.choice(["bakery", "kiosk", "Café"])),
                "payment": payment,
            }
        )
    return events + [{**event, "arrived": event["arrived"] + MINUTE} for event in events[:10]]


def make_store(path: Path, rows: pa.Table, online_store: dict[str, Any]) -> FeatureStore:
    pq.write_table(rows, path / "spending.parquet")
    config = {
        "project": "windows",
        "provider": "local",
        "registry": str(path / "registry.db"),
        "online_store": online_store,
        "offline_store": {"type": "duckdb"},
        "entity_key_serialization_version": 3,
    }
    (path / "feature_store.yaml").write_text(yaml.safe_dump(config))
    store = FeatureStore(repo_path=str(path))
    store.apply([CARD, view(path, SPENDING)])
    return store


def view(path: Path, windows: Windows) -> FeatureView:
    return FeatureView(
        name="spending",
        entities=[CARD],
        tags=windows.tags,
        ttl=timedelta(0),
        schema=[Field(name=name, dtype=getattr(types, kind)) for name, kind in windows.outputs.items()],
        source=FileSource(
            name="spending",
            path=str(path / "spending.parquet"),
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        ),
    )


REFERENCES = [f"spending:{name}" for name in SPENDING.outputs]


def online(store: FeatureStore) -> list[dict[str, str]]:
    columns = store.get_online_features(REFERENCES, [{"card": card} for card in CARDS]).to_dict()
    return [{name: bits(columns[name][place]) for name in SPENDING.outputs} for place in range(len(CARDS))]


def offline(store: FeatureStore, moment: datetime) -> list[dict[str, str]]:
    asked = pd.DataFrame({"card": CARDS, "event_timestamp": pd.Timestamp(moment).as_unit("us")})
    rows = store.get_historical_features(asked, REFERENCES).to_arrow().sort_by("card").to_pylist()
    return [{name: bits(row[name]) for name in SPENDING.outputs} for row in rows]


def of_rows(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{name: bits(value) for name, value in row.items()} for row in rows]


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_training_serving_history_and_stream_agree_to_the_bit(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    online_store = {"type": "sqlite", "path": str(tmp_path / "online.db")}
    if kind == "redis":
        server: RedisServer = request.getfixturevalue("redis_db")
        online_store = {"type": "redis", "connection_string": server.connection_string}
    events = payments()
    store = make_store(tmp_path, SPENDING.source_rows(pa.Table.from_pylist(events)), online_store)
    waiting = sorted(events, key=lambda event: event["arrived"])
    aggregator = SPENDING.aggregator()
    begun = NOON - MINUTE
    for moment in (NOON + minutes * MINUTE for minutes in (45, 60, 125, 180, 230, 400)):
        while waiting and waiting[0]["arrived"] <= moment:
            aggregator.add(waiting.pop(0))
        asked = pa.table({"card": CARDS, "event_timestamp": [moment] * len(CARDS)})
        history = of_rows(SPENDING.on_history(pa.Table.from_pylist(events), asked).to_pylist())
        store.materialize(begun, moment)
        # A card that never paid has no row in Feast; its counts are null there, and zero here.
        assert [of_rows([aggregator.value(card, moment)])[0] for card in CARDS] == history
        assert offline(store, moment)[:3] == history[:3], moment
        assert online(store)[:3] == history[:3], moment
        assert set(offline(store, moment)[3].values()) == set(online(store)[3].values()) == {"None"}
        begun = moment
    assert {row["payments"] for row in history[:3]} == {"int:0"}  # all has decayed: no event for hours
    assert aggregator.outcomes["late"] > 0
    assert aggregator.outcomes["duplicate"] > 0


def test_rows_pushed_as_they_are_due_keep_the_online_store_at_the_aggregators_values(tmp_path: Path) -> None:
    store = make_store(tmp_path, SPENDING.source_rows(pa.Table.from_pylist(payments()[:1])), {"type": "sqlite"})
    waiting = sorted(payments(), key=lambda event: event["arrived"])
    aggregator = SPENDING.aggregator()
    start = NOON - MINUTE
    for end in (NOON + minutes * MINUTE + timedelta(seconds=30) for minutes in range(15, 400, 15)):
        while waiting and waiting[0]["arrived"] < end:
            aggregator.add(waiting.pop(0))
        due = SPENDING.due(aggregator, start, end)
        if due.num_rows:  # Feast warns of an empty frame
            store.write_to_online_store("spending", due.to_pandas())
        start = end
        served = [of_rows([aggregator.value(card, end)])[0] for card in CARDS[:3]]
        written = online(store)[:3]
        # A card that has not paid yet has no row; its counts are null in Feast.
        assert all(row == told for row, told in zip(written, served, strict=True) if set(row.values()) != {"None"}), end
    assert {row["payments"] for row in online(store)[:3]} == {"int:0"}


def test_without_expiry_rows_the_online_store_keeps_the_last_sum(tmp_path: Path) -> None:
    # Why the rows exist. This is Feast as it is: a row for each event, and no more.
    events = pa.Table.from_pylist(payments())
    rows = SPENDING.source_rows(events)
    entering = set(events["arrived"].to_pylist())
    rows = rows.filter(pa.array([moment in entering for moment in rows["event_timestamp"].to_pylist()]))
    store = make_store(tmp_path, rows, {"type": "sqlite", "path": str(tmp_path / "online.db")})
    store.materialize(NOON - MINUTE, NOON + 10 * HOUR)
    served = [row["payments"] for row in online(store)[:3]]
    assert all(int(value.removeprefix("int:")) > 0 for value in served)
    assert offline(store, NOON + 10 * HOUR)[:3] == online(store)[:3]  # and training has the same stale sums


def test_an_edited_definition_shows_in_feast_plan(tmp_path: Path) -> None:
    store = make_store(tmp_path, SPENDING.source_rows(pa.Table.from_pylist(payments())), {"type": "sqlite"})
    assert parse_interval(SPENDING.tags["skew.lookback"]) == 2 * HOUR
    edited = replace(SPENDING, allowed_lateness=timedelta(minutes=5))
    assert _planned(store, view(tmp_path, SPENDING)) == []
    assert "tags" in _planned(store, view(tmp_path, edited))


def _planned(store: FeatureStore, wanted: FeatureView) -> list[str]:
    lists: dict[str, Any] = {name: [] for name in inspect.signature(RepoContents).parameters}
    lists |= {"projects": [Project(name="windows")], "feature_views": [wanted], "entities": [CARD]}
    lists["data_sources"] = [wanted.batch_source]
    registry, _, _ = store.plan(RepoContents(**lists))
    return [
        change.property_name
        for diff in registry.feast_object_diffs
        if diff.name == "spending" and diff.feast_object_type.value == "feature view"
        for change in diff.feast_object_property_diffs
    ]
