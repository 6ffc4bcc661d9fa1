"""`skew transforms check` and `pytest --skew-transforms`, through real Feast stores: what agrees, and what does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.transformation.python_transformation import PythonTransformation

from skew_ext.cli.main import cli
from skew_ext.errors import TransformError
from skew_ext.transform.checking import check_transform, find_transforms
from skew_ext.transform.contract import Contract
from skew_ext.transform.types import COLUMN_TYPES
from tests.servers import RedisServer

LIBRARY = """
import numpy as np
from skew_ext import feature_transform
from skew_ext.transform.types import COLUMN_TYPES

KINDS = {f"in_{place}": name for place, name in enumerate(COLUMN_TYPES)}
NULLABLE = {name: kind for name, kind in KINDS.items() if COLUMN_TYPES[kind].own_null}

def same(columns):
    return {f"out_{name}": column for name, column in columns.items()}

@feature_transform(inputs=NULLABLE, outputs={f"out_{name}": kind for name, kind in NULLABLE.items()})
def every_type_with_a_null(%(nullable)s):
    return same(%(nullable_dict)s)

@feature_transform(inputs=KINDS, outputs={f"out_{name}": kind for name, kind in KINDS.items()})
def every_type(%(all)s):
    return same(%(all_dict)s)

@feature_transform(
    inputs={"amount": "Float64", "narrow": "Float32", "count": "Int64", "since": "UnixTimestamp",
            "as_of": "UnixTimestamp", "vector": "Array(Float32)", "word": "String"},
    outputs={"rate": "Float64", "small": "Float32", "days": "Float64", "norm": "Float32", "letters": "Int64",
             "next": "Int64"},
    parameters={"mean": 0.1, "sd": 3.0},
)
def computed(amount, narrow, count, since, as_of, vector, word, parameters):
    lengths = np.array([0 if text is None else len(text) for text in word], dtype=np.int64)
    return {
        "rate": np.exp((amount - parameters["mean"]) / parameters["sd"]) ** 1.3 / np.where(count == 0, np.nan, count),
        "small": np.sin(narrow) * np.float32(0.1),
        "days": (as_of - since) / np.timedelta64(86_400, "s"),
        "norm": np.array([np.nan if v is None else np.sqrt(np.sum(v * v)) for v in vector], dtype=np.float32),
        "letters": np.ma.masked_where(lengths == 0, lengths),
        "next": count + 1,
    }
"""
SMALL = """
import numpy as np
from skew_ext import feature_transform

@feature_transform(inputs={"x": "Float64"}, outputs={"y": "Float64"})
def halved(x):
    return x / 2

@feature_transform(inputs={"x": "Float64"}, outputs={"y": "Float64"})
def centred(x):
    return x - np.nanmean(x)
