"""Cells of the wire to Arrow, without a Python object for each value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from feast.protos.feast.types.Value_pb2 import Value

from skew_ext.log.octets import Integers, items
from skew_ext.log.values import UnexpectedValueError, arrow_type, field_of, nat_as_null, to_arrow
from skew_ext.log.wire import MORE, IrregularError, Wire

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skew_ext.log.wire import Cells

_FIXED = {"double_val": "<f8", "float_val": "<f4"}
_VARINTS = {"int32_val": "i4", "int64_val": "i8", "unix_timestamp_val": "i8"}
_TEXTS = {"string_val", "bytes_val", "json_val", "uuid_val", "time_uuid_val", "decimal_val"}
_PACKED = {"double_list_val": 8, "float_list_val": 4, "double_set_val": 8, "float_set_val": 4}
_VARINT, _LENGTH_DELIMITED = 0, 2
_ITEMS = 0x0A  # of a list: its field 1, packed or one string after another
_SEVEN_BITS = 7
_LONGEST = 10


def _tag(field: str, kind: int) -> bytes:
    number = Value.DESCRIPTOR.fields_by_name[field].number << 3 | kind
    return bytes([number]) if number < 1 << _SEVEN_BITS else bytes([number & 0x7F | 0x80, number >> _SEVEN_BITS])


_NULL = _tag("null_val", _VARINT) + b"\0"


def to_array(wire: Wire, cells: Cells, value_type: str) -> pa.Array:
    """Turn cells into the array that `values.to_arrow` makes of the same values.

    Raises
    ------
    UnexpectedValueError
        A value is of another kind than the column declares, and cannot be held exactly.
    """
    try:
        return _direct(wire, cells, value_type)
    except IrregularError:
        return to_arrow(_messages(wire, cells), value_type)


def _messages(wire: Wire, cells: Cells) -> list[Value]:
    places = zip(cells.starts.tolist(), (cells.starts + cells.lengths).tolist(), strict=True)
    try:
        return [Value.FromString(wire.text[start:end]) for start, end in places]
    except Exception as error:  # protobuf's DecodeError has no public base class in all of its backends
        raise UnexpectedValueError(str(error)) from error


def _direct(wire: Wire, cells: Cells, value_type: str) -> pa.Array:
    field, kind = field_of(value_type), arrow_type(value_type)
    starts, lengths = cells.starts, cells.lengths
    valid = ~_nulls(wire, starts, lengths)
    if not valid.all():
        if not valid.any():
            return pa.nulls(len(starts), type=kind)
        starts, lengths = starts[valid], lengths[valid]
    if field in _FIXED:
        return _array(kind, _fixed(wire, starts, lengths, field), valid)
    if field in _VARINTS:
        array = _array(kind, _integers(wire, starts, lengths, field).astype(_VARINTS[field]), valid)
        return nat_as_null(array) if field == "unix_timestamp_val" else array
    if field == "bool_val":
        return _bools(wire, starts, lengths, valid)
    if field in _TEXTS:
        return _texts(wire, starts, lengths, kind, field, valid)
    if field in _PACKED:
        return _packed_lists(wire, starts, lengths, kind, field, valid)
    msg = f"{value_type} is read as messages"
    raise IrregularError(msg)


def _nulls(wire: Wire, starts: Integers, lengths: Integers) -> NDArray[np.bool_]:
    nulls: NDArray[np.bool_] = lengths == 0
    perhaps = np.flatnonzero(lengths == len(_NULL))
    if len(perhaps):
        said = np.ones(len(perhaps), dtype=bool)
        for place, byte in enumerate(_NULL):
            said &= wire.octets[starts[perhaps] + place] == byte
        nulls[perhaps] = said
    return nulls


def _expect(wire: Wire, starts: Integers, tag: bytes) -> Integers:
    for place, byte in enumerate(tag):
        wire.expect(starts + place, byte)
    return starts + len(tag)


def _require(condition: NDArray[np.bool_]) -> None:
    if not condition.all():
        msg = "a value whose length does not fit its kind"
        raise IrregularError(msg)


def _fixed(wire: Wire, starts: Integers, lengths: Integers, field: str) -> NDArray[Any]:
    kind = np.dtype(_FIXED[field])
    places = _expect(wire, starts, _tag(field, 1 if kind.itemsize == np.dtype("f8").itemsize else 5))
    _require(lengths == 1 + kind.itemsize)
    return items(wire.octets, _FIXED[field])[places]


def _integers(wire: Wire, starts: Integers, lengths: Integers, field: str) -> Integers:
    places = _expect(wire, starts, _tag(field, _VARINT))
    long = lengths > 1 + 8  # negative or huge
    if not long.any():
        values, sizes = wire.varints(places)
        _require(sizes + 1 == lengths)
        return values.astype(np.int64)
    found = np.zeros(len(places), dtype=np.int64)
    if not long.all():
        found[~long] = _integers(wire, starts[~long], lengths[~long], field)
    found[long] = _long_varints(wire, places[long], lengths[long] - 1)
    return found


def _long_varints(wire: Wire, places: Integers, sizes: Integers) -> Integers:
    _require(sizes <= _LONGEST)
    found = np.zeros(len(places), dtype=np.uint64)
    for place in range(int(sizes.max())):
        octets = np.where(place < sizes, wire.octets[places + place], 0).astype(np.uint64)
        _require((octets >= np.uint64(MORE)) == (place < sizes - 1))
        found |= (octets & np.uint64(MORE - 1)) << np.uint64(_SEVEN_BITS * place)
    return found.view(np.int64)


def _bools(wire: Wire, starts: Integers, lengths: Integers, valid: NDArray[np.bool_]) -> pa.Array:
    places = _expect(wire, starts, _tag("bool_val", _VARINT))
    _require(lengths == 2)  # noqa: PLR2004 - a tag and a byte
    octets = wire.octets[places]
    _require(octets <= 1)
    return pa.Array.from_buffers(pa.bool_(), len(valid), [_bitmap(valid), _bits(_spread(octets, valid) == 1)])


def _texts(  # noqa: PLR0913 - where the texts are, and what they become
    wire: Wire, starts: Integers, lengths: Integers, kind: pa.DataType, field: str, valid: NDArray[np.bool_]
) -> pa.Array:
    sizes, places = wire.lengths(_expect(wire, starts, _tag(field, _LENGTH_DELIMITED)))
    _require(places + sizes == starts + lengths)
    content, offsets = _gathered(wire, places, sizes, valid)
    array = pa.Array.from_buffers(kind, len(valid), [_bitmap(valid), offsets, content])
    if kind == pa.string():
        try:
            array.validate(full=True)
        except pa.ArrowInvalid as error:
            raise IrregularError(str(error)) from None
    return array


def _packed_lists(  # noqa: PLR0913 - where the lists are, and what they become
    wire: Wire, starts: Integers, lengths: Integers, kind: pa.DataType, field: str, valid: NDArray[np.bool_]
) -> pa.Array:
    width = _PACKED[field]
    sizes, places = wire.lengths(_expect(wire, starts, _tag(field, _LENGTH_DELIMITED)))
    _require(places + sizes == starts + lengths)
    some = sizes > 0
    if some.any():
        inner, content = wire.lengths(_expect(wire, places[some], bytes([_ITEMS])))
        _require(content + inner == places[some] + sizes[some])
        _require(inner % width == 0)
        places[some], sizes[some] = content, inner
    content, offsets = _gathered(wire, places, sizes, valid)
    values = pa.Array.from_buffers(kind.value_type, content.size // width, [None, content])
    offsets = pa.py_buffer(np.frombuffer(offsets, dtype=np.int32) // np.int32(width))
    return pa.Array.from_buffers(kind, len(valid), [_bitmap(valid), offsets], children=[values])


def _gathered(wire: Wire, places: Integers, sizes: Integers, valid: NDArray[np.bool_]) -> tuple[pa.Buffer, pa.Buffer]:
    """Copy runs of bytes side by side; give them with the offsets of all cells, where the missing ones are empty."""
    if len(wire.text) >= 1 << 31 or (np.diff(places) < 0).any():
        msg = "more bytes than Arrow's offsets can say, or out of order"
        raise IrregularError(msg)
    # As items of one array over the whole text, of which every other one is wanted: Arrow copies these at once.
    bounds = np.stack([places, places + sizes], axis=1).ravel().astype(np.int32)
    everything = pa.Array.from_buffers(
        pa.binary(), len(bounds) - 1, [None, pa.py_buffer(bounds), pa.py_buffer(wire.text)]
    )
    _, _, content = everything.take(pa.array(np.arange(0, len(bounds), 2))).buffers()
    offsets = np.zeros(len(valid) + 1, dtype=np.int32)
    np.cumsum(_spread(sizes, valid), out=offsets[1:])
    return (content or pa.py_buffer(b"")).slice(0, int(offsets[-1])), pa.py_buffer(offsets)


def _array(kind: pa.DataType, values: NDArray[Any], valid: NDArray[np.bool_]) -> pa.Array:
    spread = _spread(values, valid)
    return pa.Array.from_buffers(kind, len(valid), [_bitmap(valid), pa.py_buffer(np.ascontiguousarray(spread))])


def _spread(values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[Any]:
    if len(values) == len(valid):
        return values
    spread = np.zeros(len(valid), dtype=values.dtype)
    spread[valid] = values
    return spread


def _bitmap(valid: NDArray[np.bool_]) -> pa.Buffer | None:
    return None if valid.all() else _bits(valid)


def _bits(flags: NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
