"""A check names what is impure in a transform, by reading and by running, and shows the smallest input for it."""

from __future__ import annotations

import gc
import importlib
import math
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skew_ext.errors import TransformError
from skew_ext.transform.checking import CODES, Checked, check_transform, find_transforms, need_tools
from skew_ext.transform.checking.findings import Finding
from skew_ext.transform.checking.telling import finding_lines
from skew_ext.transform.checking.watching import Watcher

LIBRARY = """
import datetime as dt
import logging
import os
import random
import time
from datetime import datetime
from time import time as now

import numpy as np
from skew_ext import feature_transform

COUNT = {"n": 0}
SEEN = []
TOTAL = 0.0
declare = feature_transform(inputs={"x": "Float64"}, outputs={"y": "Float64"})

def helper_clock(x):
    return x + dt.datetime.now().timestamp()

@declare
def clock_in_helper(x): return helper_clock(x)
@declare
def clock_bound(x): return x + now()
@declare
def clock_numpy(x): return x + np.datetime64("now").astype(float)
@declare
def clock_inside(x):
    import time as t
    return x * 0 + t.monotonic()
@declare
def dice(x): return x + random.random()
@declare
def dice_numpy(x): return x + np.random.rand(len(x))
@declare
def dice_generator(x): return x + np.random.default_rng(3).normal(size=len(x))
@declare
def surroundings(x): return x * float(os.environ.get("FACTOR", "2"))
@declare
def reads_file(x): return x * float(open("/proc/self/stat").read().split()[0] != "")
@declare
def logs(x):
    logging.getLogger("x").info("hello")
    return x
@declare
def counts(x):
    COUNT["n"] += 1
    return x
@declare
def remembers(x):
    SEEN.append(len(x))
    return x
@declare
def rebinds(x):
    global TOTAL
    TOTAL = TOTAL + 1
    return x
@declare
def writes_input(x):
    x[np.isnan(x)] = 0.0
    return x
@declare
def centred(x): return x - np.mean(x[np.isfinite(x)]) if len(x) else x
@declare
def running(x): return np.cumsum(np.where(np.isfinite(x), x, 0.0))
@declare
def hashed(x): return x * 0 + hash("a") % 7
@declare
def fails(x):
    if np.any(x > 1e5): raise ValueError("too large")
    return x
@declare
def dynamic(x): return eval("x + 1")
@declare
def empty_fails(x): return x + (0.0 if x[0] else 0.0)
@declare
def through_a_name_made_up_at_run_time(x):
    return x * 0 + getattr(time, "".join(["ti", "me"]))()
@declare
def default_state(x, memo=[]):
    memo.append(len(x))
    return x
@feature_transform(inputs={"id": "Int64", "hash": "Float64"}, outputs={"y": "Float64"})
def named_like_builtins(id, hash):
    open = id + 1.0
    return open * hash
@declare
def fine(x):
    start = dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)
    words = []
    words.append(os.path.join("a", "b"))
    return np.exp(x) ** 1.3 + start.timestamp() + len(words)
def make():
    n = 0
    def inner(x):
        nonlocal n
        n += 1
        return x
    return inner
stateful = make()
@declare
def closure_state(x): return stateful(x)
"""
EXPECTED = {
    "clock_in_helper": ("clock", "datetime.datetime.now (in faulty_library:helper_clock)"),
    "clock_bound": ("clock", "time.time (in faulty_library:clock_bound)"),
    "clock_numpy": ("clock", "np.datetime64('now')"),
    "clock_inside": ("clock", "time.monotonic"),
    "through_a_name_made_up_at_run_time": (
        "clock",
        "time.time (in faulty_library:through_a_name_made_up_at_run_time, l",
    ),
    "dice": ("random", "random.random"),
    "dice_numpy": ("random", "numpy.random.rand"),
    "dice_generator": ("random", "numpy.random.default_rng"),
    "surroundings": ("environment", "os.environ.get"),
    "reads_file": ("io", "open"),
    "logs": ("io", "logging.getLogger"),
    "counts": ("mutable_global", "it writes COUNT['n']"),
    "remembers": ("mutable_global", "it calls SEEN.append"),
    "rebinds": ("mutable_global", "it rebinds TOTAL"),
    "closure_state": ("mutable_global", "it rebinds n (in faulty_library:make.<locals>.inner)"),
    "default_state": ("mutable_global", "running it changed faulty_library:default_state default 0: list:[] became"),
    "writes_input": ("input_mutation", "assignment destination is read-only"),
    "centred": ("batch_dependence", "row 0 of a batch of 2"),
    "running": ("order_dependence", "row 1 of a batch of 2"),
    "hashed": ("hash_seed", "hash"),
    "fails": ("error", "ValueError: too large"),
    "empty_fails": ("error", "on an empty batch: failed: IndexError"),
    "dynamic": ("dynamic", "eval"),
    "named_like_builtins": ("", ""),
    "fine": ("", ""),
}
SMALLEST = {
    "writes_input": ({"x": 0.0},),
    "centred": ({"x": 0.0}, {"x": 1.0}),
    "running": ({"x": 0.0}, {"x": -0.0}),
    "fails": ({"x": 100_001.0},),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "faulty_library.py").write_text(LIBRARY)
    path, sys.dont_write_bytecode = list(sys.path), True
    yield folder
    sys.path[:] = path
    sys.modules.pop("faulty_library", None)


