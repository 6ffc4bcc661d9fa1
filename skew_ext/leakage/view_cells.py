"""One view's cells: which leak holds for them, the most telling first.

Values are looked at a view at a time, since all features of a view come from one source row: that several agree at
once is seldom chance. What no row explains is then looked at a feature at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy import stats

from skew_ext.audit.cells import compare, is_null
from skew_ext.leakage.origin import Asked, Origins, codes

if TYPE_CHECKING:
    from skew_ext.baseline.evidence import SourceRows
    from skew_ext.leakage.discrimination import Integers, Mask
    from skew_ext.leakage.report import LeakageFinding
    from skew_ext.leakage.wording import Worded

NEARLY_ALL = 0.95
FEWEST = 3
"""Rows below which nothing is claimed: one value in a thousand may be anything."""
SHIFT_ROWS = 20
SHIFT_SAMPLE = 5_000
SHIFT_STEP = 15 * 60 * 1_000_000
SHIFTS = [step * SHIFT_STEP for step in range(-56, 57) if step]
"""15 minutes to 14 hours either way: the offsets that time zones have."""
_HOUR = 4 * SHIFT_STEP
CHANCE = 1e-4
"""What may happen by chance: below it, values that stand only in a later row are told."""
BULK = 0.9
RIVAL = 0.75
"""The share of cells from which a shift the other way explains them as well: where two values take turns, half."""
FUNCTION = 0.99


class ViewCells:
    """Explains one view's cells. `trained` and `expected` are its columns by feature, in the rows that are checked."""

    def __init__(
        self,
        worded: Worded,
        trained: dict[str, pa.Array],
        expected: dict[str, pa.Array],
        source: SourceRows,
        keys: Integers,
    ) -> None:
        self._worded, self._trained, self._expected = worded, trained, expected
        self._source, self._asked = source, Asked(keys, worded.at, worded.view.ttl_microseconds)
        self._differs = {name: compare(trained[name], expected[name]).different for name in trained}
        self._origins = self._origins_of(list(trained))
        self.findings: list[LeakageFinding] = []
        self.notes: list[str] = []

    def run(self) -> None:
        """Look for each leak in turn."""
        everything = list(self._trained)
        timeless = [everything] if self._is_latest(everything) else [[n] for n in everything if self._is_latest([n])]
        for names in timeless:
            self._without_time(names)
        left = [name for name in everything if not any(name in names for names in timeless)]
        if left:
            self._explain(left)

    def _explain(self, names: list[str]) -> None:
        if len(names) < len(self._trained):
            self._origins = self._origins_of(names)
        self._known_later(names)
        differs = np.logical_or.reduce([self._differs[name] for name in names])
        rest = np.flatnonzero(differs & ~self._origins.point_in_time & ~self._origins.known)
        rest = self._shifted(rest, names)
        rest = self._future(rest, self._origins, names)
        for name in names:
            self._feature(name, rest[self._differs[name][rest]], alone=len(names) == 1)

    def _is_latest(self, names: list[str]) -> bool:
        """Whether nearly every row has the last values that the source has, where these are not the right ones."""
        differs = np.logical_or.reduce([self._differs[name] for name in names])
        if differs.sum() < FEWEST:
            return False
        origins = self._origins if len(names) == len(self._trained) else self._origins_of(names)
        telling, latest = origins.telling, origins.latest
        found = telling & latest
        if found.sum() < max(FEWEST, NEARLY_ALL * telling.sum()) or latest.mean() < NEARLY_ALL:
            return False
        return bool((found & differs).any())

    def _without_time(self, names: list[str]) -> None:
        origins = self._origins_of(names)
        found = origins.telling & origins.latest
        expected = {name: self._expected[name] for name in names}
        self.findings.append(self._worded.without_time(found, self._source, origins.last_row, expected))

    def _known_later(self, names: list[str]) -> None:
        """Rows whose values were right at their time, but only a row created later says so."""
        late = self._origins.known_later
        if not late.any():
            return
        positions = self._source.latest(self._asked.keys, self._asked.at, self._asked.ttl, known=False)
        backfilled = self._backfilled(late, positions)
        self.findings.append(self._worded.known_later(late, self._source, positions, names, backfilled=backfilled))

    def _backfilled(self, late: Mask, positions: Integers) -> bool:
        """Whether created times say when rows were loaded in bulk, and nothing of when they were known."""
        created = self._source.created
        assert created is not None  # noqa: S101 - without it no row is late
        there = positions >= 0
        if (self._origins.nothing_known & there).sum() >= NEARLY_ALL * there.sum():
            return True
        low, high = np.quantile(created[positions[late]], [(1 - BULK) / 2, (1 + BULK) / 2])
        first, last = np.quantile(self._source.events[positions[late]], [(1 - BULK) / 2, (1 + BULK) / 2])
        return bool(last - first > 24 * _HOUR and high - low < (last - first) / 100)

    def _shifted(self, rest: Integers, names: list[str]) -> Integers:
        """Rows that have the values of a constant while later, as in another time zone; give those that do not."""
        if len(rest) < SHIFT_ROWS:
            return rest
        looked = rest[np.unique(np.linspace(0, len(rest) - 1, min(len(rest), SHIFT_SAMPLE)).astype(np.int64))]
        found = {by: self._origins.shifted(by, looked) for by in SHIFTS}
        best = max(SHIFTS, key=lambda by: (found[by].sum(), -abs(by)))
        # Where clocks change, there are two offsets, an hour apart.
        second = max((best - _HOUR, best + _HOUR), key=lambda by: found[by].sum() if by in found else -1)
        told = found[best] | found.get(second, found[best])
        others = [by for by in SHIFTS if by * best < 0]
        rival = max(found[by].mean() for by in others)
        if told.mean() < NEARLY_ALL or found[best].mean() < BULK / 2 or rival > RIVAL:
            return rest
        if best < 0 and not self._worded.frame.naive:
            return rest  # older values, as a schedule of materialization makes them
        explained = self._origins.shifted(best, rest) | self._origins.shifted(second, rest)
        expected = {name: self._expected[name] for name in names}
        self.findings.append(self._worded.shifted(_mask(rest[explained], len(self._asked.at)), best, expected))
        return rest[~explained]

    def _future(self, rest: Integers, origins: Origins, names: list[str]) -> Integers:
        """Rows whose values stand only in a row from after their time; give those that no row explains."""
        if not len(rest):
            return rest
        before, after = origins.occurs(rest)
        future = after & ~before
        unlikely = stats.binom.sf(int(future.sum()) - 1, len(rest), origins.by_chance(rest)) < CHANCE
        if future.sum() >= FEWEST and unlikely:
            rows = _mask(rest[future], len(self._asked.at))
            positions = np.full(len(self._asked.at), -1, dtype=np.int64)
            positions[rest[future]] = origins.first_after(rest[future])
            self.findings.append(
                self._worded.future(rows, self._source, positions, {name: self._expected[name] for name in names})
            )
        else:
            future[:] = False
        return rest[~before & ~future]

    def _feature(self, name: str, rest: Integers, *, alone: bool) -> None:
        if not len(rest):
            return
        rest = rest if alone else self._future(rest, self._origins_of([name]), [name])
        rest = self._prepared(name, rest)
        if len(rest):
            self.findings.append(self._worded.unexplained(name, _mask(rest, len(self._asked.at)), self._expected[name]))

    def _prepared(self, name: str, rest: Integers) -> Integers:
        """Leave out what preprocessing does and no leak: nulls filled by one value, one value for each value."""
        trained, expected = self._trained[name], self._expected[name]
        blank = is_null(expected)[rest] & ~is_null(trained)[rest]
        if blank.any():
            value, count = _commonest(trained.take(pa.array(rest[blank])))
            if count >= BULK * blank.sum():
                self.notes.append(f"{self._worded.column(name)}: {int(blank.sum()):,} nulls are filled, with {value!r}")
                rest = rest[~blank]
        lost = is_null(trained)[rest]
        if lost.any():
            self.notes.append(
                f"{self._worded.column(name)}: {int(lost.sum()):,} cells are null where a value was there"
            )
            rest = rest[~lost]
        if len(rest) and self._is_function(name):
            self.notes.append(
                f"{self._worded.column(name)} was checked no further: it is a function of the right value"
            )
            return rest[:0]
        return rest

    def _is_function(self, name: str) -> bool:
        """Whether the column is one value for each right value throughout, as an encoder or a scaler makes it."""
        both = np.flatnonzero(~is_null(self._trained[name]) & ~is_null(self._expected[name]))
        if len(both) < SHIFT_ROWS:
            return False
        pair = codes([self._trained[name].take(pa.array(both))], [self._expected[name].take(pa.array(both))])
        return _determined(pair.source, pair.trained) or _on_a_line(self._trained[name], self._expected[name], both)

    def _origins_of(self, names: list[str]) -> Origins:
        trained = [self._trained[name] for name in names]
        return Origins(self._source, self._asked, codes(trained, [self._source.values[name] for name in names]))


