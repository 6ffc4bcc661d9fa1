"""A message made to fit what an address takes: what matters least goes first, and what is cut is shown as cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from skew_ext.text import calling_nobody

if TYPE_CHECKING:
    from collections.abc import Sequence

_CUT = "…"
WORTH_BYTES = 80
"""What of a line must fit for its beginning to be worth its place."""


class Line(NamedTuple):
    """A line of a message. Of lines that do not fit, the last with the highest `rank` goes first, and 0 never."""

    text: str
    rank: int = 0


class Room(NamedTuple):
    """What an address takes, in bytes of UTF-8; `together`: the title stands in the body, and takes of its room."""

    title: int
    body: int
    together: bool


def fitted(title: str, lines: Sequence[Line], room: Room) -> dict[str, str]:
    """Return the title and the body, both within `room`, and calling nobody.

    They are counted in bytes: whether a service counts characters, UTF-16 units or bytes, that is never too little.
    """
    most = min(room.title, room.body // 2) if room.together else room.title
    heading = _cut(calling_nobody(title), most)
    left = room.body - (_bytes(heading) + 2 if room.together else 0)
    kept = [Line(calling_nobody(one.text), one.rank) for one in lines]
    while (over := _bytes(_joined(kept)) - left) > 0 and any(one.rank for one in kept):
        rank, place = max((one.rank, place) for place, one in enumerate(kept))
        line = kept.pop(place)
        if _bytes(line.text) - over >= WORTH_BYTES:
            kept.insert(place, Line(_cut(line.text, _bytes(line.text) - over), rank))
    return {"title": heading, "body": _cut(_joined(kept), left)}


def _joined(lines: Sequence[Line]) -> str:
    return "\n".join(one.text for one in lines)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _cut(text: str, most: int) -> str:
    if _bytes(text) <= most:
        return text
    whole = text.encode("utf-8", "replace")[: max(most - _bytes(_CUT), 0)]
    return whole.decode("utf-8", "ignore") + _CUT
