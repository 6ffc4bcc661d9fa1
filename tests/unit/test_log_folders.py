"""A service's folder in a Parquet log: one for each name, on every file system, and none of the log's own."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from skew_ext.log.folders import MOST_BYTES, NO_SERVICE, earlier_folder_name, folder_name, folder_names
from skew_ext.schema import RESERVED

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=120)
LONG = "服务" * 40


def seen(name: str) -> str:
    """Return what a file system sees that takes case, and forms of a character, for one."""
    return unicodedata.normalize("NFC", name).casefold()


@given(NAMES, NAMES)
@example("scoring", "Scoring")
@example("É", "é")
@example("a/b", "a%2Fb")
@example(LONG + "a", LONG + "b")
def test_no_two_services_share_a_folder(one: str, other: str) -> None:
    if one != other:
        assert seen(folder_name(one)) != seen(folder_name(other))


@given(NAMES)
@example("~")
@example("..")
@example(".hidden")
@example("_label")
@example(LONG)
@example("x" * 300)
def test_a_folder_name_is_short_plain_and_none_of_the_logs_own(service: str) -> None:
    name = folder_name(service)
    assert len(name.encode()) <= MOST_BYTES
    assert name.isascii()
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith(".")
    assert seen(name) not in {NO_SERVICE, *RESERVED}
    # What it was made into by its own text would be another folder.
    assert seen(folder_name(name)) != seen(name) or name == service


def test_ordinary_names_keep_their_folder_and_others_stay_readable() -> None:
    assert folder_names("departure_delay-v2.1") == ("departure_delay-v2.1",)
    assert folder_names("a b/c") == ("a b%2Fc",)
    assert folder_name("FraudModel").startswith("FraudModel~")
    assert folder_names("FraudModel")[1] == "FraudModel"
    assert folder_name("服" * 30).startswith("%E6%9C%8D" * 10)
    assert folder_names("服" * 30)[1:] == ()  # no file system took the name that it had
    assert folder_name("") == NO_SERVICE == earlier_folder_name("")
    assert [folder_name(name, records=True) for name in RESERVED] == list(RESERVED)
    assert [folder_name(name) == name for name in RESERVED] == [False] * 3
