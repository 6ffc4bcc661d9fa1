"""One view's world: its keys' rows, what goes wrong with each key, what is online, and what training will find."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from skew_ext.errors import RepoError
from skew_ext.testing.catalogue import made
from skew_ext.testing.fault import Fault
from skew_ext.testing.online import evict, push
from skew_ext.testing.sources import table_of
from skew_ext.testing.timeline import HISTORY, HOUR
from skew_ext.testing.truth import differ, training_row
from skew_ext.testing.views import Row

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    import pyarrow as pa
    from feast import FeatureStore

    from skew_ext.testing.sources import Sources
    from skew_ext.testing.timeline import Timeline
    from skew_ext.testing.views import SyntheticView


EXPIRED: Final = "expired_served"
_SECOND_ROW = 120, 240
"""A tied event's second row comes so many seconds after the first, which has come by then."""


class ViewWorld:
    """What happens to one view's keys; `shares` says which part of them each fault befalls."""

    def __init__(
        self, view: SyntheticView, shares: Mapping[str, float], keys: int, times: Timeline, random: np.random.Generator
    ) -> None:
        self.view = view
        self._times = times
        self._random = random
        # All lookups ask a view without entities for the same.
        self._keys = [view.key(number) for number in range(keys if view.keys else 1)]
        self._faults = _assigned(view, shares, len(self._keys), times, random)
        self._rows = [self._history(fault) for fault in self._faults]
        self._final = [_in_order(fault.afterwards(rows)) for fault, rows in zip(self._faults, self._rows, strict=True)]
        self._changed = [frozenset[str]()] * len(self._keys)
        self._pushed: list[datetime | None] = [None] * len(self._keys)
        self._changed_by_tick: list[list[frozenset[str]]] = []
        self._pushed_by_tick: list[list[datetime | None]] = []

    def entity(self, number: int) -> dict[str, Any]:
        """Give the entity row that asks for the n-th entity, under each of the view's names; it may be a stranger."""
        row: dict[str, Any] = {}
        for name, renamed in self.view.served_as.items():
            key = self.view.key(self._number(name, number))
            row |= {renamed.get(join_key, join_key): part for join_key, part in zip(self.view.keys, key, strict=True)}
        return row

    def clean_rows(self) -> pa.Table:
        """Give the source's rows of the keys that nothing befalls."""
        clean = [number for number, fault in enumerate(self._faults) if not fault.cause]
        return table_of(self.view, ((self._keys[number], row) for number in clean for row in self._rows[number]))

    def final_rows(self) -> pa.Table:
        """Give the source's rows as training finds them."""
        rows = [(key, row) for key, rows in zip(self._keys, self._final, strict=True) for row in rows]
        nobodys = (None,) * len(self.view.keys)
        return table_of(self.view, [*rows, *((nobodys, row) for _, row in rows[: self.view.keyless])])

    def lose(self, store: FeatureStore, tick: int) -> None:
        """Let the online store lose what it loses before a round."""
        for number, fault in enumerate(self._faults):
            if fault.evicts(tick):
                evict(store, self.view.name, dict(zip(self.view.keys, self._keys[number], strict=True)))
                self._changed[number], self._pushed[number] = frozenset(), None

    def job(self, store: FeatureStore, sources: Sources, tick: int) -> None:
        """Fill the online store: at first Feast's own materialization of the clean keys, then a job that pushes."""
        by_feast = tick == 0 and bool(self.view.keys)
        if by_feast:
            sources.write(self.view, self.clean_rows())
            # Feast tells of its progress on standard output.
            with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                now = self._times.tick(0)
                store.materialize(now - HISTORY * HOUR, now, feature_views=[self.view.name])
        pushed = [number for number, fault in enumerate(self._faults) if fault.cause or not by_feast]
        rows = [(number, self._faults[number].written(self._rows[number], tick)) for number in pushed]
        # What is there already is not written again: Redis would keep the first, and SQLite the last.
        written = [(number, row) for number, row in rows if row is not None and self._is_newer(number, row)]
        push(store, self.view, [(self._keys[number], row) for number, row in written])
        for number, row in written:
            self._changed[number], self._pushed[number] = row.changed, row.event
        self._changed_by_tick.append(list(self._changed))
        self._pushed_by_tick.append(list(self._pushed))

    def truth(
        self, name: str, number: int, tick: int, at: datetime, served: Mapping[str, Any]
    ) -> Iterable[tuple[str, str]]:
        """Give the features that were served otherwise than training has them, and why.

        `name` is one of those that the service has the view under, and `served` what was served of the n-th entity.

        Raises
        ------
        RepoError
            One differs that no fault reaches: the kit is wrong about the stores.
        """
        place = self._number(name, number)
        known = place < len(self._keys)
        found = training_row(self._final[place], at, self.view.ttl) if known else None
        right = found.values if found else {}
        for feature in differ(served, right):
            cause = self._faults[place].cause_of(feature, self._changed_by_tick[tick][place], served) if known else ""
            if not cause:
                msg = f"{name}:{feature} of {self.entity(number)} is {served[feature]!r}, not {right.get(feature)!r}"
                raise RepoError(msg)
            expired = right.get(feature) is None and self._is_expired(place, tick, at)
            yield feature, EXPIRED if expired and served[feature] is not None else cause

    def _is_expired(self, place: int, tick: int, at: datetime) -> bool:
        """Tell whether what the job wrote of a key was past its TTL: where training has nothing, that comes first."""
        event = self._pushed_by_tick[tick][place]
        return bool(self.view.ttl) and event is not None and event < at - self.view.ttl

    def _is_newer(self, number: int, row: Row) -> bool:
        pushed = self._pushed[number]
        return pushed is None or row.event > pushed

    def _number(self, name: str, number: int) -> int:
        if not self.view.keys:
            return 0
        first = next(iter(self.view.served_as))
        return number if name == first or number >= len(self._keys) else len(self._keys) - 1 - number

    def _history(self, fault: Fault) -> list[Row]:
        rows = [row for event in self._times.events(self._random) for row in self._of_event(event)]
        drawn = {name: feature.history(len(rows), self._random) for name, feature in self.view.features.items()}
        filled = (dict(zip(drawn, values, strict=True)) for values in zip(*drawn.values(), strict=True))
        return fault.source([replace(row, values=values) for row, values in zip(rows, filled, strict=True)])

    def _of_event(self, event: datetime) -> list[Row]:
        first = Row(event, self._times.created(event, self._random))
        if self._random.random() >= self.view.tied:
            return [first]
        return [first, Row(event, event + timedelta(seconds=float(self._random.uniform(*_SECOND_ROW))))]


def _in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.event, row.created))


def _assigned(
    view: SyntheticView, shares: Mapping[str, float], keys: int, times: Timeline, random: np.random.Generator
) -> list[Fault]:
    """Deal the faults out: each key one at most, and of few keys now the one and now the other."""
    faults: list[Fault] = [Fault(view, times, random)] * keys
    order, begin, offset = random.permutation(keys), 0.0, float(random.random())
    for name, share in shares.items():
        fault = made(name, view, times, random)
        chosen = order[int(begin * keys + offset) : int((begin + share) * keys + offset)]
        for number in chosen if fault.fits() else ():
            faults[number] = fault
        begin += share
    return faults
