"""What a shared transform is, in one hash: its code, all that the code uses, and its declared contract.

The hash is taken over source text without comments, docstrings, decorators, annotations and layout, so it stays the
same over Python versions, processes and hash seeds, and changes with anything that can change a result: the function,
helpers and constants of the same top-level package (transitively), defaults, closures, declared types, and the minor
versions of numpy, pandas and pyarrow. What other packages do is taken to be fixed by their version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from types import FunctionType
from typing import Any, Final

from skew_ext.errors import TransformError
from skew_ext.transform.references import references
from skew_ext.transform.source import normalised
from skew_ext.transform.values import canonical

_LIBRARIES: Final = ("numpy", "pandas", "pyarrow")


def fingerprint_of(function: FunctionType, declared: Mapping[str, Any]) -> str:
    """Give the fingerprint of a function with its declared contract: 64 hex digits of SHA-256.

    Raises
    ------
    TransformError
        The function uses a name that is not defined yet, or a value that has no stable text.
    """
    parts = _Parts(function)
    whole = {"declared": declared, "parts": parts.found, "libraries": {name: _release(name) for name in _LIBRARIES}}
    # Inputs and outputs keep their order, which can matter; the parts are found in an order that cannot.
    whole["parts"] = dict(sorted(parts.found.items()))
    return hashlib.sha256(json.dumps(whole, separators=(",", ":")).encode("utf-8", "surrogatepass")).hexdigest()


@cache
def _release(library: str) -> str:
    try:
        return ".".join(metadata.version(library).split(".")[:2])
    except metadata.PackageNotFoundError:
        return ""


class _Parts:
    """The function and, transitively, what it uses of its own top-level package: each by name, as text."""

    def __init__(self, function: FunctionType) -> None:
        self.found: dict[str, str] = {}
        self._root = function
        self._package = function.__module__.partition(".")[0]
        self._add_function(function)

    def _own(self, thing: Any) -> bool:
        return str(getattr(thing, "__module__", None) or "").partition(".")[0] == self._package

    def _add_function(self, function: FunctionType) -> str:
        label = f"{function.__module__}:{function.__qualname__}"
        if label in self.found:
            return label
        self.found[label] = ""  # taken before going on: functions may call each other
        self.found[label] = json.dumps(
            {
                "source": normalised(function),
                "defaults": [self._value(value, label) for value in function.__defaults__ or ()],
                "keywords": {
                    name: self._value(value, label) for name, value in (function.__kwdefaults__ or {}).items()
                },
                "closure": [self._value(cell.cell_contents, label) for cell in function.__closure__ or ()],
                "uses": {name: self._value(value, label) for name, value in references(function, self._package)},
            }
        )
        return label

    def _add_class(self, cls: type) -> str:
        label = f"{cls.__module__}:{cls.__qualname__}"
        if label not in self.found:
            self.found[label] = ""
            members = {
                name: self._value(getattr(value, "__func__", value), label)
                for name, value in vars(cls).items()
                if not (name.startswith("__") and not callable(value))
                and not (name.startswith("_") and name.endswith("_"))
            }
            bases = [self._value(base, label) for base in cls.__bases__]
            self.found[label] = json.dumps({"bases": bases, "members": members})
        return label

    def _value(self, value: Any, user: str) -> str:
        inner = getattr(value, "__wrapped__", value)
        if isinstance(inner, FunctionType) and self._own(inner):
            return self._add_function(inner)
        if isinstance(value, type) and self._own(value):
            return self._add_class(value)
        try:
            return canonical(value, lambda part: self._value(part, user))
        except TypeError as error:
            raise TransformError(f"{self._root.__module__}:{self._root.__qualname__}: {user} uses {error}") from None
