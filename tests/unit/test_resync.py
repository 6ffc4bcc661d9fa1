"""Finding the records behind a damaged one: all that are intact, none that a served value only looks like, and soon."""

from __future__ import annotations

import mmap
import random

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skew_ext.serving import record
from skew_ext.serving.record import FRAME, framed_size, read_frame, write_frame
from skew_ext.shipping.resync import Resync

KEY = 0x5EED_CAFE
SIZE = 1 << 16


def segment(payloads: list[bytes], key: int = KEY) -> tuple[mmap.mmap, list[int]]:
    """Return a segment with these payloads, and where each frame starts."""
    made, places, position = mmap.mmap(-1, SIZE), [], 64
    for sequence, payload in enumerate(payloads):
        write_frame(made, position, sequence, 1, payload, key)
        places.append(position)
        position += framed_size(len(payload))
    return made, places


def found(made: mmap.mmap, key: int = KEY) -> list[int]:
    """Return the sequences that a reader finds."""
    resync, position, sequences = Resync(made, key), 64, []
    while position < len(made):
        frame = resync.frame(position)
        if frame is not None and frame.payload is not None:
            sequences.append(frame.sequence)
            position = frame.end
        else:
            position = resync.next_frame(position, sequences[-1] + 1 if sequences else 0)
    return sequences


@pytest.mark.parametrize("key", [KEY, 0])
@given(
    st.lists(st.binary(min_size=1, max_size=400), min_size=3, max_size=40),
    st.lists(st.tuples(st.integers(0, 39), st.integers(0, 500), st.binary(min_size=1, max_size=40)), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_every_intact_frame_is_found(key: int, payloads: list[bytes], damages: list[tuple[int, int, bytes]]) -> None:
    made, places = segment(payloads, key)
    for number, offset, noise in damages:
        at = places[number % len(places)] + offset
        made[at : at + len(noise)] = noise
    intact = [
        number
        for number, place in enumerate(places)
        if (frame := read_frame(made, place, key)) is not None and frame.payload == payloads[number]
    ]
    assert [one for one in found(made, key) if one in intact] == intact


def test_a_frame_inside_of_a_damaged_value_is_no_record() -> None:
    with mmap.mmap(-1, mmap.PAGESIZE) as inner:
        write_frame(inner, 0, 1, 1000, b"forged", key=0)
        forged = bytes(inner[: framed_size(6)])
    made, places = segment([b"a", forged.rjust(len(forged) * 3, b"\0") + forged * 3, b"c"])
    made[places[1] : places[1] + 4] = b"\xff\xff\xff\xff"
    assert found(made) == [0, 2]


def test_a_lookup_that_was_read_is_not_found_again() -> None:
    made, places = segment([b"first", b"second", b"third"])
    made[places[1] + FRAME.size] ^= 0xFF
    copied = bytes(made[places[0] : places[1]])
    made[places[2] + 64 : places[2] + 64 + len(copied)] = copied
    assert found(made) == [0, 2]


@pytest.mark.parametrize("key", [KEY, 0])
def test_the_search_is_linear_in_the_bytes_that_it_checks(key: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, checked = random.Random(5), []  # noqa: S311 - which lengths the damaged heads have
    made, places = segment([bytes(24)] * 1000, key)
    for number, place in enumerate(places):
        if number % 2:  # a head that says that it reaches nearly to the end
            FRAME.pack_into(made, place, SIZE - place - 64 - chance.randrange(999), 1, number, 1, key)
    real = google_crc32c.value

    def counting(data: bytes) -> int:
        checked.append(len(data))
        return int(real(data))

    monkeypatch.setattr(record, "crc_of", counting)
    sequences = found(made, key)
    assert sum(checked) < 70 * SIZE
    assert sequences[:10] == list(range(0, 20, 2))
