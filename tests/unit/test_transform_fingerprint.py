"""A fingerprint changes with all that can change a result, and with nothing else."""

from __future__ import annotations

import ast
import hashlib
import importlib
import os
import subprocess
import sys
import timeit
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skew_ext.errors import TransformError
from skew_ext.transform import installed_fingerprint
from skew_ext.transform.fingerprint import Manifest
from skew_ext.transform.installed import installed_manifest
from skew_ext.transform.registered import registered_manifest, registered_text
from skew_ext.transform.source import _Stripper, _tree

HELPER = '''
"""Helpers."""
import functools
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

RATE = 1.5
TABLE = {"a": (1, 2.5), "b": {3, 4}}

def convert(x):
    """Convert."""
    return x * RATE + TABLE["a"][1]

def unused(x):
    return x

def traced(function):
    @functools.wraps(function)
    def wrapper(x):
        return function(x) + 0.5
    return wrapper

@traced
def wrapped(x):
    return deep(x)

def deep(x):
    return deeper(x)

def deeper(x):
    return x + Mode.FAST.value + Options().scale + Limits().low + Shape(1).half()

class Mode(Enum):
    FAST = 3

@dataclass
class Options:
    scale: float = 7.5

class Limits(NamedTuple):
    low: float = 8.5

class Shape:
    UNIT = 9.5

    def __init__(self, side):
        self.side = side

    @property
    def area(self):
        return self.side * 10.5

    @staticmethod
    def twice(x):
        return x * 11.5

    def half(self):
        return self.twice(self.area) / 2
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
other_shift = made_by(4.0)

@feature_transform(inputs={"x": "Float64"}, outputs={"y": "Float64"}, version="1")
def scaled(x: object, power=2.0) -> dict:
    """Scale."""
    # a comment
    inner = lambda value: helper.convert(value) ** power
    return {"y": convert(x) + inner(x) + shift(EDGES[0]) + other_shift(x) + helper.wrapped(x)}
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
        return str(self.imported().fingerprint)

    def manifest(self) -> Manifest:
        """Import the package anew and give the manifest."""
        manifest: Manifest = self.imported().manifest
        return manifest

    def imported(self) -> Any:
        """Import the package anew and give the transform."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "library"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return importlib.import_module("library.transform").scaled


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
        ("transform", "made_by(4.0)", "made_by(3.0)"),
        ("transform", "x + offset", "x - offset"),
        ("transform", "[1.0, 2.0]", "[1.0, 2.5]"),
        ("transform", 'version="1"', 'version="2"'),
        ("transform", '{"x": "Float64"}', '{"x": "Float32"}'),
        ("helper", "RATE = 1.5", "RATE = 1.25"),
        ("helper", "(1, 2.5)", "(1, 2.25)"),
        ("helper", "{3, 4}", "{3, 5}"),
        ("helper", "x * RATE", "x / RATE"),
        ("helper", "function(x) + 0.5", "function(x) - 0.5"),
        ("helper", "return deeper(x)", "return -deeper(x)"),
        ("helper", "x + Mode", "x - Mode"),
        ("helper", "FAST = 3", "FAST = 4"),
        ("helper", "scale: float = 7.5", "scale: float = 7.25"),
        ("helper", "low: float = 8.5", "low: float = 8.25"),
        ("helper", "UNIT = 9.5", "UNIT = 9.25"),
        ("helper", "side * 10.5", "side * 10.25"),
        ("helper", "x * 11.5", "x * 11.25"),
        ("helper", "self.side = side", "self.side = -side"),
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


SYNTAX = r"""
def f(x, /, y=1, *a, k: int = -1, **kw) -> int:
    'doc'
    z: int = 3
    w: str
    s = f"{x!r:>{y}} {y=} {{}} {'a' 'b'}" "tail\u0378\n" if x else f'{x:%Y-%m}'
    t = u"uni", 1e300 * 10, 1j, -0.0, 10_000, ..., {**kw, "a": 1}, {1, 2}, x[1:2, ::3], x[...]
    g = lambda q, *, r=2: q if (n := r) else not q
    m = [i for i in x if i for j in i], (yield)
    match x:
        case {"a": [1, *rest], **others} if rest:
            return 1
        case str() | int():
            return 2
    try:
        assert x, "no"
    except (A, B) as e:
        raise X from e
    return x @ y ** -1 // 2 << 3, not x in y
"""


def test_every_python_reads_one_source_as_one_tree() -> None:
    # The same on CI's every Python. Elsewhere it was compared over the sources of this project, from 3.10 to 3.13.
    tree = _tree(_Stripper().visit(ast.parse(SYNTAX)))
    assert (
        hashlib.sha256(tree.encode()).hexdigest() == "ac3b21f884a07640f4edda0aea212f68d0b4318f858565168b86d0690c887c49"
    )


def test_other_package_is_followed_wherever_it_is_installed(library: Library) -> None:
    other = library.folder.parent / "other_library.py"
    other.write_text("RATE = 2.0\n\ndef rated(x):\n    return x * RATE\n")
    text = TRANSFORM.replace("import numpy as np", "import numpy as np\nfrom other_library import rated")
    library.write(text.replace("shift(EDGES[0])", "rated(x)"))
    before = library.fingerprint()
    other.write_text(other.read_text().replace("2.0", "3.0"))
    del sys.modules["other_library"]
    assert library.fingerprint() != before
    del sys.modules["other_library"]


def test_import_inside_a_function_is_refused_where_it_would_not_be_seen(library: Library) -> None:
    for line in ("from library.helper import convert", "from . import helper", "import library.helper"):
        library.write(TRANSFORM.replace("    # a comment", f"    {line}"))
        with pytest.raises(TransformError, match="inside itself, unseen by its fingerprint; import it above"):
            library.fingerprint()
    library.write(TRANSFORM.replace("    # a comment", "    import math"))
    assert library.fingerprint()


def test_module_taken_whole_counts_whole(library: Library) -> None:
    text = TRANSFORM.replace("shift(EDGES[0])", "float(hasattr(helper, 'unused'))")
    library.write(text)
    before = library.fingerprint()
    library.write(text, HELPER.replace("def unused(x):\n    return x", "def unused(x):\n    return -x"))
    assert library.fingerprint() != before


def test_version_of_unicode_counts_where_characters_are_asked_about(library: Library) -> None:
    assert "unicode" not in library.manifest().libraries
    library.write(TRANSFORM.replace("convert(x) + inner(x)", "float('a'.casefold() == 'A') + inner(x)"))
    assert library.manifest().libraries["unicode"] == unicodedata.unidata_version


def test_manifest_comes_back_from_its_text(library: Library) -> None:
    manifest = library.manifest()
    text = registered_text("library.transform:scaled", "1", manifest, {})
    found = registered_manifest(text)
    assert found == manifest
    assert found is not None
    assert found.fingerprint == library.fingerprint()
    assert registered_manifest("def f(x): return x") is None
    assert installed_manifest("library.transform:scaled") == library.manifest()
    assert installed_manifest("math:floor") is None


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
