"""The places in the code where a point has to be: every call that changes files, found by reading the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2] / "skew_ext"
FOLDERS = ("serving/*.py", "shipping/*.py", "log/parquet*.py")
_CHANGING = frozenset(
    {
        "rename", "unlink", "remove", "rmdir", "rmtree", "mkdir", "makedirs", "move", "copyfile", "copy2",
        "fsync", "fdatasync", "posix_fallocate", "truncate", "ftruncate", "pwrite", "touch", "link", "symlink",
        "symlink_to", "hardlink_to", "write_bytes", "write_text", "flock", "lockf", "posix_spawn", "utime",
        "write_table", "NamedTemporaryFile", "mkstemp", "mkdtemp",
    }
)  # fmt: skip
_WRITING_FLAGS = frozenset({"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"})


@dataclass(frozen=True)
class Site:
    """One call: its module, its function, what it calls, and the lines that it stands on."""

    module: str
    function: str
    operation: str
    first: int
    last: int

    @property
    def name(self) -> str:
        """What it is told by: lines change too often."""
        return f"{self.module}.{self.function}:{self.operation}"

    def is_reached(self, lines: set[tuple[str, int]]) -> bool:
        """Say whether any of these lines is one of its own."""
        return any((self.module, line) in lines for line in range(self.first, self.last + 1))


def sites() -> list[Site]:
    """Give all of them."""
    found = []
    for pattern in FOLDERS:
        for path in sorted(ROOT.glob(pattern)):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found += list(_calls(ast.parse(path.read_text(encoding="utf-8")), module, ""))
    return found


def _calls(node: ast.AST, module: str, function: str) -> Iterator[Site]:
    for child in ast.iter_child_nodes(node):
        inside = function
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = child.name if isinstance(child, ast.ClassDef) or not function else f"{function}.{child.name}"
        if isinstance(child, ast.Call) and (operation := _operation(child)):
            yield Site(module, function or "-", operation, child.lineno, child.end_lineno or child.lineno)
        yield from _calls(child, module, inside)


def _operation(call: ast.Call) -> str | None:
    called = call.func
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    owner = called.value if isinstance(called, ast.Attribute) else None
    of = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
    if name in _CHANGING:
        return name if name != "remove" or of == "os" else None  # a list has one too
    if name == "replace" and isinstance(called, ast.Attribute) and len(call.args) == 1 and not call.keywords:
        return name  # a path's: a text's has two arguments, and a dataclass's has keywords
    if name == "write" and isinstance(called, ast.Attribute):
        return "store" if "destination" in of else name if of == "os" else None
    if name == "open" and _writes(call):
        return name
    return None


def _writes(call: ast.Call) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    names = {node.attr for one in given for node in ast.walk(one) if isinstance(node, ast.Attribute)}
    texts = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return bool(names & _WRITING_FLAGS) or any(
        set(text) <= set("rwaxbt+") and set(text) & set("wax+") for text in texts
    )
