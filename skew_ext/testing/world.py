"""One view's world: its keys' rows, what goes wrong with each key, what is online, and what training will find."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skew_ext.errors import RepoError
from skew_ext.testing.catalogue import FAULTS
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


class ViewWorld:
    """What happens to one view's keys; `shares` says which part of them each fault befalls."""

    def __init__(
        self, view: SyntheticView, shares: Mapping[str, float], keys: int, times: Timeline, random: np.random.Generator
    ) -> None:
        self.view = view
        self._times = times
        self._keys = [view.key(number) for number in range(keys)]
        self._faults = _assigned(view, shares, keys, times, random)
        self._rows = [self._history(fault, random) for fault in self._faults]
        self._final = [_in_order(fault.afterwards(rows)) for fault, rows in zip(self._faults, self._rows, strict=True)]

    def entity(self, number: int) -> dict[str, Any]:
        """Give the n-th key as an entity row."""
        return dict(zip(self.view.keys, self._keys[number], strict=True))

    def clean_rows(self) -> pa.Table:
        """Give the source's rows of the keys that nothing befalls."""
        return self._table(number for number, fault in enumerate(self._faults) if not fault.cause)

    def final_rows(self) -> pa.Table:
        """Give the source's rows as training finds them."""
        return table_of(
            self.view, ((key, row) for key, rows in zip(self._keys, self._final, strict=True) for row in rows)
        )

    def job(self, store: FeatureStore, sources: Sources, tick: int) -> None:
        """Fill the online store: at first Feast's own materialization of the clean keys, then a job that pushes."""
        for number, fault in enumerate(self._faults):
            if fault.evicts(tick):
                evict(store, self.view.name, self.entity(number))
        pushed = [number for number, fault in enumerate(self._faults) if tick or fault.cause]
        if tick == 0:
            sources.write(self.view, self.clean_rows())
            # Feast tells of its progress on standard output.
            with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                now = self._times.tick(0)
                store.materialize(now - HISTORY * HOUR, now, feature_views=[self.view.name])
        rows = ((self._keys[number], self._faults[number].written(self._rows[number], tick)) for number in pushed)
        push(store, self.view, [(key, row) for key, row in rows if row is not None])

    def truth(self, number: int, at: datetime, served: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Give the features that were served otherwise than training has them, and why.

        Raises
        ------
        RepoError
            One differs that no fault reaches: the kit is wrong about the stores.
        """
        found = training_row(self._final[number], at, self.view.ttl)
        right = found.values if found else {}
        fault = self._faults[number]
        for name in differ({name: served[name] for name in self.view.features}, right):
            if not fault.cause or not fault.reaches(name):
                msg = f"{self.view.name}:{name} of {self.entity(number)} is {served[name]!r}, not {right.get(name)!r}"
                raise RepoError(msg)
            yield name, fault.cause

    def _history(self, fault: Fault, random: np.random.Generator) -> list[Row]:
        events = self._times.events(random)
        rows = [Row(event, self._times.created(event, random)) for event in events]
        drawn = {name: [feature.draw(random) for _ in rows] for name, feature in self.view.features.items()}
        filled = (dict(zip(drawn, values, strict=True)) for values in zip(*drawn.values(), strict=True))
        return fault.source([replace(row, values=values) for row, values in zip(rows, filled, strict=True)])

    def _table(self, numbers: Iterable[int]) -> pa.Table:
        return table_of(self.view, ((self._keys[number], row) for number in numbers for row in self._rows[number]))


def _in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.event, row.created))


def _assigned(
    view: SyntheticView, shares: Mapping[str, float], keys: int, times: Timeline, random: np.random.Generator
) -> list[Fault]:
    clean = Fault(view, times, random)
    faults: list[Fault] = [clean] * keys
    order, begin = random.permutation(keys), 0.0
    for name, share in shares.items():
        fault = FAULTS[name](view, times, random)
        chosen = order[round(begin * keys) : round((begin + share) * keys)]
        for number in chosen if fault.fits() else ():
            faults[number] = fault
        begin += share
    return faults
