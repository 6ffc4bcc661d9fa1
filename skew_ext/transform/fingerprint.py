"""What a shared transform is, in one hash: its code, all that the code uses, and its declared contract.

The hash is SHA-256 over a manifest, and the manifest is what two fingerprints are compared by:

* **declared**: inputs and outputs with their types and in their order, version, the hash of the fitted parameters;
* **parts**: the function, and transitively each function and class that it uses. A part is its source without comments,
  docstrings, decorators, annotations and layout, and the value of each constant, default and closure that it reads;
* **libraries**: major and minor version of numpy, pandas and pyarrow, and of other packages of `BY_VERSION` that a part
  uses; Python's version of Unicode where a part asks it about characters.

Formatting, comments and docstrings, and whatever no part uses, do not count. Nor does Python's version: the source is
hashed as a syntax tree that 3.10 to 3.13 agree on. Modules of the standard library and of `BY_VERSION` are taken to be
fixed by their versions; every other module is followed by its source, wherever it is installed. Nothing in it depends
on the process, the machine, the hash seed or the place of the files.

A patch release of numpy does not change it: numpy mends faults there and keeps its arithmetic.
"""

from __future__ import annotations

import hashlib
import json
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, Final

from skew_ext.errors import TransformError
from skew_ext.transform.classes import members
from skew_ext.transform.parameters import Parameters
from skew_ext.transform.references import references
from skew_ext.transform.source import Normalised, normalised, normalised_module
from skew_ext.transform.values import canonical

LIBRARIES: Final = ("numpy", "pandas", "pyarrow")
BY_VERSION: Final = frozenset(
    {*LIBRARIES, "scipy", "sklearn", "polars", "numba", "numexpr", "jax", "torch", "tensorflow", "pytz", "dateutil"}
)
"""Packages that are taken as fixed by their version; skew_ext itself has no part in a transform's arithmetic."""

_LONGEST_VALUE: Final = 2000
_ASKS_UNICODE: Final = frozenset(
    {
        *("casefold", "lower", "upper", "title", "capitalize", "swapcase", "isspace", "isprintable", "isidentifier"),
        *("isalpha", "isalnum", "isdecimal", "isdigit", "isnumeric", "islower", "isupper", "istitle"),
        *("normalize", "category", "unicodedata"),
    }
)


