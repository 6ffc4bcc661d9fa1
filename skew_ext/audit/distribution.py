"""Skew and drift of an audit's rows: judged with what is known of them, and since when they are as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from skew_ext.errors import AuditError, nearest
from skew_ext.model import Distribution, DistributionRow
from skew_ext.schema import LOG_TIMESTAMP
from skew_ext.statistics import Served, change_over, judged_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from skew_ext.audit.thresholds import Limits
    from skew_ext.baseline.plan import ViewPlan
    from skew_ext.statistics.measure import Measured

    Numbers = npt.NDArray[np.int64]

MINUTE = 60_000_000
DAY = 1440 * MINUTE
STEPS = tuple(minutes * MINUTE for minutes in (1, 5, 15, 30, 60, 180, 360, 720, 1440, 7 * 1440))
"""What a window is cut into to see since when a feature differs, in microseconds."""
MOST_PARTS, FEWEST_PARTS, ROWS_OF_PART = 48, 6, 40
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Distributions:
    """Compares the rows of an audit with their baseline, and with a training set.

    Parameters
    ----------
    rows
        What was served, about in its order: a column `view__feature` for each feature, its baseline under
        `baseline_prefix`, the join keys, and the time of serving.
    views
        The views of the service.
    limits
        The thresholds.
    baseline_prefix
        What the baseline's columns begin with.
    """

    def __init__(self, rows: pa.Table, views: Sequence[ViewPlan], limits: Limits, baseline_prefix: str) -> None:
        self._rows = rows
        self._limits = limits
        self._prefix = baseline_prefix
        self._view_of = {view.column(name): view for view in views for name in view.features}
        self._groups: dict[tuple[str, ...], Numbers | None] = {}

    def run(self, trained: Mapping[str, Any], features: Sequence[str]) -> Distribution:
        """Give both tables, of these features."""
        present = [name for name in features if name in self._rows.column_names]
        skew = judged_rows(
            ((name, self._baseline(name), self._rows[name]) for name in present if self._has_baseline(name)),
            thresholds=self._limits.of,
        )
        drift = judged_rows(
            ((name, trained[name], self._rows[name]) for name in present if name in trained),
            thresholds=self._limits.of,
            served=Served(in_order=True, groups_of=self._groups_of),
            same_rows=False,
        )
        return Distribution(
            skew=[self._dated(row, measured, expected=True) for row, measured in skew],
            drift=[self._dated(row, measured, expected=False) for row, measured in drift],
            thresholds=self._limits.used(),
        )

    def _has_baseline(self, feature: str) -> bool:
        return self._prefix + feature in self._rows.column_names

    def _baseline(self, feature: str) -> Any:
        return self._rows[self._prefix + feature]

    def _groups_of(self, feature: str) -> Numbers | None:
        """Give the rows' entities as numbers, by the join keys of the feature's view."""
        keys = tuple(sorted(self._view_of[feature].join_keys.values()))
        if keys not in self._groups:
            known = bool(keys) and set(keys) <= set(self._rows.column_names)
            self._groups[keys] = _numbered(self._rows.select(list(keys))) if known else None
        return self._groups[keys]

    @cached_property
    def _parts(self) -> tuple[Numbers, int, int] | None:
        """Give each row's part of the window, the number of the first, and their length; None where there are few."""
        if LOG_TIMESTAMP not in self._rows.column_names or not self._rows.num_rows:
            return None
        times = np.asarray(self._rows[LOG_TIMESTAMP].cast(pa.int64()), dtype=np.int64)
        first, last = int(times.min()), int(times.max())
        for step in STEPS:
            parts = last // step - first // step + 1
            if parts <= MOST_PARTS and len(times) >= ROWS_OF_PART * parts:
                return (times // step - first // step, first // step, step) if parts >= FEWEST_PARTS else None
        return None

    def _dated(self, row: DistributionRow, measured: Measured, *, expected: bool) -> DistributionRow:
        """Say of a row that differs how the difference came, and since when."""
        if row.verdict not in ("watch", "act") or measured.codes is None or self._parts is None:
            return row
        part_of, first, step = self._parts
        parts, cells = int(part_of.max()) + 1, measured.cells

        def counted(column: Any) -> Numbers:
            codes = measured.codes(column) if measured.codes is not None else part_of
            return np.bincount(part_of * cells + codes, minlength=parts * cells).reshape(parts, cells)

        baseline = counted(self._baseline(row.feature)) if expected else None
        season = DAY // step if step < DAY and not expected else None
        change = change_over(
            list(counted(self._rows[row.feature])), expected=None if baseline is None else list(baseline), season=season
        )

        def moment(part: int | None) -> datetime | None:
            return None if part is None else _EPOCH + timedelta(microseconds=(first + part) * step)

        return dataclasses.replace(row, change=change.kind, since=moment(change.since), until=moment(change.until))


def _numbered(keys: pa.Table) -> Numbers:
    hashes = pd.util.hash_pandas_object(keys.to_pandas(integer_object_nulls=True), index=False)
    return np.unique(np.asarray(hashes), return_inverse=True)[1].astype(np.int64)


def most_important(
    features: Sequence[str], importance: Mapping[str, float] | None, top_k: int | None
) -> tuple[list[str], list[str]]:
    """Give the features to compare and a note of what is left out.

    The `top_k` of the greatest importance; those that none is given for count as unimportant.

    Raises
    ------
    AuditError
        `top_k` without importances or below 1, or an importance of a feature that the service has not.
    """
    for name in importance or {}:
        if name not in features:
            raise AuditError(f"an importance is given for {name!r}, which the service has not{nearest(name, features)}")
    if top_k is None:
        return list(features), []
    if not importance or top_k < 1:
        raise AuditError(f"top_k={top_k} says nothing: give 1 or more, and the importance of each feature")
    ranked = sorted(features, key=lambda name: -importance.get(name, 0.0))[:top_k]
    note = f"the distributions are of the {len(ranked):,} most important of {len(features):,} features"
    return [name for name in features if name in ranked], [note]


def identifier_notes(distribution: Distribution) -> list[str]:
    """Say which features were left out of the distributions as identifiers."""
    rows = [*distribution.skew, *distribution.drift]
    names = dict.fromkeys(row.feature for row in rows if row.kind == "identifier")
    return [f"left out of the distributions as identifiers, save their null rates: {', '.join(names)}"] if names else []


def how_it_came(row: DistributionRow) -> str:
    """Say how a difference came, as the end of a sentence; nothing where that is not known."""
    span = f"since {_said(row.since)}" + ("" if row.until is None else f", until {_said(row.until)}")
    return {
        "sudden": f"; it came at once, as a fault of a pipeline does, {span}",
        "gradual": f"; it came by and by, as drift does, {span}",
        "steady": "; it was so all through the window",
        None: "",
    }[row.change]


def _said(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def how_much(row: DistributionRow) -> str:
    """Say in numbers how a feature's values differ."""
    before, after = (f"{rate:.1%}" for rate in row.null_rate)
    said = [
        None if row.psi is None else f"PSI {row.psi:.2f}",
        None if row.cosine is None else f"cosine distance of the centroids {row.cosine:.2f}",
        None if row.norm_ratio is None else f"norms times {row.norm_ratio:.2f}",
        f"{row.wrong_dimension:.1%} of another dimension" if row.wrong_dimension else None,
        f"{row.unseen:.1%} unseen" if row.unseen else None,
        f"{row.out_of_range:.1%} out of range" if row.out_of_range else None,
        "all one value" if row.constant == (False, True) else None,
        None if before == after else f"null rate {before} to {after}",
    ]
    return ", ".join(one for one in said if one is not None) or f"null rate {after}"
