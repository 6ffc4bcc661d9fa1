"""What is shown of data: one rule for every form, and no secret in an error line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skew_ext.text import brief, harmless, masked, one_line, visible

CONTROLS = [*map(chr, range(32)), *map(chr, range(127, 160))]
BIDI = [*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\u200e", "\u200f", "\u061c"]


@pytest.mark.parametrize("char", [*CONTROLS, *BIDI, "\u2028", "\u2029", "\ufeff", "\ud800", "\u200b"])
def test_what_moves_the_cursor_or_turns_a_line_is_an_escape(char: str) -> None:
    for text in (one_line(f"a{char}b"), brief(f"a{char}b", 99), harmless(f"a{char}b").replace("\n", "\\n")):
        assert text == f"a{repr(char)[1:-1] if char != chr(92) else char}b"
        text.encode()


@given(st.text())
def test_what_is_shown_prints(value: str) -> None:
    assert one_line(value).isprintable()
    assert visible(one_line(value)) == one_line(value)


@given(st.text(), st.integers(1, 50))
def test_what_is_brief_is_no_longer_and_shows_its_cut(value: str, longest: int) -> None:
    text = brief(value, longest)
    assert len(text) <= longest
    assert text == one_line(value) or text.endswith("…")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no postgresql://me:pw@db:5432/x here", "no postgresql://***@db:5432/x here"),
        ("the spool at postgresql:/me:p@w/d@db/x is none", "the spool at postgresql:/***@db/x is none"),
        ("host=db password=pw dbname=x", "host=db password=*** dbname=x"),
        ("host=db PASSWORD = 'p w' dbname=x", "host=db PASSWORD = *** dbname=x"),
        ("redis:6379,password=pw,db=1", "redis:6379,password=***,db=1"),
        ("{'password': 'pw'}", "{'password': ***}"),
        ("https://example.org/docs is no DSN", "https://example.org/docs is no DSN"),
        ("as postgresql://user:password@host:5432/database", "as postgresql://user:password@host:5432/database"),
        ("tell the token's owner", "tell the token's owner"),
    ],
)
def test_a_secret_in_an_error_line_is_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