@dataclass(frozen=True)
class Part:
    """One function, class or module that a transform runs: its source, and the values that it reads, by name."""

    code: str
    tree: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """All that a fingerprint is taken over."""

    declared: dict[str, Any]
    libraries: dict[str, str]
    parts: dict[str, Part]

    @property
    def fingerprint(self) -> str:
        """The fingerprint: 64 hex digits of SHA-256."""
        # Inputs and outputs keep their order, which can matter; the parts are found in an order that cannot.
        parts = {label: [part.tree, part.values] for label, part in sorted(self.parts.items())}
        text = json.dumps([self.declared, self.libraries, parts], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON takes it; source as lines, so that a diff of the text reads."""
        parts = {
            label: {"source": part.code.splitlines(), "tree": part.tree, "values": part.values}
            for label, part in sorted(self.parts.items())
        }
        return {"declared": self.declared, "libraries": self.libraries, "parts": parts}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Manifest:
        """Read what `as_dict` gave.

        Raises
        ------
        KeyError, TypeError, AttributeError
            It is something else.
        """
        parts = {
            label: Part("\n".join(part["source"]), part["tree"], dict(part["values"]))
            for label, part in raw["parts"].items()
        }
        return cls(dict(raw["declared"]), dict(raw["libraries"]), parts)


def manifest_of(function: FunctionType, declared: Mapping[str, Any]) -> Manifest:
    """Give the manifest of a function with its declared contract.

    Raises
    ------
    TransformError
        The function uses a name that is not defined yet, or a value that has no stable text.
    """
    parts = _Parts(function)
    names = sorted({*LIBRARIES, *parts.libraries})
    libraries = {name: _release(name) for name in names}
    if parts.asks_unicode:
        libraries["unicode"] = unicodedata.unidata_version
    return Manifest(dict(declared), libraries, parts.found)


@cache
def _release(library: str) -> str:
    version = getattr(sys.modules.get(library), "__version__", None)
    if version is None:
        try:
            version = metadata.version(library)
        except metadata.PackageNotFoundError:
            return ""
    return ".".join(str(version).split(".")[:2])


class _Parts:
    """The function and, transitively, what it uses: each by a label, with its source and values."""

    def __init__(self, function: FunctionType) -> None:
        self.found: dict[str, Part] = {}
        self.libraries: set[str] = set()
        self.asks_unicode = False
        self._root = f"{function.__module__}:{function.__qualname__}"
        self._package = function.__module__.partition(".")[0]
        self._labels: dict[int, str] = {}
        self._function(function)

    def _label(self, thing: Any, name: str) -> tuple[str, bool]:
        """Give the label of a part, and whether it is new; two closures of one function are two parts."""
        if id(thing) in self._labels:
            return self._labels[id(thing)], False
        same = sum(1 for label in self._labels.values() if label.partition("#")[0] == name)
        label = self._labels[id(thing)] = f"{name}#{same + 1}" if same else name
        return label, True

    def _function(self, function: FunctionType) -> str:
        label, new = self._label(function, f"{function.__module__}:{function.__qualname__}")
        if new:
            source = normalised(function)
            self.asks_unicode = self.asks_unicode or bool(_ASKS_UNICODE.intersection(_names(function.__code__)))
            self._keep(label, source, self._read_by(function, label))
        return label

    def _read_by(self, function: FunctionType, label: str) -> dict[str, str]:
        values = {f"default {place}": value for place, value in enumerate(function.__defaults__ or ())}
        values |= {f"default {name}": value for name, value in (function.__kwdefaults__ or {}).items()}
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        values |= {f"closure {name}": cell.cell_contents for name, cell in cells if _is_set(cell)}
        values |= references(function, self._followed)
        fitted = getattr(function, "parameters", None)
        if self.found and isinstance(fitted, Parameters):  # another shared transform, called as a helper
            values["parameters"] = fitted.hash
        return {name: self._value(value, label) for name, value in sorted(values.items())}

    def _class(self, cls: type) -> str:
        label, new = self._label(cls, f"{cls.__module__}:{cls.__qualname__}")
        if new:
            values = {name: self._value(value, label) for name, value in members(cls)}
            self._keep(label, Normalised(f"class {cls.__name__}", ""), values)
        return label

    def _module(self, module: ModuleType) -> str:
        label, new = self._label(module, module.__name__)
        if new:
            self._keep(label, normalised_module(module) or Normalised("<no source>", ""), {})
        return label

    def _keep(self, label: str, source: Normalised, values: dict[str, str]) -> None:
        self.found[label] = Part(source.code, source.tree, dict(sorted(values.items())))

    def _followed(self, module: str) -> bool:
        top = module.partition(".")[0]
        if top in BY_VERSION:
            self.libraries.add(top)
        stops = top in BY_VERSION or top in sys.stdlib_module_names or top in ("", "skew_ext")
        return top == self._package or not stops

    def _value(self, value: Any, user: str) -> str:
        inner = value if isinstance(value, FunctionType) else getattr(value, "__wrapped__", value)  # functools.cache
        if isinstance(inner, FunctionType) and self._followed(_module_of(inner)):
            return self._function(inner)
        if isinstance(value, type) and self._followed(_module_of(value)):
            return self._class(value)
        if isinstance(value, ModuleType) and self._followed(_module_of(value)):
            return self._module(value)
        try:
            return _short(canonical(value, lambda part: self._value(part, user)))
        except TypeError as error:
            raise TransformError(f"{self._root}: {user} uses {error}") from None


def _is_set(cell: CellType) -> bool:
    # A cell without a value is a name that the outer function has yet to set.
    try:
        cell.cell_contents  # noqa: B018 - to look is to ask
    except ValueError:
        return False
    return True


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _short(text: str) -> str:
    if len(text) <= _LONGEST_VALUE:
        return text
    return f"{text[:100]}... sha256:{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()}"


def _module_of(thing: Any) -> str:
    return str(thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None) or "")
