"""Feast's own commands see an edit of a helper three calls deep, and of a fitted parameter."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.flights import run

VIEWS = """
from feast import Entity, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.types import Float64
from planned_library import scaled

asked = RequestSource(name="asked", schema=[Field(name="x", dtype=Float64)])
view = scaled.on_demand_feature_view(name="scaled", sources=[asked])
"""
LIBRARY = """
from planned_deep import first
from skew_ext import feature_transform

@feature_transform(inputs={"x": "Float64"}, outputs={"y": "Float64"}, parameters="planned.json")
def scaled(x, parameters):
    return first(x) - parameters["mean"]
"""
DEEP = """
def first(x):
    return second(x)

def second(x):
    # the third call
    return third(x)

def third(x):
    return x * 2.0
"""


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    config = {
        "project": "planned",
        "provider": "local",
        "registry": "registry.db",
        "online_store": {"type": "sqlite", "path": "online.db"},
        "entity_key_serialization_version": 3,
    }
    (tmp_path / "feature_store.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "views.py").write_text(VIEWS)
    (tmp_path / "planned_library.py").write_text(LIBRARY)
    (tmp_path / "planned_deep.py").write_text(DEEP)
    (tmp_path / "planned.json").write_text('{"mean": 1.5}')
    return tmp_path


def feast(repo: Path, *arguments: str) -> str:
    """Run Feast's command in the repo; no bytecode is kept, since an edit within its second would not show."""
    return run(repo, "feast", *arguments, PYTHONDONTWRITEBYTECODE="1")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_plan_and_apply_show_an_edit_three_calls_deep(repo: Path) -> None:
    feast(repo, "apply", "--skip-source-validation")
    unchanged = feast(repo, "plan", "--skip-source-validation")
    assert "Updated on demand feature view" not in unchanged
    edit(repo / "planned_deep.py", "# the third call", "# the third call, as before")
    assert feast(repo, "plan", "--skip-source-validation") == unchanged
    edit(repo / "planned_deep.py", "x * 2.0", "x * 3.0")
    planned = feast(repo, "plan", "--skip-source-validation")
    assert "Updated on demand feature view" in planned
    assert "return x * 2.0" in planned
    assert "return x * 3.0" in planned
    assert "Updated on demand feature view" in feast(repo, "apply", "--skip-source-validation")
    edit(repo / "planned.json", "1.5", "1.25")
    assert "Updated on demand feature view" in feast(repo, "plan", "--skip-source-validation")
