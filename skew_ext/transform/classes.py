"""What a class adds to a fingerprint: bases, fields, methods and constants as written, not what Python adds to them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """Give what is written in a class, by name."""
    yield "bases", cls.__bases__
    if issubclass(cls, Enum):
        yield "members", [(member.name, member.value) for member in cls]
    if is_dataclass(cls):
        yield (
            "fields",
            [(field.name, _default(field.default), _default(field.default_factory)) for field in fields(cls)],
        )
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        yield "fields", (cls._fields, getattr(cls, "_field_defaults", {}))
    for name, value in sorted(vars(cls).items()):
        for part, written in _written(name, value):
            if _is_written(cls, part, written):
                yield part, written


def _default(value: Any) -> Any:
    return None if value is MISSING else (value,)


def _written(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, property):
        accessors = {"get": value.fget, "set": value.fset, "delete": value.fdel}
        yield from ((f"{name} {verb}", accessor) for verb, accessor in accessors.items() if accessor is not None)
    elif isinstance(value, functools.cached_property):
        yield name, value.func
    else:
        yield name, getattr(value, "__func__", value)


def _is_written(cls: type, name: str, value: Any) -> bool:
    if isinstance(value, FunctionType):
        # A generated method has no file; an inherited helper of namedtuple or Enum is of another module.
        return value.__module__ == cls.__module__ and value.__code__.co_filename != "<string>"
    reserved = name.startswith("__") or (name.startswith("_") and name.endswith("_"))
    descriptor = (
        isinstance(value, (MemberDescriptorType, GetSetDescriptorType)) or type(value).__name__ == "_tuplegetter"
    )
    return not (reserved or descriptor or issubclass(cls, Enum) or name in ("_fields", "_field_defaults"))