@pytest.fixture(scope="module")
def checked(library: Path) -> dict[str, Checked]:
    found = find_transforms(str(library / "faulty_library.py"))
    return {contract.function.__name__: check_transform(contract, examples=60, feast=False) for contract in found}


def test_every_transform_of_the_file_is_found(checked: dict[str, Checked]) -> None:
    assert checked.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_impurity_is_named(checked: dict[str, Checked], name: str) -> None:
    code, detail = EXPECTED[name]
    findings = checked[name].findings
    if not code:
        assert findings == []
        return
    assert code in CODES
    assert [finding for finding in findings if finding.code == code and detail in finding.message], findings
    # What it does to the results may be told as well; nothing else is.
    consequences = {"not_repeatable", "order_dependence", "batch_dependence", "path_mismatch"}
    assert {finding.code for finding in findings} - consequences <= {code}


@pytest.mark.parametrize("name", SMALLEST)
def test_smallest_input_is_shown(checked: dict[str, Checked], name: str) -> None:
    (finding,) = checked[name].findings
    assert repr(finding.example) == repr(SMALLEST[name])


def test_what_the_collector_and_other_threads_do_is_no_finding(library: Path) -> None:
    contract = find_transforms(str(library))[0]
    stranger: dict[str, Any] = {"__name__": "stranger"}
    source = "import time\nclass Client:\n    def __init__(self): self.me = self\n    def __del__(self): time.time()"
    exec(source, stranger)  # noqa: S102 - a module's own code, as the collector would run a client's
    watcher, thresholds = Watcher(contract), gc.get_threshold()

    def compute() -> None:
        gc.set_threshold(1)
        for _ in range(10):
            stranger["Client"]()

    drawn = iter([True, False, True])
    try:
        watcher.run(compute)
    finally:
        gc.set_threshold(*thresholds)
    watcher.run(lambda: random.random() if next(drawn) else None)  # noqa: S311 - what another thread does
    assert watcher.findings == []


def test_same_check_twice_finds_the_same(library: Path, checked: dict[str, Checked]) -> None:
    (contract,) = [found for found in find_transforms("faulty_library") if found.function.__name__ == "fails"]
    assert check_transform(contract, examples=60, feast=False).as_dict() == checked["fails"].as_dict()
    assert library.is_dir()


def test_example_can_be_pasted_back() -> None:
    row = {"x": math.nan, "y": -math.inf, "z": None, "text": "\x1b[31m"}
    lines = list(finding_lines(Finding("error", "said\x1b[31m", "", (row,))))
    assert "\x1b" not in "".join(lines)
    pasted: dict[str, Any] = eval(lines[-1])  # noqa: S307 - as somebody would paste it
    assert repr(pasted) == repr(row)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("no_such_folder_or_module", "no folder, file or module 'no_such_folder_or_module'"),
        ("no/such/folder", "no folder, file or module 'no/such/folder'"),
        ("nothing.py", "no folder, file or module 'nothing.py'"),
        ("json", "json defines no shared transform"),
    ],
)
def test_target_without_transforms_is_said(target: str, said: str) -> None:
    with pytest.raises(TransformError) as caught:
        find_transforms(target)
    assert str(caught.value).startswith(said)


def test_module_that_cannot_be_imported_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "broken_library.py").write_text("import no_such_thing_at_all")
    with pytest.raises(
        TransformError, match="broken_library cannot be imported: No module named 'no_such_thing_at_all'"
    ):
        find_transforms(str(tmp_path))
    (tmp_path / "broken_library.py").write_text("1 / 0")
    with pytest.raises(TransformError, match="broken_library cannot be imported: ZeroDivisionError"):
        find_transforms(str(tmp_path))


def test_package_is_imported_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    inner = tmp_path / "outer_library" / "inner"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").write_text("")
    (inner / "__init__.py").write_text("from outer_library.inner.one import same")
    text = "from skew_ext import feature_transform\n\n"
    declared = '@feature_transform(inputs={"x": "Float64"}, outputs={"y": "Float64"})\ndef same(x):\n    return x\n'
    (inner / "one.py").write_text(text + declared)
    importlib.invalidate_caches()
    assert [found.reference for found in find_transforms(str(inner))] == ["outer_library.inner.one:same"]
    assert [found.reference for found in find_transforms("outer_library")] == ["outer_library.inner.one:same"]
    assert [found.reference for found in find_transforms(str(inner / "one.py"))] == ["outer_library.inner.one:same"]


def test_missing_tools_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "hypothesis" else name)
    with pytest.raises(TransformError, match=r"needs hypothesis: pip install 'skew-ext\[check\]'"):
        need_tools()
