"""Impurity by running: what a transform really does while it computes, seen from outside.

Python's profiler tells each call that it makes, with the line it is made from, whatever name it goes by; the states of
the random generators and of everything that the fingerprint covers are compared before and after.
"""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

import numpy as np

from skew_ext.transform.changes import changes
from skew_ext.transform.checking.findings import Finding
from skew_ext.transform.contract import Contract
from skew_ext.transform.fingerprint import manifest_of

_BUILTINS: Final = {
    "time": "clock",
    "posix": "io",
    "nt": "io",
    "_io": "io",
    "_socket": "io",
    "_random": "random",
    "_sqlite3": "io",
    "_posixsubprocess": "io",
}
_NAMES: Final = {"open": "io", "print": "io", "input": "io", "hash": "hash_seed", "id": "hash_seed"}
_QUIET: Final = frozenset({"struct_time", "fspath", "__new__", "getcwd", "stat", "lstat", "listdir", "scandir"})
_CLASSES: Final = {"datetime": ("now", "utcnow", "today"), "date": ("today",), "Timestamp": ("now", "utcnow", "today")}
_MODULES: Final = {
    **dict.fromkeys(("random", "secrets", "uuid"), "random"),
    **dict.fromkeys(("logging", "subprocess", "socket", "pathlib", "tempfile", "shutil", "urllib.request"), "io"),
    **dict.fromkeys(("platform", "locale", "getpass"), "environment"),
}


_DRAWS: Final = 3
"""So many runs in a row have to draw before it is the transform that does: other threads may draw as well."""


class Watcher:
    """Watches runs of one transform; `findings` is what they did."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._found: dict[tuple[str, str, str], Finding] = {}

    @property
    def findings(self) -> list[Finding]:
        """What has been seen so far."""
        return list(self._found.values())

    def run(self, compute: Callable[[], object]) -> None:
        """Run a computation of the transform, watched. What it raises, the comparison of paths finds and shows."""
        if all(self._draws(compute) for _ in range(_DRAWS)):
            self._add("random", "it draws from the global random generator", "")

    def compare(self) -> None:
        """Compare what the fingerprint covers with what it was when the transform was declared."""
        now = manifest_of(self._contract.function, self._contract.describe())
        for change in changes(self._contract.manifest, now):
            old_new = " became ".join(line[1:] for line in change.lines[:2])
            self._add("mutable_global", f"running it changed {change.where}: {old_new}", "")

    def _draws(self, compute: Callable[[], object]) -> bool:
        before = (random.getstate(), _numpy_state())
        with suppress(Exception), _profiled(self._event):
            compute()
        return (random.getstate(), _numpy_state()) != before

    def _event(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            code, name = _builtin(argument)
            if code and _is_written(frame):
                self._add(
                    code, name, f"{frame.f_globals.get('__name__')}:{frame.f_code.co_name}, line {frame.f_lineno}"
                )
        elif event == "call" and frame.f_back is not None and _is_written(frame.f_back):
            self._called(frame, frame.f_back)

    def _called(self, frame: FrameType, caller: FrameType) -> None:
        module = str(frame.f_globals.get("__name__", ""))
        code = _MODULES.get(module)
        if module == "os" and frame.f_code.co_name in ("getenv", "__getitem__", "get"):
            code = "environment"
        if code is not None and frame.f_code.co_name not in ("seed", "<module>"):
            where = f"{caller.f_globals.get('__name__')}:{caller.f_code.co_name}, line {caller.f_lineno}"
            self._add(code, f"{module}.{frame.f_code.co_name}", where)

    def _add(self, code: str, detail: str, where: str) -> None:
        self._found.setdefault((code, detail, where), Finding(code, detail, where))


def _is_written(frame: FrameType) -> bool:
    """Say whether a frame runs code of the transform's own: numpy may well ask the clock or a file for itself."""
    top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return top not in ("numpy", "pandas", "pyarrow", "scipy", "skew_ext", "importlib") and top not in _STANDARD


_STANDARD: Final = sys.stdlib_module_names - {"__main__"}


def _builtin(function: Any) -> tuple[str | None, str]:
    module, name = getattr(function, "__module__", None) or "", getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type) and name in _CLASSES.get(owner.__name__, ()):
        return "clock", f"{owner.__name__}.{name}"
    if module in ("", "builtins", "_io", "io") and name in _NAMES:
        return _NAMES[name], name
    if module in _BUILTINS and name not in _QUIET:
        return _BUILTINS[module], f"{module}.{name}"
    kind = type(owner).__module__
    return ("random", f"numpy.random.{name}") if kind.startswith("numpy.random") else (None, "")


def _numpy_state() -> tuple[Any, ...]:
    state: Any = np.random.get_state()  # noqa: NPY002 - it is this very generator that a transform must not touch
    return (state[0], state[1].tobytes(), *state[2:])


@contextmanager
def _profiled(event: Callable[[FrameType, str, Any], None]) -> Iterator[None]:
    before, collecting = sys.getprofile(), gc.isenabled()
    # The collector runs the finalizers of anybody's objects here: a client that closes its socket, say.
    gc.disable()
    sys.setprofile(event)
    try:
        yield
    finally:
        sys.setprofile(before)
        if collecting:
            gc.enable()
