"""What changed between two fingerprints: which function, constant, parameter, type or library, and how."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from skew_ext.transform.fingerprint import Manifest, Part

Kind = Literal["declared", "parameters", "library", "source", "value", "added", "removed"]


@dataclass(frozen=True)
class Change:
    """One difference: of what kind, where, and its lines as a unified diff has them ("-old", "+new", " same")."""

    kind: Kind
    where: str
    lines: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return {"kind": self.kind, "where": self.where, "diff": list(self.lines)}


def changes(old: Manifest, new: Manifest) -> list[Change]:
    """Give the differences between two manifests; none if their fingerprints are equal."""
    found = [*_declared(old.declared, new.declared), *_mapping("library", "", old.libraries, new.libraries)]
    for label in sorted(old.parts.keys() | new.parts.keys()):
        found += _part(label, old.parts.get(label), new.parts.get(label))
    return found


def summary(found: list[Change]) -> str:
    """Say in a few words what changed, for one line."""
    said = [_WORDS[change.kind].format(change.where) for change in found]
    shown = list(dict.fromkeys(said))
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


_SHOWN = 4
_WORDS: Mapping[Kind, str] = {
    "declared": "its declared {} changed",
    "parameters": "its fitted {} changed",
    "library": "{} is another version",
    "source": "{} changed",
    "value": "{} changed",
    "added": "{} was added",
    "removed": "{} was removed",
}


def _declared(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        # A mapping in another order is another contract: on_row gives its outputs in that order.
        if before == after and _order(before) == _order(after):
            continue
        kind: Kind = "parameters" if name == "parameters" else "declared"
        yield Change(kind, name, (f"-{before}", f"+{after}"))


def _order(value: Any) -> list[str]:
    return list(value) if isinstance(value, Mapping) else []


def _mapping(kind: Kind, where: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            lines = [f"{sign}{side[name]}" for sign, side in (("-", old), ("+", new)) if name in side]
            yield Change(kind, f"{where}{name}", tuple(lines))


def _part(label: str, old: Part | None, new: Part | None) -> Iterator[Change]:
    if old is None:
        if new is not None:
            yield Change("added", label, tuple(f"+{line}" for line in new.code.splitlines()))
        return
    if new is None:
        yield Change("removed", label, tuple(f"-{line}" for line in old.code.splitlines()))
        return
    if old.tree != new.tree:
        lines = difflib.unified_diff(old.code.splitlines(), new.code.splitlines(), n=2, lineterm="")
        yield Change("source", label, tuple(lines)[2:])
    yield from _mapping("value", f"{label} ", old.values, new.values)
