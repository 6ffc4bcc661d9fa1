"""Fitted parameters are data with a hash: read once, never changed, and a part of the fingerprint."""

from __future__ import annotations

import doctest
import importlib
import json
import math
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skew_ext import feature_transform
from skew_ext.errors import TransformError
from skew_ext.transform import Parameters, contract, parameters

MODULE = """
from skew_ext import feature_transform

@feature_transform(inputs={"x": "Float64"}, outputs={"y": "Float64"}, parameters="scale.json")
def scaled(x, parameters):
    return (x - parameters["mean"]) / parameters["sd"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "fitted_scale.py").write_text(MODULE)
    Parameters({"mean": 40.0, "sd": 20.0}).save(tmp_path / "scale.json")
    yield tmp_path
    sys.modules.pop("fitted_scale", None)


def scaled() -> Any:
    sys.modules.pop("fitted_scale", None)
    importlib.invalidate_caches()
    return importlib.import_module("fitted_scale").scaled


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(TransformError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("module", [contract, parameters])
def test_examples_hold(module: Any) -> None:
    result = doctest.testmod(module)
    assert (result.failed, result.attempted > 0) == (0, True)


@pytest.mark.usefixtures("folder")
def test_file_beside_the_module_reaches_the_function_as_an_argument() -> None:
    transform = scaled()
    assert transform.on_row({"x": 50.0}) == {"y": 0.5}
    assert transform.on_batch({"x": [50.0, None]})["y"].tolist()[0] == 0.5
    assert transform(np.array([60.0]), transform.parameters).tolist() == [1.0]
    assert dict(transform.parameters) == {"mean": 40.0, "sd": 20.0}


def test_layout_of_the_file_does_not_count_and_a_value_does(folder: Path) -> None:
    before = scaled()
    (folder / "scale.json").write_text('{"sd":\n 2e1, "mean": 40.00}')
    assert (scaled().fingerprint, scaled().parameters.hash) == (before.fingerprint, before.parameters.hash)
    (folder / "scale.json").write_text('{"mean": 40.0, "sd": 20.000000000000004}')
    assert scaled().fingerprint != before.fingerprint


def test_file_that_changes_under_a_running_process_changes_nothing_there(folder: Path) -> None:
    transform = scaled()
    (folder / "scale.json").write_text('{"mean": 0.0, "sd": 1.0}')
    assert transform.on_row({"x": 50.0}) == {"y": 0.5}


def test_function_in_a_zip_finds_its_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(folder / "packed.zip", "w") as archive:
        archive.writestr("zipped_scale.py", MODULE)
        archive.write(folder / "scale.json", "scale.json")
    monkeypatch.syspath_prepend(str(folder / "packed.zip"))
    (folder / "scale.json").unlink()
    assert importlib.import_module("zipped_scale").scaled.on_row({"x": 50.0}) == {"y": 0.5}
    del sys.modules["zipped_scale"]


def test_expected_hash_makes_an_edited_file_an_error_on_import(folder: Path) -> None:
    file = folder / "scale.json"
    expected = Parameters.load(file).hash
    assert Parameters.load(file, sha256=expected[:12])["mean"] == 40.0
    file.write_text(file.read_text().replace("40.0", "41.0"))
    said = refused(lambda: Parameters.load(file, sha256=expected))
    assert said.startswith("parameters scale.json changed: their hash is")
    assert "changed" in refused(lambda: Parameters.load(file, sha256=""))


@pytest.mark.parametrize("value", [0.1, -0.0, 5e-324, 1.7976931348623157e308, 2**70, -1, True, None, "é\ud800\x00"])
def test_values_keep_their_bits_through_the_file(tmp_path: Path, value: Any) -> None:
    saved = Parameters({"value": value, "nested": {"list": [value, [value]]}})
    assert saved.save(tmp_path / "p.json") == Parameters.load(tmp_path / "p.json").hash
    loaded = Parameters.load(tmp_path / "p.json")
    assert repr(loaded["value"]) == repr(value)
    assert repr(loaded["nested"]["list"]) == repr((value, (value,)))


def test_integer_and_float_are_two_parameters() -> None:
    assert len({Parameters({"n": value}).hash for value in (1, 1.0, True, "1", None, [1], {"1": 1})}) == 7


def test_nothing_can_change_them() -> None:
    fitted: Any = Parameters({"a": {"b": [1]}})
    changes: list[Callable[[], object]] = [
        lambda: fitted.update(a=1),
        lambda: fitted["a"].update(b=1),
        lambda: fitted["a"]["b"].append(2),
    ]
    for change in changes:
        with pytest.raises((TypeError, AttributeError)):
            change()


def test_numpy_values_are_taken_as_what_they_hold() -> None:
    fitted = Parameters({"mean": np.float32(0.1), "edges": np.arange(3), "on": np.bool_(1)})
    assert dict(fitted) == {"mean": float(np.float32(0.1)), "edges": (0, 1, 2), "on": True}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "holds list; give an object"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": 1e999}', "['a'] is inf, which JSON cannot hold"),
        (b"\xff\xfe\x00", "cannot be read as JSON"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_file_that_is_no_parameters_is_said_on_import(folder: Path, text: str | bytes, said: str) -> None:
    (folder / "scale.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    message = refused(scaled)
    assert message.startswith("fitted_scale:scaled: ")
    assert "scale.json" in message
    assert said in message


def test_missing_file_is_said(folder: Path) -> None:
    (folder / "scale.json").unlink()
    assert "parameters scale.json cannot be read: No such file or directory" in refused(scaled)
    assert "cannot be read" in refused(lambda: Parameters.load(folder / "scale.json"))


def test_values_that_json_cannot_hold_are_refused() -> None:
    assert "parameters['a'] is nan" in refused(lambda: Parameters({"a": math.nan}))
    assert "parameters['a'][0] is a object" in refused(lambda: Parameters({"a": [object()]}))
    assert "has the key 1" in refused(lambda: Parameters({"a": {1: 2}}))


def test_unknown_parameter_is_named_with_the_nearest() -> None:
    fitted = Parameters({"mean": 1.0})
    assert "has no parameter 'maen' (did you mean 'mean'?)" in refused(lambda: fitted["maen"])
    assert (fitted.get("sd"), "sd" in fitted, json.dumps(dict(fitted))) == (None, False, '{"mean": 1.0}')


def test_declaration_and_function_must_agree() -> None:
    def declare(function: Any, **contract: Any) -> str:
        declared = {"inputs": {"x": "Float64"}, "outputs": {"y": "Float64"}, **contract}
        return refused(lambda: feature_transform(**declared)(function))

    assert "must take an argument named 'parameters'" in declare(lambda x: x, parameters={"a": 1})
    assert "takes 'parameters': name their file" in declare(lambda x, parameters: x)  # noqa: ARG005
    assert "parameters is int" in declare(lambda x, parameters: x, parameters=3)  # noqa: ARG005
    both = {"inputs": {"x": "Float64", "parameters": "Float64"}, "parameters": {"a": 1}}
    assert "must take an argument named 'parameters'" in declare(lambda x, parameters: x, **both)  # noqa: ARG005
