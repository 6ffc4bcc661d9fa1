"""Which view a column is of, where several views have a feature of its name: the one whose values it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from skew_ext.frames import listed

if TYPE_CHECKING:
    from skew_ext.leakage.features import Wanted


def settled(wanted: Wanted, equal: Mapping[str, int]) -> Wanted:
    """Leave each unclear column to one view, and note to which.

    Columns that the same views have are taken together: they come from one of them. `equal` tells for each
    `view__feature` how many cells have its point-in-time value; the most wins, and where they are as many, the view
    that the repo lists first.
    """
    columns = dict(wanted.columns)
    notes = list(wanted.notes)
    for rivals, unclear in _groups(wanted).items():
        best = max(rivals, key=lambda alias: sum(equal.get(full, 0) for full in unclear[alias]))
        for alias in rivals:
            for full in unclear[alias] if alias != best else ():
                del columns[full]
        names = listed([wanted.columns[full] for full in unclear[best]])
        notes.append(
            f"{names} may be of {' or '.join(rivals)}: checked as of {best}; name columns view__feature to choose"
        )
    return replace(wanted, columns=columns, unclear=[], notes=notes)


def _groups(wanted: Wanted) -> dict[tuple[str, ...], dict[str, list[str]]]:
    """Give, for each set of views that rival for columns, their `view__feature` names of these, by view."""
    holders: dict[str, dict[str, str]] = defaultdict(dict)
    for view in wanted.views:
        for full in map(view.column, view.features):
            if wanted.columns.get(full) in wanted.unclear:
                holders[wanted.columns[full]][view.alias] = full
    groups: dict[tuple[str, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for of in holders.values():
        for alias, full in of.items():
            groups[tuple(of)][alias].append(full)
    return {rivals: group for rivals, group in groups.items() if len(rivals) > 1}
