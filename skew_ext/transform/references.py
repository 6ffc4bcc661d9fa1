"""The global names that a function uses, and what they are now."""

from __future__ import annotations

import builtins
import dis
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from skew_ext.errors import TransformError

_GLOBALS: Final = ("LOAD_GLOBAL", "LOAD_NAME")
_ATTRIBUTES: Final = ("LOAD_ATTR", "LOAD_METHOD")
_BETWEEN: Final = ("CACHE", "PRECALL", "PUSH_NULL", "EXTENDED_ARG", "NOP")


def references(function: FunctionType, followed: Callable[[str], bool]) -> dict[str, Any]:
    """Give each global that a function reads, by its dotted name, with its value; builtins are left out.

    Through a module that `followed` says yes to, by its name, the attribute that is used counts, not the module.

    Raises
    ------
    TransformError
        A name is not defined: misspelt, or defined further down; or a module to follow is imported in the function.
    """
    found: dict[str, Any] = {}
    where = f"{function.__module__}:{function.__qualname__}"
    for module in _imports(function.__code__):
        if not module or followed(module):
            name = module or "its own package"
            raise TransformError(f"{where} imports {name} inside itself, unseen by its fingerprint; import it above")
    for path in _paths(function.__code__):
        if path[0] in function.__globals__:
            name, value = _follow(path, function.__globals__[path[0]], followed)
            found[name] = value
        elif path[0] != function.__name__ and not hasattr(builtins, path[0]):
            raise TransformError(f"{where} uses {path[0]!r}, which is not defined above it; move it up, or correct it")
    return found


def _paths(code: CodeType) -> Iterator[list[str]]:
    """Give each global name read in `code` or nested in it, with the attributes read off it at once."""
    path: list[str] = []
    for instruction in dis.get_instructions(code):
        if path and instruction.opname in _ATTRIBUTES:
            path.append(str(instruction.argval))
        elif not path or instruction.opname not in _BETWEEN:
            if path:
                yield path
            path = [str(instruction.argval)] if instruction.opname in _GLOBALS else []
    if path:
        yield path
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _paths(constant)


def _imports(code: CodeType) -> Iterator[str]:
    """Give the name of each module imported in `code` or nested in it; nothing for one relative to its package."""
    instructions = [found for found in dis.get_instructions(code) if found.opname not in _BETWEEN]
    for place, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            level = instructions[place - 2].argval  # then come the names to import, then this
            yield "" if level else str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imports(constant)


def _follow(path: list[str], value: Any, followed: Callable[[str], bool]) -> tuple[str, Any]:
    name = path[0]
    for attribute in path[1:]:
        own = isinstance(value, ModuleType) and followed(value.__name__)
        if not own or not hasattr(value, attribute):
            break
        name, value = f"{name}.{attribute}", getattr(value, attribute)
    return name, value
