"""A fingerprint changes with all that can change a result, and with nothing else."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import timeit
from collections.abc import Iterator
from pathlib import Path

import pytest

from skew_ext.errors import TransformError
from skew_ext.transform import installed_fingerprint

HELPER = '''
"""Helpers."""
RATE = 1.5
TABLE = {"a": (1, 2.5), "b": {3, 4}}

def convert(x):
    """Convert."""
    return x * RATE + TABLE["a"][1]

def unused(x):
    return x
'''
TRANSFORM = '''
import numpy as np
from skew_ext import feature_transform
from library import helper
from library.helper import convert

EDGES = np.array([1.0, 2.0])

def made_by(offset):
    return lambda x: x + offset

shift = made_by(2.0)

@feature_transform(inputs={"x": "Float64"}, outputs={"y": "Float64"}, version="1")
def scaled(x: object, power=2.0) -> dict:
    """Scale."""
    # a comment
    inner = lambda value: helper.convert(value) ** power
    return {"y": convert(x) + inner(x) + shift(EDGES[0])}
'''


class Library:
    """A package of shared transforms in a folder of its own, imported afresh each time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "library"
        self.folder.mkdir()
        (self.folder / "__init__.py").write_text("")
        self.write()

    def write(self, transform: str = TRANSFORM, helper: str = HELPER) -> None:
        """Replace the package's modules."""
        (self.folder / "transform.py").write_text(transform)
        (self.folder / "helper.py").write_text(helper)

    def fingerprint(self) -> str:
        """Import the package anew and give the fingerprint."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "library"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return str(importlib.import_module("library.transform").scaled.fingerprint)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Library(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "library"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("transform", "# a comment", "# another comment, of another length"),
        ("transform", '"""Scale."""', '"""Scale it well."""'),
        ("transform", "x: object, power=2.0) -> dict:", "x, power=2.0):"),
        ("transform", "EDGES = np.array([1.0, 2.0])", "\n\nEDGES = np.array(\n    [1.0, 2.0]\n)"),
        ("helper", '"""Convert."""', '"""Turn."""'),
        ("helper", "def unused(x):\n    return x", "def unused(x):\n    return -x"),
    ],
)
def test_what_cannot_change_a_result_leaves_it(library: Library, part: str, old: str, new: str) -> None:
    before = library.fingerprint()
    texts = {"transform": TRANSFORM, "helper": HELPER}
    assert old in texts[part]
    library.write(**{**texts, part: texts[part].replace(old, new)})
    assert library.fingerprint() == before


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("transform", "convert(x) + inner(x)", "convert(x) - inner(x)"),
        ("transform", "** power", "* power"),
        ("transform", "power=2.0", "power=2.5"),
        ("transform", "made_by(2.0)", "made_by(3.0)"),
        ("transform", "x + offset", "x - offset"),
        ("transform", "[1.0, 2.0]", "[1.0, 2.5]"),
        ("transform", 'version="1"', 'version="2"'),
        ("transform", '{"x": "Float64"}', '{"x": "Float32"}'),
        ("helper", "RATE = 1.5", "RATE = 1.25"),
        ("helper", "(1, 2.5)", "(1, 2.25)"),
        ("helper", "{3, 4}", "{3, 5}"),
        ("helper", "x * RATE", "x / RATE"),
    ],
)
def test_what_can_change_a_result_changes_it(library: Library, part: str, old: str, new: str) -> None:
    before = library.fingerprint()
    texts = {"transform": TRANSFORM, "helper": HELPER}
    assert old in texts[part]
    library.write(**{**texts, part: texts[part].replace(old, new)})
    assert library.fingerprint() != before


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_every_process_and_hash_seed_gives_the_same(library: Library, seed: str) -> None:
    code = "from library.transform import scaled; print(scaled.fingerprint)"
    path = os.pathsep.join([str(library.folder.parent), *sys.path])
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == library.fingerprint()


def test_library_versions_count(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    before = library.fingerprint()
    monkeypatch.setattr("skew_ext.transform.fingerprint._release", lambda _: "9.9")
    assert library.fingerprint() != before


def test_value_without_stable_text_is_refused(library: Library) -> None:
    library.write(TRANSFORM.replace("EDGES = np.array([1.0, 2.0])", "EDGES = [object()]"))
    with pytest.raises(TransformError, match="uses a object, which has no stable text"):
        library.fingerprint()


def test_installed_fingerprint_sees_a_replaced_module_at_once(library: Library) -> None:
    before = library.fingerprint()
    assert installed_fingerprint("library.transform:scaled") == before
    library.write(TRANSFORM.replace("** power", "* power"))
    after = library.fingerprint()
    assert installed_fingerprint("library.transform:scaled") == after != before


def test_installed_fingerprint_is_quick(library: Library) -> None:
    library.fingerprint()
    seconds = min(timeit.repeat(lambda: installed_fingerprint("library.transform:scaled"), number=10_000, repeat=5))
    assert seconds / 10_000 < 5e-6
