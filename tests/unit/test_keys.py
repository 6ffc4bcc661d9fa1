"""Keys as integers: two rows have one code where they have one key, and only there."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from skew_ext.keys import ABSENT, key_codes

PART = st.one_of(st.none(), st.sampled_from(["", "1", "11", "111"]))
NUMBER = st.one_of(st.none(), st.sampled_from([0, 1, 11, -(2**63), 2**63 - 1]))
KEYS = st.lists(st.tuples(PART, NUMBER, PART), max_size=30)


def columns(keys: list[tuple[str | None, int | None, str | None]]) -> list[pa.Array]:
    types = (pa.string(), pa.int64(), pa.string())
    return [pa.array([key[place] for key in keys], kind) for place, kind in enumerate(types)]


@given(KEYS, KEYS)
def test_equal_keys_have_equal_codes(
    ours: list[tuple[str | None, int | None, str | None]], theirs: list[tuple[str | None, int | None, str | None]]
) -> None:
    first, second = key_codes(columns(ours), columns(theirs), (len(ours), len(theirs)))
    by_key: dict[object, int] = {}
    for key, code in zip(ours, first.tolist(), strict=True):
        assert (code == ABSENT) == (None in key)
        if code != ABSENT:
            assert by_key.setdefault(key, code) == code
    assert len(set(by_key.values())) == len(by_key)
    assert second.tolist() == [by_key.get(key, ABSENT) for key in theirs]


def test_chunks_are_one_column_and_without_a_key_all_rows_are_one() -> None:
    chunked = pa.chunked_array([["a", "b"], ["a"]])
    first, second = key_codes([chunked], [pa.chunked_array([["b"]])], (3, 1))
    assert first.tolist() == [0, 1, 0]
    assert second.tolist() == [1]
    assert [codes.tolist() for codes in key_codes([], [], (2, 1))] == [[0, 0], [0]]
