"""Where the values are in the bytes of Feast's responses: protobuf's wire format, read for a whole batch by numpy.

A response is read as `FromString` would read it, as long as it looks as protobuf's serialiser writes it: fields in
the order of their numbers, each as short as can be. Whatever looks otherwise raises `IrregularError`, and the batch is
read as messages instead (`log/decode.py`), which is slower and takes everything.

Source of the format: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse

from skew_ext.log.octets import Integers, Octets, items

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PADDING = bytes(16)
"""Put behind the bytes, so that a wide read at their very end stays inside."""
MORE = 0x80
_METADATA = _VALUE = 0x0A
_RESULT = _STATUSES = 0x12
_EVENT = 0x1A
_SEVEN = np.uint64(0x7F7F7F7F7F7F7F7F)
_STOPS = np.uint64(0x8080808080808080)
_STEPS = tuple(
    (np.uint64(stay), np.uint64(move), np.uint64(shift))
    for stay, move, shift in (
        (0x007F007F007F007F, 0x7F007F007F007F00, 1),
        (0x00003FFF00003FFF, 0x3FFF00003FFF0000, 2),
        (0x000000000FFFFFFF, 0x0FFFFFFF00000000, 4),
    )
)
_LAST_BITS = np.array([1 << (8 * size + 7) for size in range(8)], dtype=np.uint64)
_SECONDS, _NANOS = 0x08, 0x10
_MOST_SECONDS = 9_000_000_000_000
"""What still fits into microseconds of 64 bits."""


class IrregularError(ValueError):
    """Bytes that may well be a message, but not as a serialiser writes it."""


@dataclass(frozen=True)
class Wire:
    """The bytes of many messages, one after another, with views of them for wide reads at any place."""

    text: bytes
    octets: Octets
    words: NDArray[np.uint64]

    @classmethod
    def of(cls, parts: Sequence[bytes]) -> Wire:
        """Put messages side by side."""
        text = b"".join((*parts, PADDING))
        octets = np.frombuffer(text, dtype=np.uint8)
        return cls(text, octets, items(octets, "<u8"))

    def expect(self, places: Integers, tag: int) -> None:
        """Go on only if each place has this byte."""
        if not (self.octets[places] == tag).all():
            msg = f"not everywhere a field of tag {tag}"
            raise IrregularError(msg)

    def lengths(self, places: Integers) -> tuple[Integers, Integers]:
        """Read the varints at these places: their values, and where they end."""
        first = self.octets[places].astype(np.int64)
        if not (first >= MORE).any():
            return first, places + 1
        values, sizes = self.varints(places)
        return values.astype(np.int64), places + sizes

    def varints(self, places: Integers) -> tuple[NDArray[np.uint64], Integers]:
        """Read varints of up to eight bytes, and their sizes; `IrregularError` where one is longer."""
        words = self.words[places]
        stops = ~words & _STOPS
        if not stops.all():
            msg = "a varint of more than eight bytes"
            raise IrregularError(msg)
        last = stops & (~stops + np.uint64(1))
        sizes = np.searchsorted(_LAST_BITS, last).astype(np.int64) + 1
        return _packed(words & (last ^ (last - np.uint64(1)))), sizes


def _packed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Close the gaps between groups of seven bits: of pairs first, then of pairs of pairs, then of the halves."""
    packed: NDArray[np.uint64] = words & _SEVEN
    for stay, move, shift in _STEPS:
        packed = (packed & stay) | ((packed & move) >> shift)
    return packed


@dataclass(frozen=True)
class Cells:
    """One name's values: where each starts and how long it is. `events` likewise; None where no event times are.

    In the order of the responses, and of the rows within.
    """

    starts: Integers
    lengths: Integers
    events: tuple[Integers, Integers] | None


def head_of(response: bytes) -> tuple[bytes, list[str]]:
    """Give a response's first bytes, its metadata, and the names that they say.

    Raises
    ------
    IrregularError
        It does not begin with its metadata.
    """
    octets = np.frombuffer(response[:16] + PADDING, dtype=np.uint8)
    wire = Wire(response, octets, items(octets, "<u8"))
    start = np.zeros(1, dtype=np.int64)
    wire.expect(start, _METADATA)
    lengths, ends = wire.lengths(start + 1)
    head = response[: int(lengths[0] + ends[0])]
    try:
        message = GetOnlineFeaturesResponse.FromString(head)
    except Exception as error:  # protobuf's DecodeError has no public base class in all of its backends
        raise IrregularError(str(error)) from error
    return head, list(message.metadata.feature_names.val)


