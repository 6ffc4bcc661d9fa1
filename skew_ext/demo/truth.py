"""What the replay really did, kept beside it: which rows were online at each lookup, and so what an audit should find.

It is simulated from the source rows and the schedule alone. Neither the stores, nor the log, nor any code of the audit
is asked, so that the audit can be held against it.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

Key = tuple[str, ...]


class Row(NamedTuple):
    """A source row, or what a job wrote online of one; times in UTC.

    `altered` is the position of the value that was changed on the way, or -1.
    """

    event: datetime
    created: datetime
    values: tuple[float | None, ...]
    altered: int = -1


class Events(NamedTuple):
    """Event times of the rows behind a lookup: what was online, what was known by then, and what training sees."""

    online: datetime | None
    known: datetime | None
    training: datetime | None


@dataclass
class ReplayTruth:
    """What an audit of the replay should find, by feature (`view__feature`).

    `causes` counts the differing cells by the cause in SPEC's table that describes them, "mixed" where two things went
    wrong in one cell. `lag_seconds` is, over the stale cells, how long the next newer row had been known.
    """

    incident: str
    begin: str
    until: str
    lookups: int
    lookups_in_incident: int
    skipped_ticks: list[str] = field(default_factory=list)
    cells: dict[str, int] = field(default_factory=dict)
    causes: dict[str, dict[str, int]] = field(default_factory=dict)
    lag_seconds: dict[str, dict[str, float]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


class ViewTruth:
    """One view's online store as it must be, and what training sees afterwards.

    Parameters
    ----------
    rows
        The view's source rows, as they come.
    keys, features
        Its columns.
    ttl
        Its TTL.
    """

    def __init__(self, rows: pd.DataFrame, keys: Sequence[str], features: Sequence[str], ttl: timedelta) -> None:
        self.features = list(features)
        self.keys = list(keys)
        self._ttl = ttl
        self._online: dict[Key, Row] = {}
        self._by_key: dict[Key, list[Row]] = defaultdict(list)
        for key, row in zip(_tuples(rows, self.keys), _rows(rows, features), strict=True):
            self._by_key[key].append(row)
        for known in self._by_key.values():
            known.sort(key=lambda row: (row.event, row.created))
        self.causes: dict[str, Counter[str]] = {name: Counter() for name in features}
        self.lags: dict[str, list[float]] = {name: [] for name in features}

    def materialize(self, start: datetime, end: datetime) -> None:
        """Write each key's newest row with an event in [start, end] that had landed by `end`."""
        for key, rows in self._by_key.items():
            newest = _last_known(self._until(rows, end), end)
            if newest is not None and newest.event >= start:
                self._online[key] = newest

    def rescale(self, feature: str, factor: float) -> None:
        """Multiply one feature of all that is online."""
        position = self.features.index(feature)
        for key, row in self._online.items():
            values = list(row.values)
            old = values[position]
            values[position] = None if old is None else old * factor
            self._online[key] = row._replace(values=tuple(values), altered=position)

    def online(self, key: Key, feature: str) -> float | None:
        """Give the value that is online."""
        row = self._online.get(key)
        return None if row is None else row.values[self.features.index(feature)]

    def lookup(self, key: Key, at: datetime) -> Events:
        """Count what a lookup gets against what training will see for it, and give the rows' event times."""
        rows = self._until(self._by_key.get(key, []), at)
        online, training = self._online.get(key), self._fresh(rows[-1] if rows else None, at)
        known = self._fresh(_last_known(rows, at), at)
        for position, name in enumerate(self.features):
            served = None if online is None else online.values[position]
            if served != (None if training is None else training.values[position]):
                altered = online is not None and online.altered == position
                cause = _altered(online, training) if altered else _cause(online, known, training, at)
                self.causes[name][cause] += 1
                if cause == "stale_online" and online is not None:
                    self.lags[name].append(_waited(online, rows, at))
        return Events(*(row and row.event for row in (online, known, training)))

    @staticmethod
    def _until(rows: list[Row], at: datetime) -> list[Row]:
        return rows[: bisect_right(rows, at, key=lambda row: row.event)]

    def _fresh(self, newest: Row | None, at: datetime) -> Row | None:
        return newest if newest is not None and newest.event >= at - self._ttl else None


def _last_known(rows: list[Row], at: datetime) -> Row | None:
    return next((row for row in reversed(rows) if row.created <= at), None)


def _cause(online: Row | None, known: Row | None, training: Row | None, at: datetime) -> str:
    """Name what made a cell differ, from which rows were where at the time."""
    if training is None:
        return "expired_served"
    if training.created > at and (online and online.event) == (known and known.event):
        return "late_arrival"
    if known is not None:
        return "missing_online" if online is None else "stale_online"
    return "mixed"


def _altered(online: Row | None, training: Row | None) -> str:
    return "rescaled" if online and training and online.event == training.event else "mixed"


def _waited(online: Row, rows: list[Row], at: datetime) -> float:
    newer = next(row for row in rows if row.event > online.event and row.created <= at)
    return (at - max(newer.event, newer.created)).total_seconds()


def summed(views: Mapping[str, ViewTruth], truth: ReplayTruth) -> ReplayTruth:
    """Put the views' counts into the truth, features without a differing cell left out."""
    for view, counted in views.items():
        for name in counted.features:
            truth.cells[f"{view}__{name}"] = truth.lookups
            if counted.causes[name]:
                truth.causes[f"{view}__{name}"] = dict(counted.causes[name].most_common())
            if counted.lags[name]:
                truth.lag_seconds[f"{view}__{name}"] = _quantiles(counted.lags[name])
    return truth


def _quantiles(lags: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(lags, [50, 95])
    return {"p50": float(p50), "p95": float(p95), "max": max(lags)}


def _tuples(frame: pd.DataFrame, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(frame[list(columns)].itertuples(index=False, name=None))


def _rows(frame: pd.DataFrame, features: Sequence[str]) -> list[Row]:
    events, created = ([at.to_pydatetime() for at in frame[name]] for name in ("event_timestamp", "created"))
    values = [tuple(None if pd.isna(value) else float(value) for value in row) for row in _tuples(frame, features)]
    return [Row(*row) for row in zip(events, created, values, strict=True)]
