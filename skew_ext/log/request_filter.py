"""A Bloom filter over a file's request ids: says for certain that a request is not in a file.

Parquet has such filters too, and newer versions of pyarrow write them, but none reads them; and to read one is to open
its file, which for thousands of files is what costs. The hash is ours, so that it stays what it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

BITS_A_KEY = 16
_PROBES = 8
_BLOCK = 512
"""Bits of a block. All probes of a key are in one block, so that to ask is to touch one place."""
_MOST_HASHED = 256
"""Bytes of an id that are hashed, beside its length; longer ones that begin alike are taken for one another."""
_MIXERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_START = np.array([0x9E3779B97F4A7C15], np.uint64)
_HALVES = (np.uint64(40), np.uint64(52))


def hashes(ids: pa.ChunkedArray | pa.Array) -> Words:
    """Return the hashes of ids, in no order; one for ids that stand side by side; nulls have none."""
    given = pc.drop_null(ids).cast(pa.large_binary())
    found = [_START[:0]]
    for chunk in given.chunks if isinstance(given, pa.ChunkedArray) else [given]:
        lengths = pc.binary_length(chunk).to_numpy(zero_copy_only=False)
        for length in np.unique(lengths):
            alike = chunk if (lengths == length).all() else chunk.filter(pa.array(lengths == length))
            keys = _hashes(alike, int(length))
            found.append(keys[np.concatenate([[True], keys[1:] != keys[:-1]])])
    return np.concatenate(found)


def build(keys: Words) -> bytes:
    """Return a filter of these hashes."""
    blocks = max(1, -(-len(keys) * BITS_A_KEY // _BLOCK))
    bits = np.zeros(blocks * _BLOCK, dtype=bool)
    block = (keys % np.uint64(blocks)).astype(np.int64) * _BLOCK
    for place in _places(keys):
        bits[block + place] = True
    return np.packbits(bits, bitorder="little").tobytes()


def may_hold(content: memoryview | bytes, key: int) -> bool:
    """Say whether the filter may have been built with this hash; False is certain."""
    blocks = len(content) * 8 // _BLOCK
    start = key % blocks * _BLOCK
    return all(content[(start + place) >> 3] >> ((start + place) & 7) & 1 for place in _places_of(key))


def hash_of(request_id: str) -> int:
    """Return the hash of one id."""
    return int(hashes(pa.array([request_id], pa.string()))[0])


def _hashes(ids: pa.Array, length: int) -> Words:
    """Hash ids of one length, eight bytes at a time."""
    _, offsets, content = ids.buffers()
    start = int(np.frombuffer(offsets, np.int64)[ids.offset])
    octets = np.frombuffer(content, np.uint8, len(ids) * length, start) if length else np.zeros(0, np.uint8)
    used = min(length, _MOST_HASHED)
    padded = np.zeros((len(ids), -(-used // 8) * 8), np.uint8)
    padded[:, :used] = octets.reshape(len(ids), length)[:, :used]
    words = padded.view("<u8")
    state = np.repeat(_START ^ np.uint64(length), len(ids))
    for place in range(words.shape[1]):
        state = _mixed(state ^ words[:, place])
    return _mixed(state)


def _mixed(state: Words) -> Words:
    # splitmix64; products are meant to wrap.
    with np.errstate(over="ignore"):
        state = (state ^ (state >> np.uint64(30))) * _MIXERS[0]
        state = (state ^ (state >> np.uint64(27))) * _MIXERS[1]
        mixed: Words = (state ^ (state >> np.uint64(31))) + _START
        return mixed


def _places(keys: Words) -> list[NDArray[np.int64]]:
    """Return the bits of each key in its block: a start and a stride of the hash's upper bits."""
    start = (keys >> _HALVES[0]).astype(np.int64)
    stride = ((keys >> _HALVES[1]).astype(np.int64) & (2 * _BLOCK - 1)) | 1
    return [(start + probe * stride) % _BLOCK for probe in range(_PROBES)]


def _places_of(key: int) -> list[int]:
    start, stride = key >> int(_HALVES[0]), ((key >> int(_HALVES[1])) & (2 * _BLOCK - 1)) | 1
    return [(start + probe * stride) % _BLOCK for probe in range(_PROBES)]
