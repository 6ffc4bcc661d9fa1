"""The global names that a function uses, and what they are now."""

from __future__ import annotations

import builtins
import dis
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from skew_ext.errors import TransformError

_GLOBALS: Final = ("LOAD_GLOBAL", "LOAD_NAME")
_ATTRIBUTES: Final = ("LOAD_ATTR", "LOAD_METHOD")


def references(function: FunctionType, package: str) -> list[tuple[str, Any]]:
    """Give each global that a function reads, by its dotted name, with its value; builtins are left out.

    Through a module of the function's own top-level `package` the attribute that is used counts, not the module.

    Raises
    ------
    TransformError
        A name is not defined: misspelt, or defined further down.
    """
    found: dict[str, Any] = {}
    for path in _paths(function.__code__):
        if path[0] in function.__globals__:
            name, value = _follow(path, function.__globals__[path[0]], package)
            found[name] = value
        elif path[0] != function.__name__ and not hasattr(builtins, path[0]):
            where = f"{function.__module__}:{function.__qualname__}"
            raise TransformError(f"{where} uses {path[0]!r}, which is not defined above it; move it up, or correct it")
    return sorted(found.items())


def _paths(code: CodeType) -> Iterator[list[str]]:
    """Give each global name read in `code` or nested in it, with the attributes read off it at once."""
    path: list[str] = []
    for instruction in dis.get_instructions(code):
        if path and instruction.opname in _ATTRIBUTES:
            path.append(str(instruction.argval))
        elif not path or instruction.opname not in ("CACHE", "PRECALL", "PUSH_NULL"):
            if path:
                yield path
            path = [str(instruction.argval)] if instruction.opname in _GLOBALS else []
    if path:
        yield path
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _paths(constant)


def _follow(path: list[str], value: Any, package: str) -> tuple[str, Any]:
    name = path[0]
    for attribute in path[1:]:
        own = isinstance(value, ModuleType) and value.__name__.partition(".")[0] == package
        if not own or not hasattr(value, attribute):
            break
        name, value = f"{name}.{attribute}", getattr(value, attribute)
    return name, value
