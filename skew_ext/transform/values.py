"""Values as text that is the same in every process: constants, defaults and closures of a shared transform."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import functools
import hashlib
import pathlib
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, ModuleType
from typing import Any, Final

import numpy as np

_PLAIN: Final = (
    *(type(None), type(...), bool, int, str, bytes, bytearray, range, slice, complex),
    *(dt.date, dt.time, dt.timedelta, dt.tzinfo),
    *(decimal.Decimal, fractions.Fraction, uuid.UUID, pathlib.PurePath),
)
_SHOWN_ELEMENTS: Final = 100
_NAMED: Final = (FunctionType, BuiltinFunctionType, MethodDescriptorType, type, np.ufunc)


def canonical(value: Any, nested: Callable[[Any], str]) -> str:
    """Give `value` as text, with `nested` for what it holds.

    Raises
    ------
    TypeError
        It has no stable text; the message says what it is.
    """
    for kinds, text in _TEXTS:
        if isinstance(value, kinds):
            return f"{type(value).__name__}:{text(value, nested)}"
    if is_dataclass(value):
        return f"{nested(type(value))}:{[(field.name, nested(getattr(value, field.name))) for field in fields(value)]}"
    if type(value).__module__.startswith("numpy") and hasattr(value, "__name__"):
        return f"numpy:{value.__name__}"  # numpy's functions are of types of its own
    raise TypeError(f"a {type(value).__qualname__}, which has no stable text to fingerprint; use a plain constant")


def _array(value: Any, nested: Callable[[Any], str]) -> str:
    if value.dtype.hasobject:
        return f"{value.shape}:{[nested(item) for item in value.ravel().tolist()]}"
    if isinstance(value, np.ma.MaskedArray):
        return f"{nested(np.asarray(value.data))}:{nested(np.ma.getmaskarray(value))}"
    data = np.ascontiguousarray(value)
    if data.size <= _SHOWN_ELEMENTS and data.dtype.kind in "biufU":
        return f"{data.dtype.str}:{data.tolist()!a}"
    return f"{value.dtype.str}:{value.shape}:{hashlib.sha256(data.tobytes()).hexdigest()}"


def _name(value: Any, _: Callable[[Any], str]) -> str:
    module = getattr(value, "__module__", None) or ""
    return f"{module}:{getattr(value, '__qualname__', getattr(value, '__name__', ''))}"


def _partial(value: Any, nested: Callable[[Any], str]) -> str:
    arguments = [nested(item) for item in value.args]
    return f"{nested(value.func)}:{arguments}:{[(name, nested(item)) for name, item in value.keywords.items()]}"


_TEXTS: Final[tuple[tuple[Any, Callable[[Any, Callable[[Any], str]], str]], ...]] = (
    (enum.Enum, lambda value, nested: f"{nested(type(value))}.{value.name}={nested(value.value)}"),
    (np.generic, lambda value, _: f"{value.dtype.str}:{value.tobytes().hex()}"),
    # In ASCII: whether a character is printable depends on Python's version of Unicode.
    ((*_PLAIN, float), lambda value, _: ascii(value)),
    ((tuple, list), lambda value, nested: str([nested(item) for item in value])),
    ((set, frozenset), lambda value, nested: str(sorted(nested(item) for item in value))),
    (Mapping, lambda value, nested: str([(nested(key), nested(item)) for key, item in value.items()])),
    (np.ndarray, _array),
    (np.dtype, lambda value, _: repr(value.descr)),
    (re.Pattern, lambda value, _: f"{value.pattern!r}:{value.flags}"),
    (functools.partial, _partial),
    (ModuleType, lambda value, _: value.__name__),
    (_NAMED, _name),
)
