"""The points at which a process can be killed or its disk fail, found by the code itself.

A point is an operation on files that is made from within skew_ext. Nothing in the production code knows of it: the
interpreter's audit events tell of most operations, and what raises none (fsync, posix_fallocate, ...) is wrapped in the
process that is to suffer. A point is named by the functions of skew_ext that led to it, by the operation, by the kind
of file, and by whether the operation is done: so a new line of code is a new point, without anyone's thought.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow.parquet as pq

from skew_ext.log.parquet import ParquetDestination

ROOT = str(Path(__file__).parents[2] / "skew_ext") + os.sep
KILL, TEAR, PAUSE, SLOW = "kill", "tear", "pause", "slow"
BEFORE, AFTER = "before", "after"
READ = "read"
"""Opening a file to read it: it can fail, but a kill there is a kill at the point before."""
_NEED_SPACE = frozenset({"open", "mkdir", "posix_fallocate", "write", "fsync", "rename", "write_table", "ftruncate"})
_CHANGE = frozenset({"open", "mkdir", "rename", "remove", "rmdir", "link", "symlink", "truncate", "utime", "chmod"})
FAILURES = {
    "ENOSPC": (errno.ENOSPC, _NEED_SPACE),
    "EROFS": (errno.EROFS, _CHANGE),
    "EIO": (errno.EIO, _NEED_SPACE | _CHANGE | {READ, "fdatasync", "listdir", "mmap", "store"}),
    "EMFILE": (errno.EMFILE, frozenset({"open", READ, "listdir", "posix_spawn"})),
}
"""What a disk answers, and the operations that can have that for an answer."""
_EVENTS = {
    "os.rename": "rename",
    "os.remove": "remove",
    "os.mkdir": "mkdir",
    "os.rmdir": "rmdir",
    "os.truncate": "truncate",
    "os.link": "link",
    "os.symlink": "symlink",
    "os.utime": "utime",
    "os.chmod": "chmod",
    "os.posix_spawn": "posix_spawn",
    "os.listdir": "listdir",
    "os.scandir": "listdir",
    "fcntl.flock": "flock",
    "mmap.__new__": "mmap",
}
_WRAPPED = {
    "rename": "rename",
    "replace": "rename",
    "unlink": "remove",
    "remove": "remove",
    "mkdir": "mkdir",
    "rmdir": "rmdir",
    "link": "link",
    "symlink": "symlink",
    "truncate": "truncate",
    "ftruncate": "ftruncate",
    "write": "write",
    "pwrite": "write",
    "fsync": "fsync",
    "fdatasync": "fdatasync",
    "posix_fallocate": "posix_fallocate",
    "posix_spawn": "posix_spawn",
    "utime": "utime",
    "chmod": "chmod",
}
_QUIET = frozenset({READ, "listdir"})
_VARYING = re.compile(r"[0-9a-f]{8,}|\d+")
_DEEPEST, _CHAIN = 40, 4
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass
class Arm:
    """What is to happen, and where: at the `at`-th point from now on, or at the first one whose name ends so.

    `lasting`: the disk goes on to fail until it is disarmed, else it fails once.
    """

    action: str
    at: int = 0
    name: str = ""
    lasting: bool = False


class Probe:
    """Stands at every point of this process. `tell` sends word to the driver; `ask` waits for its next word."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], ask: Callable[[], dict[str, Any]]) -> None:
        self._tell, self._ask = tell, ask
        self._inside = threading.local()
        self._arm: Arm | None = None
        self._passed = self.passed = 0  # points since it was armed, and while it was armed last
        self._failing = False
        self._written: dict[str, str] = {}
        self.on_slow: Callable[[], None] = lambda: None
        self.names: list[str] = []
        """The points reached since something was armed, or since none is."""
        self.lines: set[tuple[str, int]] = set()

    def arm(self, arm: Arm | None) -> None:
        """Set what is to happen; None for nothing more."""
        self.passed = self._passed if self._arm is not None else self.passed
        self._arm, self._passed, self._failing = arm, 0, False
        if arm is not None:
            self.names = []

    def install(self) -> None:
        """Take the place of the operations, for the rest of this process's life."""
        for name, operation in _WRAPPED.items():
            setattr(os, name, self._wrapped(getattr(os, name), operation))
        setattr(os, "open", self._wrapped(os.open, "open", only=_opens_to_write))  # noqa: B010 - not a constant
        fcntl.flock = self._wrapped(fcntl.flock, "flock")
        io.open = builtins.open = self._wrapped(io.open, "open", only=_opens_to_write)
        pq.write_table = self._wrapped(pq.write_table, "write_table")
        for owner, name, operation in (
            (pq.ParquetWriter, "write_table", "write_table"),
            (ParquetDestination, "write", "store"),
        ):
            setattr(owner, name, self._wrapped(getattr(owner, name), operation, path=lambda _: ""))
        sys.addaudithook(self._audit)

    def _wrapped(
        self,
        function: Callable[..., Any],
        operation: str,
        *,
        only: Callable[..., bool] = lambda *_, **__: True,
        path: Callable[[tuple[Any, ...]], str] | None = None,
    ) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, "deep", False) or not only(*args, **kwargs):
                return function(*args, **kwargs)
            where = _path_of(args) if path is None else path(args)
            self.reach(operation, where, BEFORE)
            if operation in ("store", "write_table"):  # what they do on their way are points too
                result = function(*args, **kwargs)
            else:
                self._inside.deep = True
                try:
                    result = function(*args, **kwargs)
                finally:
                    self._inside.deep = False
            if operation == "rename":
                where = self._moved(where, _path_of(args[1:]))
            self.reach(operation, where, AFTER)
            return result

        return call

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            if isinstance(args[0], int):
                return  # a descriptor: that it was opened was a point already
            writes = isinstance(args[2], int) and args[2] & _WRITING
            operation: str | None = "open" if writes else READ
        else:
            operation = _EVENTS.get(event)
        if operation is not None and not getattr(self._inside, "deep", False):
            self.reach(operation, _path_of(args), BEFORE)

    def reach(self, operation: str, path: str, when: str) -> None:
        """Note that a point is reached, and let happen what is to."""
        if getattr(self._inside, "here", False):
            return
        self._inside.here = True
        try:
            frames = list(_ours(sys._getframe(1)))
            if not frames:
                return
            name = _named(frames, operation, path, when)
            self._keep_track(operation, path, when)
            if operation not in _QUIET:
                self.names.append(name)
            self.lines.update((_module(frame), frame.f_lineno) for frame in frames[:1])
            self._happen(operation, name, when)
        finally:
            self._inside.here = False

    def _happen(self, operation: str, name: str, when: str) -> None:
        arm = self._arm
        if arm is None:
            return
        if self._failing:
            self._fail(arm.action, operation, name, when)
            return
        if arm.action not in FAILURES and operation in _QUIET:
            return
        passed, self._passed = self._passed, self._passed + 1
        if not name.endswith(arm.name) if arm.name else passed < arm.at:
            return
        if arm.action in (KILL, TEAR):
            self._tell({"died": name, "lines": sorted(self.lines)})
            self._die(torn=arm.action == TEAR)
        elif arm.action == PAUSE:
            if threading.current_thread() is not threading.main_thread():
                return  # the driver's next word is the main thread's to hear
            self._arm = None
            self._tell({"paused": name})
            self.arm(armed(self._ask()))
        elif arm.action == SLOW:
            self._tell({"fault": name})
            self._arm = None
            self.on_slow()
        else:
            self._fail(arm.action, operation, name, when)

    def _fail(self, action: str, operation: str, name: str, when: str) -> None:
        number, plausible = FAILURES[action]
        # A store whose answer is lost: the only operation that may have been done although it says that it failed.
        if operation not in plausible or (when == AFTER and operation != "store"):
            return
        self._failing = self._arm is not None and self._arm.lasting
        if not self._failing:
            self._arm = None
        self._tell({"fault": name})
        raise OSError(number, os.strerror(number))

    def _moved(self, source: str, target: str) -> str:
        if self._written.pop(source, None):
            self._written[target] = target
        return target

    def _keep_track(self, operation: str, path: str, when: str) -> None:
        """Remember which small files are written and not yet on the disk: a loss of power takes their content."""
        if when == BEFORE:
            return
        if operation == "open":
            self._written[path] = path
        elif operation in ("fsync", "remove"):
            self._written.pop(path, None)

    def _die(self, *, torn: bool) -> None:
        if torn:
            self._inside.deep = True
            for path in self._written:
                if not path.endswith((".seg", "/state", "lock")) and Path(path).is_file():
                    os.truncate(path, Path(path).stat().st_size // 2)
        os.kill(_REAL_PID(), signal.SIGKILL)


_REAL_PID = os.getpid


def armed(word: dict[str, Any]) -> Arm | None:
    """Give what a command's `arm` asks for."""
    asked = word.get("arm")
    return Arm(**asked) if asked else None


def _opens_to_write(path: Any, mode: Any = "r", *_: Any, **__: Any) -> bool:
    if isinstance(path, int):
        return False  # a descriptor: that it was opened was a point already
    return bool(mode & _WRITING) if isinstance(mode, int) else any(letter in mode for letter in "wax+")


def _path_of(args: tuple[Any, ...]) -> str:
    """Give the path that an operation is about, its first argument: a path, a descriptor or a file."""
    given = args[0] if args else ""
    if isinstance(given, int) and not isinstance(given, bool):
        try:
            return str(Path(f"/proc/self/fd/{given}").readlink())
        except OSError:
            return ""
    if hasattr(given, "fileno"):
        return _path_of((given.fileno(),))
    return os.fspath(given) if isinstance(given, str | os.PathLike) else ""


def _ours(frame: FrameType | None) -> Iterator[FrameType]:
    """Give the frames of skew_ext that led here, the nearest first."""
    found = 0
    for _ in range(_DEEPEST):
        if frame is None or found == _CHAIN:
            return
        if frame.f_code.co_filename.startswith(ROOT):
            found += 1
            yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    return frame.f_code.co_filename[len(ROOT) :].removesuffix(".py").replace(os.sep, ".")


def _named(frames: list[FrameType], operation: str, path: str, when: str) -> str:
    nearest, *callers = frames
    chain = "<".join(
        [f"{_module(nearest)}.{nearest.f_code.co_name}"]
        # Two calls of one function from another are two points.
        + [f"{frame.f_code.co_name}+{frame.f_lineno - frame.f_code.co_firstlineno}" for frame in callers]
    )
    kind = _VARYING.sub("#", os.path.basename(path)) or "-"  # noqa: PTH119 - it may be no path at all
    return f"{chain}:{operation}:{kind[:40]}:{when}"