def cells_of(wire: Wire, starts: Integers, ends: Integers, names: Sequence[str], rows: int) -> dict[str, Cells]:
    """Find the cells of responses that have the same names and number of rows.

    `starts` is where each response goes on after its metadata, `ends` where it ends.

    Raises
    ------
    IrregularError
        The bytes are not as a serialiser writes them.
    """
    try:
        first, last = _vectors(wire, starts, ends, len(names))
        values, places = _repeated(wire, first, rows, _VALUE)
        places = _skip_statuses(wire, places, last)
        events = _events(wire, places, last, rows)
    except IndexError:
        msg = "a length leads out of the bytes"
        raise IrregularError(msg) from None
    shape = (rows, len(names), len(starts))
    found = [[each.reshape(shape) for each in pair] for pair in (values, events)]
    return {name: _cells(found, place) for place, name in enumerate(names)}


def _cells(found: list[list[Integers]], place: int) -> Cells:
    starts, lengths, event_starts, event_lengths = (each[:, place, :].T.ravel() for pair in found for each in pair)
    has_events = len(event_starts) > 0 and bool((event_starts >= 0).all())
    return Cells(starts, lengths, (event_starts, event_lengths) if has_events else None)


def _vectors(wire: Wire, starts: Integers, ends: Integers, count: int) -> tuple[Integers, Integers]:
    first, last, places = [], [], starts
    for _ in range(count):
        wire.expect(places, _RESULT)
        lengths, places = wire.lengths(places + 1)
        first.append(places)
        places = places + lengths
        last.append(places)
    if not first or not (places == ends).all():
        msg = "a response has other fields than its metadata and one result for each name"
        raise IrregularError(msg)
    return np.concatenate(first), np.concatenate(last)


def _repeated(wire: Wire, places: Integers, count: int, tag: int) -> tuple[tuple[Integers, Integers], Integers]:
    """Step over `count` fields of one tag: where each one's content starts, its length, and where the last one ends."""
    starts, lengths = np.empty((count, len(places)), dtype=np.int64), np.empty((count, len(places)), dtype=np.int64)
    for row in range(count):
        wire.expect(places, tag)
        lengths[row], starts[row] = wire.lengths(places + 1)
        places = starts[row] + lengths[row]
    return (starts, lengths), places


def _skip_statuses(wire: Wire, places: Integers, ends: Integers) -> Integers:
    # Statuses are derived, so what they say is not read.
    present = (places < ends) & (wire.octets[places] == _STATUSES)
    lengths, after = wire.lengths(places + 1)
    return np.where(present, after + lengths, places)


def _events(wire: Wire, places: Integers, ends: Integers, rows: int) -> tuple[Integers, Integers]:
    """Find the event times of the vectors that have some: then they have one for each row. Elsewhere -1."""
    present = np.flatnonzero(places < ends)
    (starts, lengths), after = _repeated(wire, places[present], rows, _EVENT)
    if not (after == ends[present]).all() or (places > ends).any():
        msg = "a vector has other fields than values, statuses and event times"
        raise IrregularError(msg)
    if len(present) == len(places):
        return starts, lengths
    found = np.full((2, rows, len(places)), -1, dtype=np.int64)
    found[0][:, present], found[1][:, present] = starts, lengths
    return found[0], found[1]


def microseconds(wire: Wire, starts: Integers, lengths: Integers) -> Integers:
    """Read Timestamp messages, in microseconds since 1970; 0 where nothing is set.

    Raises
    ------
    IrregularError
        A time that is before 1970 or does not fit.
    """
    found = np.zeros(len(starts), dtype=np.int64)
    places, ends = starts.copy(), starts + lengths
    for tag, factor in ((_SECONDS, 1_000_000), (_NANOS, None)):
        present = np.flatnonzero((places < ends) & (wire.octets[places] == tag))
        if not len(present):
            continue
        whole: Any = slice(None) if len(present) == len(places) else present
        values, sizes = wire.varints(places[whole] + 1)
        if factor is not None and (values > _MOST_SECONDS).any():
            msg = "a time beyond what microseconds can say"
            raise IrregularError(msg)
        amounts = values.astype(np.int64)
        found[whole] += amounts * factor if factor is not None else amounts // 1000
        places[whole] += 1 + sizes
    if not (places == ends).all():
        msg = "a time that is not as a serialiser writes it"
        raise IrregularError(msg)
    return found