"""


def library_text() -> str:
    names = [f"in_{place}" for place in range(len(COLUMN_TYPES))]
    nullable = [name for name, kind in zip(names, COLUMN_TYPES.values(), strict=True) if kind.own_null]

    def as_dict(chosen: list[str]) -> str:
        return "{" + ", ".join(f'"{name}": {name}' for name in chosen) + "}"

    return LIBRARY % {
        "all": ", ".join(names),
        "all_dict": as_dict(names),
        "nullable": ", ".join(nullable),
        "nullable_dict": as_dict(nullable),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("checked")
    (folder / "checked_library.py").write_text(library_text())
    (folder / "small").mkdir()
    (folder / "small" / "small_library.py").write_text(SMALL)
    path, sys.dont_write_bytecode = list(sys.path), True
    yield folder
    sys.path[:] = path
    for name in ("checked_library", "small_library"):
        sys.modules.pop(name, None)


def contract_of(folder: Path, name: str) -> Contract:
    found = [*find_transforms(str(folder)), *find_transforms(str(folder / "small"))]
    return next(contract for contract in found if contract.function.__name__ == name)


@pytest.mark.parametrize("name", ["every_type", "every_type_with_a_null", "computed"])
def test_every_way_agrees_to_the_bit(folder: Path, redis_db: RedisServer, name: str) -> None:
    checked = check_transform(contract_of(folder, name), examples=40, redis=redis_db.connection_string)
    assert checked.findings == []
    assert checked.paths == [
        *("row", "dict", "pyarrow", "pandas"),
        *("feast offline (duckdb)", "feast offline (duckdb, arrow columns)"),
        *("feast online (sqlite)", "feast online (redis)"),
    ]
    assert checked.rows > 40
    with redis_db.client() as client:
        assert client.dbsize() == 0


def test_training_that_computes_in_another_type_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = PythonTransformation.transform_arrow

    def narrowed(self: Any, table: pa.Table, features: Any) -> pa.Table:
        narrow = [
            column.cast(pa.float32(), safe=False) if name.endswith("x") else column
            for name, column in zip(table.column_names, table.columns, strict=True)
        ]
        return real(self, pa.table(narrow, names=table.column_names), features)

    monkeypatch.setattr(PythonTransformation, "transform_arrow", narrowed)
    checked = check_transform(contract_of(folder, "halved"), examples=40)
    (finding,) = checked.findings
    assert finding.code == "feast_offline"
    assert "feast offline (duckdb): y is" in finding.detail
    (row,) = finding.example
    assert float(np.float32(row["x"])) != row["x"]


def test_serving_that_rounds_is_found_with_the_simplest_value(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = OnDemandFeatureView.transform_dict

    def positive(self: Any, columns: dict[str, Any]) -> dict[str, Any]:
        # -0.0 becomes 0.0, and everything else stays: no other comparison than one by bits sees it.
        outputs = real(self, columns)
        return {**outputs, "y": [None if value is None else value + 0.0 for value in outputs["y"]]}

    monkeypatch.setattr(OnDemandFeatureView, "transform_dict", positive)
    checked = check_transform(contract_of(folder, "halved"), examples=40)
    (finding,) = checked.findings
    assert (finding.code, repr(finding.example)) == ("feast_online", "({'x': -0.0},)")
    assert finding.detail == "feast online (sqlite): y is 0.0, and by the row -0.0"


def test_what_feast_raises_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = OnDemandFeatureView.transform_dict

    def choosy(self: Any, columns: dict[str, Any]) -> dict[str, Any]:
        if any(value is not None and value > 1e5 for value in columns["x"]):
            raise ValueError("no such value")
        return real(self, columns)

    monkeypatch.setattr(OnDemandFeatureView, "transform_dict", choosy)
    (finding,) = check_transform(contract_of(folder, "halved"), examples=40).findings
    assert finding.detail == "feast online (sqlite): ValueError: no such value"
    assert finding.example[0]["x"] == np.inf


def test_store_that_fails_is_no_finding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ConnectionError("the store went away")

    monkeypatch.setattr(OnDemandFeatureView, "transform_dict", refuse)
    with pytest.raises(TransformError, match="could not be run in Feast: ConnectionError: the store went away"):
        check_transform(contract_of(folder, "halved"), examples=5)


def test_function_without_a_name_is_not_run_in_feast(folder: Path) -> None:
    contract = contract_of(folder, "halved")
    nameless = Contract(eval("lambda x: x / 2"), contract.describe()["inputs"], contract.describe()["outputs"])  # noqa: S307 - no name, no source
    assert [finding.code for finding in check_transform(nameless, examples=5).findings] == ["not_importable"]


def skew(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


def test_command_tells_and_exits_by_what_it_finds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    told = skew("transforms", "check", "small", "--examples", "20", "--no-feast")
    assert told.exit_code == 1
    assert "same  small_library:halved" in told.stdout
    assert "FAIL  small_library:centred" in told.stdout
    assert "batch_dependence: a row's result depends on the other rows of its batch" in told.stdout
    assert "      the smallest input that shows it:" in told.stdout
    assert "1 of 2 with findings" in told.stdout
    ran = skew("transforms", "check", "small", "--examples", "20", "--no-feast", "--json", "-")
    found = json.loads(ran.stdout)
    assert (ran.exit_code, found["schema"], found["verdict"]) == (1, 1, "fail")
    verdicts = {one["transform"]: one["verdict"] for one in found["transforms"]}
    assert verdicts == {"small_library:centred": "fail", "small_library:halved": "pass"}
    assert found["transforms"][0]["findings"][0]["example"] == [{"x": "0.0"}, {"x": "1.0"}]


def test_command_takes_the_folder_transforms_by_itself(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = skew("-c", str(tmp_path), "transforms", "check")
    assert missing.exit_code == 2
    assert "name the folder or module" in missing.stderr
    (tmp_path / "transforms").symlink_to(folder / "small")
    assert (
        "1 of 2 with findings"
        in skew("-c", str(tmp_path), "transforms", "check", "--examples", "5", "--no-feast").stdout
    )


def pytest_run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_pytest_has_a_test_for_each_transform(folder: Path) -> None:
    run = "import pytest; raise SystemExit(pytest.main(['-q', '-rA', '-W', 'error::FutureWarning', {}]))"
    arguments = "'--skew-transforms', 'small', '--skew-examples', '10', '-p', 'no:cacheprovider'"
    ran = pytest_run(folder, run.format(arguments))
    assert "PASSED shared transforms::small_library:halved" in ran.stdout, ran.stdout + ran.stderr
    assert "FAILED shared transforms::small_library:centred - batch_dependence" in ran.stdout
    assert "    {'x': 0.0}\n    {'x': 1.0}\n" in ran.stdout
    assert ran.returncode == 1
    chosen = pytest_run(folder, run.format(f"{arguments}, '-k', 'halved', '--collect-only'"))
    assert "1/2 tests collected (1 deselected)" in chosen.stdout


def test_plugin_costs_nothing_until_it_is_asked_for_and_needs_no_hypothesis(folder: Path) -> None:
    heavy = "{'numpy', 'pandas', 'pyarrow', 'feast', 'hypothesis'}"
    code = f"import sys, skew_ext.pytest_plugin; raise SystemExit(bool({heavy} & set(sys.modules)))"
    assert pytest_run(folder, code).returncode == 0
    without = (
        "import importlib.util as util, pytest\n"
        "real = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'hypothesis' else real(name, *rest)\n"
    )
    arguments = "['-q', '-p', 'no:hypothesispytest', '-p', 'no:cacheprovider', {}]"
    ran = pytest_run(folder, without + f"raise SystemExit(pytest.main({arguments.format('')}))")
    assert "no tests ran" in ran.stdout
    asked = pytest_run(folder, without + f"pytest.main({arguments.format(repr('--skew-transforms=small'))})")
    assert "to check transforms needs hypothesis: pip install 'skew-ext[check]'" in asked.stderr + asked.stdout
