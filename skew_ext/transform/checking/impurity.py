"""Impurity by reading: the clocks, dice, files and states that a transform's source names, helpers included.

It reads the parts of the manifest, so it looks where the fingerprint looks, and resolves a name as Python would:
through the globals that the function sees, and through imports inside it.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping
from typing import Final

from skew_ext.transform.checking.findings import Finding
from skew_ext.transform.fingerprint import Manifest, Part

_CLOCKS: Final = (
    *(f"time.{name}{unit}" for name in ("time", "monotonic", "perf_counter", "process_time") for unit in ("", "_ns")),
    *("time.localtime", "time.gmtime", "time.ctime", "time.strftime", "time.sleep", "time.thread_time"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
    *("pandas.Timestamp.now", "pandas.Timestamp.utcnow", "pandas.Timestamp.today", "pandas.Timestamp.time"),
)
_IMPURE: Final[Mapping[str, str]] = {
    **dict.fromkeys(_CLOCKS, "clock"),
    **dict.fromkeys(("random", "numpy.random", "secrets", "uuid.uuid1", "uuid.uuid4", "os.urandom"), "random"),
    **dict.fromkeys(
        ("os.environ", "os.environb", "os.getenv", "os.getcwd", "os.getpid", "os.cpu_count"), "environment"
    ),
    **dict.fromkeys(
        ("os.uname", "os.getlogin", "platform", "locale", "getpass", "sys.argv", "sys.flags"), "environment"
    ),
    **dict.fromkeys(("socket.gethostname", "socket.getfqdn"), "environment"),
    **dict.fromkeys(("open", "print", "input", "io.open", "os", "pathlib.Path", "logging", "warnings.warn"), "io"),
    **dict.fromkeys(("subprocess", "socket", "urllib.request", "http", "requests", "httpx", "aiohttp"), "io"),
    **dict.fromkeys(
        ("sqlite3", "shutil", "tempfile", "pickle", "shelve", "sys.stdout", "sys.stderr", "sys.stdin"), "io"
    ),
    **dict.fromkeys(("numpy.load", "numpy.loadtxt", "numpy.genfromtxt", "numpy.fromfile", "numpy.memmap"), "io"),
    **dict.fromkeys(("numpy.save", "numpy.savez", "numpy.savetxt", "pyarrow.parquet", "pyarrow.dataset"), "io"),
    **dict.fromkeys(("hash", "id"), "hash_seed"),
    **dict.fromkeys(("eval", "exec", "compile", "__import__", "globals", "importlib"), "dynamic"),
}
_PURE: Final = ("os.path", "os.fspath", "os.sep", "random.Random", "numpy.random.SeedSequence")
_CHANGING: Final = frozenset(
    {
        *("append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "remove", "discard", "clear"),
        *("sort", "reverse", "fill", "put", "itemset", "resize"),
    }
)
_TODAY: Final = ("now", "today")


def impurities(manifest: Manifest) -> list[Finding]:
    """Give what the source of a transform and its helpers names that no pure function may touch."""
    found: dict[tuple[str, str, str], Finding] = {}
    for label, part in manifest.parts.items():
        for code, detail in _in_part(part):
            found.setdefault((code, detail, label), Finding(code, detail, label))
    return list(found.values())


def _in_part(part: Part) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(part.code)
    except SyntaxError:  # a class is told by its members, and a function without source cannot be read
        return
    reader = _Reader(part, set(_bound(tree)))
    for node in ast.walk(tree):
        yield from reader.read(node)


class _Reader:
    def __init__(self, part: Part, bound: set[str]) -> None:
        self._values = part.values
        self._bound = bound
        self._local: dict[str, str] = {}
        self._inside: set[int] = set()

    def read(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        """Give the impurities that one node of the source shows by itself."""
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self._imported(node)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            yield "mutable_global", f"it rebinds {', '.join(node.names)}"
        elif isinstance(node, (ast.Name, ast.Attribute)):
            if isinstance(node, ast.Attribute):
                self._inside.add(id(node.value))
            if isinstance(node.ctx, ast.Load):
                yield from self._named(node)
            else:
                yield from self._changed(node)
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield from self._changed(node)
        elif isinstance(node, ast.Call):
            yield from self._called(node)

    def _imported(self, node: ast.Import | ast.ImportFrom) -> None:
        module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names:
            whole = alias.name if alias.asname else alias.name.partition(".")[0]
            self._local[alias.asname or whole] = f"{module}{alias.name if module else whole}"

    def _resolved(self, node: ast.expr) -> str:
        """Give the dotted name that an expression means, in the module that defines it, or nothing."""
        if isinstance(node, ast.Attribute):
            base = self._resolved(node.value)
            written = ast.unparse(node)
            if written in self._values:
                return _meaning(self._values[written])
            return f"{base}.{node.attr}" if base else ""
        if not isinstance(node, ast.Name):
            return ""
        if node.id in self._local:
            return self._local[node.id]
        if node.id in self._values:
            return _meaning(self._values[node.id])
        return node.id if hasattr(builtins, node.id) and node.id not in self._bound else ""

    def _named(self, node: ast.Name | ast.Attribute) -> Iterator[tuple[str, str]]:
        if id(node) in self._inside:  # the whole of a.b.c is told, not a.b and a besides
            return
        name = self._resolved(node)
        code = _IMPURE.get(name)
        if code is None and isinstance(node, ast.Attribute):
            # A module of which every function is impure, or a method of an impure class.
            code = next((_IMPURE[prefix] for prefix in _prefixes(name) if prefix in _IMPURE), None)
        if name.startswith(("pandas.read_", "pyarrow.fs")):
            code = "io"
        if code is not None and not any(f"{name}.".startswith(f"{pure}.") for pure in _PURE):
            yield code, name

    def _changed(self, node: ast.expr) -> Iterator[tuple[str, str]]:
        root = node
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            root = root.value
        if isinstance(root, ast.Name) and root is not node and self._outlives(root.id):
            yield "mutable_global", f"it writes {ast.unparse(node)}"

    def _outlives(self, name: str) -> bool:
        return name in self._values or f"closure {name}" in self._values

    def _called(self, node: ast.Call) -> Iterator[tuple[str, str]]:
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in _CHANGING and isinstance(function.value, ast.Name):
            holder = function.value.id
            if self._outlives(holder) and not _meaning(self._values.get(holder, "")):
                yield "mutable_global", f"it calls {ast.unparse(function)}"
        now = any(isinstance(argument, ast.Constant) and argument.value in _TODAY for argument in node.args)
        if now and self._resolved(function) in ("numpy.datetime64", "pandas.Timestamp", "pandas.to_datetime"):
            yield "clock", ast.unparse(node)


def _bound(tree: ast.AST) -> Iterator[str]:
    """Give the names that a part binds itself: an input may be called `id`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:length])


def _meaning(text: str) -> str:
    """Give the dotted name of a module, class or function out of a manifest's text of it; nothing for other values."""
    kind, _, rest = text.partition(":")
    if kind == "module":
        return rest
    if kind in ("type", "function", "builtin_function_or_method", "method_descriptor", "ufunc"):
        return rest.replace(":", ".").removeprefix("builtins.").removeprefix("_io.")
    return ""
