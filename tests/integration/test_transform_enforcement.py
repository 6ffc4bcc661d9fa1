"""A transform that is not the registered one is warned of once and counted, or refused, in serving and in training."""

from __future__ import annotations

import importlib
import json
import logging
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
from click.testing import CliRunner, Result
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.transformation.python_transformation import PythonTransformation
from feast.types import Float64

from skew_ext import LoggedFeatureStore, read_log
from skew_ext.cli.main import cli
from skew_ext.errors import TransformError
from skew_ext.serving.mismatches import read_mismatches
from skew_ext.serving.provider import SkewProvider
from skew_ext.shipping.shipper import Shipper
from skew_ext.transform.kept import FOLDER, kept_manifests

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
MODULE = """
from skew_ext import feature_transform

def spread(x):
    return x * 2.0

INPUTS = {"measured": "Float64", "asked": "Float64"}

@feature_transform(inputs=INPUTS, outputs={"risk": "Float64"}, parameters="risk.json")
def risk(measured, asked, parameters):
    return spread(measured) - asked - parameters["mean"]
"""
ASK = [{"key": 1, "asked": 0.5}]
FEATURES = ["enforced:risk"]


class Served:
    """A repo with one shared transform, which a test may edit behind its back."""

    def __init__(self, path: Path, provider: str, on_mismatch: str) -> None:
        self.path = path
        self.spool = path / "data/skew/spool"
        (path / "enforced_library.py").write_text(MODULE)
        (path / "risk.json").write_text('{"mean": 1.0}')
        config = {
            "project": "enforced",
            "provider": provider,
            "registry": str(path / "registry.db"),
            "online_store": {"type": "sqlite", "path": str(path / "online.db")},
            "offline_store": {"type": "duckdb"},
            "entity_key_serialization_version": 3,
            "skew": {"start_shipper": False, "on_transform_mismatch": on_mismatch},
        }
        (path / "feature_store.yaml").write_text(yaml.safe_dump(config))
        self.source()
        self.apply()

    def source(self) -> None:
        """Write the source's one row."""
        times = pa.array([NOON], pa.timestamp("us", tz="UTC"))
        table = pa.table(
            {"key": pa.array([1], pa.int64()), "event_timestamp": times, "measured": [3.25], "spare": [1.0]}
        )
        pq.write_table(table, self.path / "rows.parquet")

    def apply(self) -> None:
        """Register the code as it is now."""
        store = FeatureStore(repo_path=str(self.path))
        entity = Entity(name="key", join_keys=["key"], value_type=ValueType.INT64)
        source = FileSource(name="rows", path=str(self.path / "rows.parquet"), timestamp_field="event_timestamp")
        fields = [Field(name=name, dtype=Float64) for name in ("measured", "spare")]
        view = FeatureView(name="measures", entities=[entity], ttl=timedelta(days=1), schema=fields, source=source)
        asked = RequestSource(name="ask", schema=[Field(name="asked", dtype=Float64)])
        demanded = self.transform().on_demand_feature_view(name="enforced", sources=[view, asked])
        store.apply([entity, view, demanded])
        store.materialize(NOON - timedelta(hours=1), NOON + timedelta(hours=1))

    def transform(self) -> Any:
        """Import the library anew, as a process that starts now has it."""
        sys.modules.pop("enforced_library", None)
        importlib.invalidate_caches()
        return importlib.import_module("enforced_library").risk

    def edit(self, file: str, old: str, new: str) -> str:
        """Edit a file behind the registry's back, and give the fingerprint that comes of it."""
        text = (self.path / file).read_text()
        assert old in text
        (self.path / file).write_text(text.replace(old, new))
        return str(self.transform().fingerprint)

    def store(self) -> FeatureStore:
        """Open the repo, logged by its provider or by the wrapped store."""
        wrapped = "SkewProvider" not in (self.path / "feature_store.yaml").read_text()
        return LoggedFeatureStore(repo_path=str(self.path)) if wrapped else FeatureStore(repo_path=str(self.path))

    def train(self, store: FeatureStore) -> pa.Table:
        """Retrieve the transform's output for training."""
        asked = pd.DataFrame({"key": [1, 2], "asked": [0.5, 0.5], "event_timestamp": NOON})
        return store.get_historical_features(asked, FEATURES).to_arrow().sort_by("key")


