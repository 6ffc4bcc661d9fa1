"""One definition gives the same to the bit as a batch, by the row, and through Feast offline and online."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RequestSource, ValueType, types
from feast.on_demand_feature_view import OnDemandFeatureView

from skew_ext import feature_transform
from skew_ext.errors import TransformError

LIBRARY = """
import numpy as np
from skew_ext import feature_transform

RATE = 1.3

def grown(x):
    return np.exp(x) ** RATE

@feature_transform(
    inputs={"wide": "Float64", "narrow": "Float32", "big": "Int64", "flag": "Bool", "name": "String",
            "time": "UnixTimestamp", "asked": "Int64"},
    outputs={"grown": "Float64", "half": "Float32", "since": "Int64", "small": "Int32", "off": "Bool",
             "shout": "String", "later": "UnixTimestamp"},
    version="7",
)
def everything(wide, narrow, big, flag, name, time, asked):
    return {
        "grown": grown(wide),
        "half": narrow * np.float32(0.5),
        "since": asked - big,
        "small": (asked % 7).astype(np.int32),
        "off": ~flag,
        "shout": np.array([None if text is None else text.upper() for text in name], dtype=object),
        "later": time + np.timedelta64(60, "s"),
    }
"""
KINDS = {
    "wide": "Float64",
    "narrow": "Float32",
    "big": "Int64",
    "flag": "Bool",
    "name": "String",
    "time": "UnixTimestamp",
}
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
FULL: dict[str, Any] = {"wide": 0.1, "narrow": 0.25, "big": 2**53 - 1, "flag": True, "name": "é", "time": NOON}
ROWS = [FULL, *({**FULL, column: None} for column in FULL), {**FULL, "wide": -0.0, "narrow": 0.1, "name": ""}]
ASKED = int(NOON.timestamp())
SCHEMA = pa.schema(
    {
        "key": pa.int64(),
        "event_timestamp": pa.timestamp("us", tz="UTC"),
        "wide": pa.float64(),
        "narrow": pa.float32(),
        "big": pa.int64(),
        "flag": pa.bool_(),
        "name": pa.string(),
        "time": pa.timestamp("us", tz="UTC"),
    }
)


@pytest.fixture
def everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "shared_everything.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from shared_everything import everything  # type: ignore[import-not-found]  # noqa: PLC0415

    yield everything
    del sys.modules["shared_everything"]


def source_view(path: Path) -> FeatureView:
    rows = [{"key": key, "event_timestamp": NOON, **row} for key, row in enumerate(ROWS)]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path / "rows.parquet")
    return FeatureView(
        name="measured",
        entities=[Entity(name="key", join_keys=["key"], value_type=ValueType.INT64)],
        ttl=timedelta(days=1),
        schema=[Field(name=name, dtype=getattr(types, kind)) for name, kind in KINDS.items()],
        source=FileSource(name="rows", path=str(path / "rows.parquet"), timestamp_field="event_timestamp"),
    )


def asking() -> RequestSource:
    return RequestSource(name="ask", schema=[Field(name="asked", dtype=types.Int64)])


@pytest.fixture
def store(tmp_path: Path, everything: Any) -> FeatureStore:
    config = {
        "project": "shared",
        "provider": "local",
        "registry": str(tmp_path / "registry.db"),
        "online_store": {"type": "sqlite", "path": str(tmp_path / "online.db")},
        "offline_store": {"type": "duckdb"},
        "entity_key_serialization_version": 3,
    }
    (tmp_path / "feature_store.yaml").write_text(yaml.safe_dump(config))
    view = source_view(tmp_path)
    demanded = everything.on_demand_feature_view(name="demanded", sources=[view, asking()], description="All types.")
    store = FeatureStore(repo_path=str(tmp_path))
    store.apply([Entity(name="key", join_keys=["key"], value_type=ValueType.INT64), view, demanded])
    store.materialize(NOON - timedelta(hours=1), NOON + timedelta(hours=1))
    # A store of its own has the view as every reader has it: out of the registry.
    return FeatureStore(repo_path=str(tmp_path))


def expected(everything: Any) -> list[dict[str, Any]]:
    table = pa.Table.from_pylist([{**row, "asked": ASKED} for row in ROWS])
    rows = [everything.on_row({**row, "asked": ASKED}) for row in ROWS]
    assert everything.on_batch(table).to_pylist() == rows
    return rows


KEYS = [{"key": key, "asked": ASKED} for key in range(len(ROWS))]


def test_batch_row_and_online_agree_to_the_bit(store: FeatureStore, everything: Any) -> None:
    online = store.get_online_features([f"demanded:{name}" for name in everything.outputs], KEYS).to_dict()
    for name in everything.outputs:
        assert list(map(repr, online[name])) == [repr(row[name]) for row in expected(everything)], name


@pytest.mark.parametrize("full_names", [False, True])
def test_batch_row_and_offline_agree_to_the_bit(store: FeatureStore, everything: Any, full_names: bool) -> None:  # noqa: FBT001
    references = [f"demanded:{name}" for name in everything.outputs]
    entities = pd.DataFrame(KEYS).assign(event_timestamp=NOON)
    table = store.get_historical_features(entities, references, full_feature_names=full_names).to_arrow()
    offline = table.sort_by("key").to_pydict()
    for name in everything.outputs:
        values = offline[f"demanded__{name}" if full_names else name]
        assert values == [row[name] for row in expected(everything)], name


def test_feast_drops_python_mode_outputs_online_under_full_names(store: FeatureStore) -> None:
    # Feast's own: it looks for full names in what a python-mode view gives by short ones. Nothing of ours can mend it.
    response = store.get_online_features(["demanded:grown"], KEYS[:1], full_feature_names=True).to_dict()
    assert not [name for name in response if name.endswith("grown")]


def test_offline_columns_have_the_declared_types(store: FeatureStore, everything: Any) -> None:
    entities = pd.DataFrame({"key": [-1], "asked": [ASKED], "event_timestamp": [NOON]})
    references = [f"demanded:{name}" for name in everything.outputs]
    table = store.get_historical_features(entities, references).to_arrow()
    wanted = everything.on_batch(pa.Table.from_pylist([{**FULL, "asked": ASKED}])).schema
    assert {name: table.schema.field(name).type for name in wanted.names} == dict(
        zip(wanted.names, wanted.types, strict=True)
    )


def test_registered_view_carries_the_fingerprint(store: FeatureStore, everything: Any) -> None:
    view = store.get_on_demand_feature_view("demanded")
    assert view.tags["skew.fingerprint"] == everything.fingerprint
    assert view.tags["skew.transform"] == everything.reference == "shared_everything:everything"
    assert view.tags["skew.transform_version"] == "7"
    assert view.feature_transformation is not None
    assert everything.fingerprint in view.feature_transformation.udf_string


def edited(folder: Path, everything: Any, sources: list[Any]) -> OnDemandFeatureView:
    """Give the view again after an edit of the helper that the transform uses."""
    (folder / "shared_everything.py").write_text(LIBRARY.replace("RATE = 1.3", "RATE = 1.4"))
    del sys.modules["shared_everything"]
    from shared_everything import everything as again  # noqa: PLC0415

    assert again.fingerprint != everything.fingerprint
    view: OnDemandFeatureView = again.on_demand_feature_view(name="demanded", sources=sources)
    return view


def test_apply_sees_an_edited_helper(store: FeatureStore, everything: Any, tmp_path: Path) -> None:
    before = store.get_on_demand_feature_view("demanded")
    view = edited(tmp_path, everything, [source_view(tmp_path), asking()])
    assert before.feature_transformation != view.feature_transformation
    store.apply(view)
    assert store.get_on_demand_feature_view("demanded").tags["skew.fingerprint"] != everything.fingerprint


def test_function_that_no_other_process_finds_makes_no_view() -> None:
    declare = feature_transform(inputs={"asked": "Int64"}, outputs={"same": "Int64"})

    def inner(asked: Any) -> Any:
        return asked

    cell: dict[str, Any] = {"__name__": "__main__"}
    exec("def notebook(asked): return asked", cell)  # noqa: S102 - as a notebook runs its cells
    for transform in (declare(lambda asked: asked), declare(inner), declare(cell["notebook"])):
        assert transform.on_row({"asked": 3}) == {"same": 3}
        with pytest.raises(TransformError, match=r"cannot be imported by name \(a lambda"):
            transform.on_demand_feature_view(name="demanded", sources=[asking()])


def test_sources_that_do_not_fit_are_refused(everything: Any, tmp_path: Path) -> None:
    view = source_view(tmp_path)
    twice = RequestSource(name="twice", schema=[Field(name="wide", dtype=types.Float64)])
    wrong = RequestSource(name="wrong", schema=[Field(name="asked", dtype=types.String)])
    for sources, said in [
        ([view], "input 'asked' is in none of its sources"),
        ([view, asking(), twice], "input 'wide' is in more than one of its sources"),
        ([view, wrong], "input 'asked' is Int64, but String in its source"),
    ]:
        with pytest.raises(TransformError, match=said):
            everything.on_demand_feature_view(name="demanded", sources=sources)
    with pytest.raises(TransformError, match="'singleton' follows from the transform"):
        everything.on_demand_feature_view(name="demanded", sources=[view, asking()], singleton=True)