def _mask(rows: Integers, size: int) -> Mask:
    result = np.zeros(size, dtype=bool)
    result[rows] = True
    return result


def _commonest(values: pa.Array) -> tuple[object, int]:
    counts = values.value_counts()
    best = int(np.argmax(counts.field("counts").to_numpy()))
    return counts.field("values")[best].as_py(), int(counts.field("counts")[best].as_py())


def _determined(by: Integers, values: Integers) -> bool:
    """Whether each repeated value of `by` stands nearly always with one value; it must be repeated to say so."""
    order = np.lexsort((values, by))
    by, values = by[order], values[order]
    same = by[1:] == by[:-1]
    if same.sum() < max(SHIFT_ROWS, len(by) / 10) or len(np.unique(values)) < 2:  # noqa: PLR2004 - a constant is no encoding
        return False
    return bool((values[1:] == values[:-1])[same].mean() >= FUNCTION)


def _on_a_line(trained: pa.Array, expected: pa.Array, rows: Integers) -> bool:
    """Whether a numeric column is the right one times a factor plus an offset."""
    pair = [array.take(pa.array(rows)) for array in (trained, expected)]
    if not all(pa.types.is_integer(one.type) or pa.types.is_floating(one.type) for one in pair):
        return False
    y, x = (np.asarray(one.cast(pa.float64(), safe=False)) for one in pair)
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(x) < SHIFT_ROWS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return False
    slope, offset = np.polyfit(x, y, 1)
    near = np.abs(y - slope * x - offset) <= 1e-6 * np.ptp(y)
    return bool(near.mean() >= FUNCTION)
