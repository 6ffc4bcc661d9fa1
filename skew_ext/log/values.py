"""Feast values to Arrow, with nothing changed on the way.

Scalars, lists and sets of Feast's primitive types become the Arrow type of the same width. Every other type (maps,
structs, nested lists, zoned timestamps) is kept as the bytes of Feast's own Value message, so that it is exact too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from feast.protos.feast.types.Value_pb2 import Value

_TIMESTAMP = pa.timestamp("s", tz="UTC")
NOT_A_TIME = -(2**63)
"""What Feast puts for a null time (its type_map.NULL_TIMESTAMP_INT_VALUE), and takes for one."""
_SCALARS: dict[str, tuple[str, pa.DataType]] = {
    "BYTES": ("bytes", pa.binary()),
    "STRING": ("string", pa.string()),
    "INT32": ("int32", pa.int32()),
    "INT64": ("int64", pa.int64()),
    "DOUBLE": ("double", pa.float64()),
    "FLOAT": ("float", pa.float32()),
    "BOOL": ("bool", pa.bool_()),
    "UNIX_TIMESTAMP": ("unix_timestamp", _TIMESTAMP),
    "JSON": ("json", pa.string()),
    "UUID": ("uuid", pa.string()),
    "TIME_UUID": ("time_uuid", pa.string()),
    "DECIMAL": ("decimal", pa.string()),
    # Not Feast's, whose timestamps are whole seconds: what `ServingLogger` makes of a datetime.
    "TIMESTAMP_MICROS": ("int64", pa.timestamp("us", tz="UTC")),
}
_ALIASES = {"PDF_BYTES": "BYTES", "IMAGE_BYTES": "BYTES"}
_LIST_SUFFIX, _SET_SUFFIX = "_LIST", "_SET"


class UnexpectedValueError(ValueError):
    """A served value that its column's declared type cannot hold as it is."""


def arrow_type(value_type: str) -> pa.DataType:
    """Give the Arrow type of a column of Feast value type `value_type`."""
    kind, element = _shape(value_type)
    if kind == "scalar":
        return _SCALARS[element][1]
    return pa.list_(_SCALARS[element][1]) if kind in ("list", "set") else pa.binary()


def field_of(value_type: str) -> str:
    """Give the field of Feast's Value message that holds a column's values; empty for what is kept as messages."""
    kind, element = _shape(value_type)
    if kind == "opaque":
        return ""
    return f"{_SCALARS[element][0]}_val" if kind == "scalar" else f"{_SCALARS[element][0]}_{kind}_val"


def to_arrow(values: Sequence[Value], value_type: str) -> pa.Array:
    """Turn served values into an Arrow array of `arrow_type(value_type)`, null where no value is set.

    Raises
    ------
    UnexpectedValueError
        A value is of another kind than the column declares, and cannot be held exactly.
    """
    kind, element = _shape(value_type)
    if kind == "opaque":
        plain: Iterable[Any] = (None if _is_null(value) else value.SerializeToString() for value in values)
    else:
        infix = "" if kind == "scalar" else f"_{kind}"
        plain = _plain(values, f"{_SCALARS[element][0]}{infix}_val", repeated=kind != "scalar")
    try:
        return pa.array(list(plain), type=arrow_type(value_type))
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeError) as error:
        raise UnexpectedValueError(str(error)) from None


def _shape(value_type: str) -> tuple[str, str]:
    name = _ALIASES.get(value_type, value_type)
    for suffix, kind in ((_LIST_SUFFIX, "list"), (_SET_SUFFIX, "set")):
        if name.endswith(suffix) and name[: -len(suffix)] in _SCALARS:
            return kind, name[: -len(suffix)]
    return ("scalar", name) if name in _SCALARS else ("opaque", name)


def _is_null(value: Value) -> bool:
    return value.WhichOneof("val") in (None, "null_val")


def nat_as_null(array: pa.Array) -> pa.Array:
    """Give an array of whole seconds with null for NOT_A_TIME: a null that has been through pandas, and Feast's own."""
    return pc.if_else(pc.equal(array.cast(pa.int64()), NOT_A_TIME), pa.scalar(None, array.type), array)


def _plain(values: Sequence[Value], field: str, *, repeated: bool) -> Iterable[Any]:
    null = NOT_A_TIME if field.startswith("unix_timestamp") else None
    value: Any  # the stubs want each field's name spelled out
    for value in values:
        if value.HasField(field):
            content = getattr(value, field)
            if repeated:
                yield list(content.val) if null is None else [None if each == null else each for each in content.val]
            else:
                yield None if content == null else content
        elif _is_null(value):
            yield None
        else:
            yield _widened(value, field)


def _widened(value: Any, field: str) -> Any:
    # Request data has no declared type when Feast converts it: an int for a float column arrives as an int64.
    given = value.WhichOneof("val")
    content = getattr(value, given)
    if field in ("double_val", "float_val") and given in ("int32_val", "int64_val") and int(float(content)) == content:
        return float(content)
    if field == "int64_val" and given == "int32_val":
        return content
    if field == "double_val" and given == "float_val":
        return content
    if field == "int32_val" and given == "int64_val" and -(2**31) <= content < 2**31:
        return content
    if field == "unix_timestamp_val" and given == "int64_val":
        return content
    msg = f"a {given} was served where {field} is declared"
    raise UnexpectedValueError(msg)
