"""Python and numpy values as Feast's own Value messages, with nothing changed on the way.

Every value has one exact type: int is INT64, float DOUBLE, numpy.float32 FLOAT, and so on; a one-dimensional array
or a list of one type is a list of that type. What has no such type (lists with nulls or of mixed types, arrays of
more dimensions, mappings) becomes Feast's VALUE_LIST or MAP. Feast's timestamps are whole seconds, so a datetime is
TIMESTAMP_MICROS here: an int64 of microseconds since 1970, UTC; a naive one is taken as UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
from feast.protos.feast.types.Value_pb2 import Value

from skew_ext.clock import as_utc

NULL = "NULL"
TIMESTAMP = "TIMESTAMP_MICROS"
_EMPTY = "INT32"
"""What the elements of an empty list are, as long as none is known: the type that the most others can hold."""
_LIST, _SET = "_LIST", "_SET"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000
_INT64_BITS = 63
_WIDER = {
    frozenset({"INT32", "INT64"}): "INT64",
    frozenset({"INT32", "DOUBLE"}): "DOUBLE",
    frozenset({"INT64", "DOUBLE"}): "DOUBLE",
    frozenset({"FLOAT", "DOUBLE"}): "DOUBLE",
}
"""Types that share a third which holds each value of either exactly; an int64 in a DOUBLE is looked at by itself."""


class NotExactError(ValueError):
    """A value that no type of the log holds as it is."""


@dataclass(frozen=True)
class Typed:
    """A value with its exact type. `content` is what the message's field takes; None is no value."""

    value_type: str
    content: Any

    def message(self) -> Value:
        """Give Feast's message; where there is no value, the empty one."""
        message = Value()
        if self.content is None:
            return message
        field = _field(self.value_type)
        if self.value_type == "MAP" or self.value_type.endswith((_LIST, _SET)):
            _fill(getattr(message, field), self.content)
        else:
            setattr(message, field, self.content)
        return message

    def nested(self) -> Value:
        """Give the message for use inside a map or a mixed list, where nothing else tells its type."""
        if not self.value_type.startswith(TIMESTAMP):
            return self.message()
        if self.value_type != TIMESTAMP or self.content % _SECOND:
            msg = "a time with a part of a second inside a mapping or a mixed list: Feast keeps whole seconds there"
            raise NotExactError(msg)
        return Value(unix_timestamp_val=self.content // _SECOND)

    def within(self, known: str | None) -> Typed:
        """Give the value in the type that its column had before, or in one that holds both; else as it is.

        A model's input that is 3 in one call and 2.5 in the next would otherwise make a feature set of its own for
        each mixture of its inputs' types.
        """
        if known is None or known == self.value_type:
            return self
        if self.content is None or (self.content == [] and _shape(known)[0] == _shape(self.value_type)[0]):
            return Typed(known, self.content)
        return self._widened(known)

    def _widened(self, known: str) -> Typed:
        known_shape, known_element = _shape(known)
        shape, element = _shape(self.value_type)
        wider = _WIDER.get(frozenset({known_element, element}))
        if wider is None or shape != known_shape:
            return self
        if element != "INT64" or wider != "DOUBLE":
            return Typed(wider + shape, self.content)
        contents = self.content if shape else [self.content]
        return Typed(wider + shape, self.content) if all(int(float(each)) == each for each in contents) else self


def typed(value: Any) -> Typed:
    """Give a value its exact type.

    Raises
    ------
    NotExactError
        No type holds it as it is: an integer beyond 64 bits, a time finer than a microsecond, an unknown class.
    UnicodeEncodeError
        A string holds a lone surrogate, which is no text that a database could keep.
    """
    if value is None or value is pd.NaT or value is pd.NA:
        return Typed(NULL, None)
    for classes, make in _MAKERS:
        if isinstance(value, classes):
            return make(value)
    if hasattr(value, "__array__"):
        return _array(np.asarray(value))
    msg = f"a value of class {type(value).__name__}"
    raise NotExactError(msg)


def _field(value_type: str) -> str:
    shape, element = _shape(value_type)
    if element in ("VALUE", TIMESTAMP):
        element = "" if element == "VALUE" else "INT64"
    return "_".join(part for part in (element.lower(), shape.strip("_").lower(), "val") if part)


def _shape(value_type: str) -> tuple[str, str]:
    for shape in (_LIST, _SET):
        if value_type.endswith(shape):
            return shape, value_type[: -len(shape)]
    return "", value_type


def _fill(holder: Any, content: Any) -> None:
    if isinstance(content, dict):
        for name, each in content.items():
            holder.val[name].CopyFrom(each)
    else:
        holder.val.extend(content)


def _integer(value: int) -> Typed:
    if value.bit_length() > _INT64_BITS and value != -(2**_INT64_BITS):
        msg = "an integer that does not fit 64 bits"
        raise NotExactError(msg)
    return Typed("INT64", int(value))


def _numpy_integer(value: np.integer[Any]) -> Typed:
    return Typed("INT32", int(value)) if np.can_cast(value.dtype, np.int32) else _integer(int(value))


def _numpy_float(value: np.floating[Any]) -> Typed:
    if np.can_cast(value.dtype, np.float32):
        return Typed("FLOAT", float(value))
    if float(value) == value or np.isnan(value):
        return Typed("DOUBLE", float(value))
    msg = f"a {value.dtype} that no double equals"
    raise NotExactError(msg)


def _string(value: str) -> Typed:
    value.encode()
    return Typed("STRING", str.__str__(value))


def _datetime(value: datetime) -> Typed:
    if getattr(value, "nanosecond", 0):
        msg = "a time finer than a microsecond"
        raise NotExactError(msg)
    return Typed(TIMESTAMP, (as_utc(value) - _EPOCH) // _MICROSECOND)


def _datetime64(value: np.datetime64) -> Typed:
    if np.isnat(value):
        return Typed(NULL, None)
    whole = value.astype("datetime64[us]")
    if whole.astype(value.dtype) != value or not isinstance(whole.item(), datetime):
        msg = "a time finer than a microsecond, or outside the years 1 to 9999"
        raise NotExactError(msg)
    return Typed(TIMESTAMP, int(whole.astype(np.int64)))


def _mapping(value: Mapping[Any, Any]) -> Typed:
    if not all(isinstance(name, str) for name in value):
        msg = "a mapping with keys that are no strings"
        raise NotExactError(msg)
    return Typed("MAP", {_string(name).content: typed(each).nested() for name, each in value.items()})


def _array(array: np.ndarray[Any, Any]) -> Typed:
    if array.ndim == 0:
        return _zero_dimensional(array[()])
    element = _element(array.dtype) if array.ndim == 1 else None
    if element is None:
        return _collection(list(array), _LIST)
    return Typed(element + _LIST, array.tolist())


def _zero_dimensional(item: Any) -> Typed:
    # What numpy does not know comes back as itself: it must not go round again.
    if item is not None and not isinstance(item, _SCALARS):
        msg = f"a value of class {type(item).__name__}"
        raise NotExactError(msg)
    return typed(item)


def _element(dtype: np.dtype[Any]) -> str | None:
    """Give the type of a whole array's elements; None where each must be looked at by itself."""
    if dtype.kind == "b":
        return "BOOL"
    if dtype.kind in "iu" and dtype != np.uint64:
        return "INT32" if np.can_cast(dtype, np.int32) else "INT64"
    if dtype.kind == "f" and np.can_cast(dtype, np.float64):
        return "FLOAT" if np.can_cast(dtype, np.float32) else "DOUBLE"
    return None


def _collection(values: Iterable[Any], shape: str) -> Typed:
    elements = [typed(value) for value in values]
    if not elements:
        return Typed(_EMPTY + shape, [])
    kinds = {element.value_type for element in elements}
    widest = next((kind for kind in ("DOUBLE", "INT64") if kind in kinds), None) if len(kinds) > 1 else None
    if widest is not None and NULL not in kinds:
        widened = [element.within(widest) for element in elements]
        if len({element.value_type for element in widened}) == 1:  # else each keeps the type that it came with
            elements, kinds = widened, {widest}
    if len(kinds) == 1 and (kind := kinds.pop()) in _LISTED:
        return Typed(kind + shape, [element.content for element in elements])
    return Typed("VALUE" + shape, [element.nested() for element in elements])


def _list(value: Sequence[Any]) -> Typed:
    return _collection(value, _LIST)


def _set(value: Iterable[Any]) -> Typed:
    return _collection(value, _SET)


_LISTED = {"BOOL", "INT32", "INT64", "FLOAT", "DOUBLE", "STRING", "BYTES", TIMESTAMP, "UUID", "DECIMAL"}
# The order matters: bool is an int, numpy's float64 a float, and pandas' Timestamp a datetime.
_MAKERS: tuple[tuple[Any, Callable[[Any], Typed]], ...] = (
    ((bool, np.bool_), lambda value: Typed("BOOL", bool(value))),
    (float, lambda value: Typed("DOUBLE", float(value))),
    (int, _integer),
    (str, _string),
    (np.ndarray, _array),
    (np.integer, _numpy_integer),
    (np.floating, _numpy_float),
    ((bytes, bytearray, memoryview), lambda value: Typed("BYTES", bytes(value))),
    (datetime, _datetime),
    (np.datetime64, _datetime64),
    (Decimal, lambda value: Typed("DECIMAL", str(value))),
    (UUID, lambda value: Typed("UUID", str(value))),
    ((list, tuple), _list),
    ((set, frozenset), _set),
    (Mapping, _mapping),
)
_SCALARS = (bool, np.bool_, float, int, str, np.integer, np.floating, bytes, datetime, np.datetime64)