@pytest.fixture(params=["skew_ext.SkewProvider", "local"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def on_mismatch() -> str:
    return "warn"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str, on_mismatch: str) -> Iterator[Served]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Served(tmp_path, provider, on_mismatch)
    sys.modules.pop("enforced_library", None)


def mismatches(store: FeatureStore) -> dict[str, int]:
    if isinstance(store, LoggedFeatureStore):
        return store.transform_mismatches
    provider = store._get_provider()
    assert isinstance(provider, SkewProvider)
    return provider.lookups.guard.mismatches.totals()


def skew(served: Served, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["-c", str(served.path), *arguments], catch_exceptions=False)


def test_registered_code_is_neither_warned_of_nor_counted(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    store = served.store()
    assert store.get_online_features(FEATURES, ASK).to_dict()["risk"] == [5.0]
    table = served.train(store)
    assert (table["risk"].to_pylist(), table["risk"].type) == ([5.0, None], pa.float64())
    assert mismatches(store) == {} == read_mismatches(served.spool)
    assert not [record for record in caplog.records if "registered" in record.message]


def test_other_code_is_warned_of_once_counted_and_logged(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    store = served.store()
    registered = served.transform().fingerprint
    store.get_online_features(FEATURES, ASK)
    edited = served.edit("enforced_library.py", "x * 2.0", "x * 3.0")
    with caplog.at_level(logging.WARNING, "skew_ext"):
        for _ in range(3):
            assert store.get_online_features(FEATURES, ASK).to_dict()["risk"] == [8.25]
        assert served.train(store)["risk"].to_pylist() == [8.25, None]
    (said,) = [record.message for record in caplog.records if "registered" in record.message]
    assert "on-demand view 'enforced' is registered with enforced_library:risk at fingerprint" in said
    assert "(enforced_library:spread changed; see `skew transforms diff`)" in said
    assert mismatches(store) == {"enforced": 4} == read_mismatches(served.spool)
    Shipper(served.spool).drain()
    logged = read_log(store).column("__transforms").to_pylist()
    assert logged == [f"enforced={registered}", *[f"enforced={edited}"] * 3]
    assert {manifest.fingerprint for manifest in kept_manifests(served.spool / FOLDER)} >= {edited}
    stats = json.loads(skew(served, "log", "stats", "--json", "-").stdout)
    assert (stats["transform_mismatches"], stats["accepted"], stats["unaccounted"]) == ({"enforced": 4}, 4, 0)


@pytest.mark.parametrize("on_mismatch", ["raise"])
def test_other_code_is_refused_in_serving_and_in_training(served: Served) -> None:
    store = served.store()
    served.edit("enforced_library.py", "x * 2.0", "x * 3.0")
    for call in (lambda: store.get_online_features(FEATURES, ASK), lambda: served.train(store)):
        with pytest.raises(TransformError, match="enforced_library:spread changed"):
            call()
    assert mismatches(store) == {"enforced": 2}
    served.apply()
    assert served.store().get_online_features(FEATURES, ASK).to_dict()["risk"] == [8.25]


@pytest.mark.parametrize(("on_mismatch", "provider"), [("raise", "skew_ext.SkewProvider")])
def test_changed_parameter_file_is_refused_and_named(served: Served) -> None:
    store = served.store()
    served.edit("risk.json", "1.0", "1.5")
    with pytest.raises(TransformError, match="its fitted parameters changed") as caught:
        store.get_online_features(FEATURES, ASK)
    assert "\n" not in str(caught.value)
    (served.path / "risk.json").unlink()
    sys.modules.pop("enforced_library", None)
    with pytest.raises(TransformError, match="cannot be imported"):
        store.get_online_features(FEATURES, ASK)


def test_training_runs_on_arrow_columns_with_what_plain_feast_gives(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = yaml.safe_load((served.path / "feature_store.yaml").read_text()) | {"provider": "local"}
    (served.path / "plain.yaml").write_text(yaml.safe_dump(plain))
    by_lists = served.train(FeatureStore(fs_yaml_file=served.path / "plain.yaml", repo_path=str(served.path)))

    def never(*_: Any) -> None:
        pytest.fail("it went through Python lists")

    monkeypatch.setattr(PythonTransformation, "transform_arrow", never)
    assert served.train(served.store()).equals(by_lists)


@pytest.mark.parametrize("provider", ["local"])
def test_view_reads_the_inputs_of_its_sources_and_nothing_else(served: Served) -> None:
    view = served.store().get_on_demand_feature_view("enforced")
    (projection,) = view.source_feature_view_projections.values()
    assert [field.name for field in projection.features] == ["measured"]
    assert served.store().get_online_features([*FEATURES, "measures:spare"], ASK).to_dict()["spare"] == [1.0]


@pytest.mark.parametrize("provider", ["skew_ext.SkewProvider"])
def test_diff_tells_how_it_changed(served: Served) -> None:
    store = served.store()
    for _ in range(2):
        store.get_online_features(FEATURES, ASK)
    first = str(served.transform().fingerprint)
    same = skew(served, "transforms", "diff")
    assert (same.exit_code, same.stdout) == (0, f"same     enforced (enforced_library:risk)  {first[:12]}\n")
    served.edit("risk.json", "1.0", "1.5")
    second = served.edit("enforced_library.py", "x * 2.0", "x * 3.0")
    changed = skew(served, "transforms", "diff", "enforced")
    assert changed.exit_code == 1
    assert "  source: enforced_library:spread\n" in changed.stdout
    assert "    -    return x * 2.0\n    +    return x * 3.0\n" in changed.stdout
    assert "  parameters: parameters\n" in changed.stdout
    served.apply()
    third = served.edit("enforced_library.py", "x * 3.0", "x * 4.0")
    # The first is neither registered nor installed any more: it was kept when it served.
    told = json.loads(skew(served, "transforms", "diff", first[:10], third, "--json", "-").stdout)
    (compared,) = told["transforms"]
    assert (compared["old"], compared["new"], compared["same"]) == (first, third, False)
    assert [change["where"] for change in compared["changes"]] == ["parameters", "enforced_library:spread"]
    assert second not in (first, third)
    unknown = skew(served, "transforms", "diff", "0" * 12, third)
    assert unknown.exit_code == 1
    assert "the source of 000000000000 is not known: not registered, not installed, not served" in unknown.stdout
    wrong = skew(served, "transforms", "diff", "enforcd")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)
    assert "no on-demand view 'enforcd' of a shared transform (did you mean 'enforced'?)" in wrong.stderr
