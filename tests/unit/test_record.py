"""Frames and records: what is written is read back, and damage is seen, never passed on."""

from __future__ import annotations

import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skew_ext.serving.record import FRAME, Record, framed_size, read_frame, write_frame

parts = st.binary(max_size=200)
TIMES = st.integers(-(2**63), 2**63 - 1)
records = st.builds(Record, TIMES, parts, parts, parts, parts, parts, st.booleans(), TIMES)


@given(records)
def test_a_record_reads_back_as_it_was(record: Record) -> None:
    assert Record.decode(record.encode()) == record


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=100), st.integers(0, 1000)), max_size=8))
def test_frames_read_back_in_order(payloads: list[tuple[bytes, int]]) -> None:
    segment = mmap.mmap(-1, mmap.PAGESIZE)
    position = 0
    for sequence, (payload, rows) in enumerate(payloads):
        write_frame(segment, position, sequence, rows, payload)
        position += framed_size(len(payload))
    found, position = [], 0
    while (frame := read_frame(segment, position)) is not None:
        found.append((frame.payload, frame.rows))
        position = frame.end
    assert found == payloads


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_flipped_bit_is_seen(payload: bytes, data: st.DataObject) -> None:
    segment = bytearray(framed_size(len(payload)) + FRAME.size)
    with mmap.mmap(-1, mmap.PAGESIZE) as written:
        write_frame(written, 0, 7, 3, payload)
        segment[:] = written[: len(segment)]
    # Any bit of the checksum, the sequence, the rows or the payload; the length is what finds them.
    bits = [bit for bit in range(32, (FRAME.size + len(payload)) * 8) if not 160 <= bit < 192]
    bit = data.draw(st.sampled_from(bits))
    segment[bit // 8] ^= 1 << bit % 8
    frame = read_frame(bytes(segment), 0)
    assert frame is not None
    assert frame.payload is None


def test_a_length_beyond_the_segment_is_damage() -> None:
    frame = read_frame(FRAME.pack(10_000, 0, 0, 1, 0) + bytes(64), 0)
    assert frame is not None
    assert frame.payload is None


def test_a_record_whose_lengths_do_not_add_up_is_refused() -> None:
    with pytest.raises(ValueError, match="says that it has"):
        Record.decode(Record(0, b"a", b"b", b"c", b"d", b"e").encode() + b"x")
