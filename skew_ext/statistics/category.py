"""Categorical columns as small summaries on agreed categories, which add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.statistics.arrays import Arrow, Counts, decoded


@dataclass(frozen=True, eq=False)
class Tally:
    """The distinct non-null values of a column, as text, with how often each is there."""

    values: Any
    counts: Counts
    nulls: int

    @classmethod
    def of(cls, column: Arrow) -> Tally:
        """Count a string or boolean Arrow column; booleans become "true" and "false"."""
        counted = pc.value_counts(decoded(column).drop_null().cast(pa.large_string()))
        counts = np.asarray(counted.field("counts"), dtype=np.int64)
        return cls(counted.field("values"), counts, column.null_count)

    def merge(self, other: Tally) -> Tally:
        """Give the tally of both columns together."""
        values = pa.chunked_array([self.values, other.values])
        table = pa.table({"value": values, "count": np.concatenate([self.counts, other.counts])})
        added = table.group_by("value").aggregate([("count", "sum")])
        counts = np.asarray(added["count_sum"], dtype=np.int64)
        return Tally(added["value"], counts, self.nulls + other.nulls)

    @property
    def present(self) -> int:
        """How many rows have a value."""
        return int(self.counts.sum())

    @property
    def distinct_share(self) -> float:
        """Distinct values over rows with a value: 1.0 where no value is there twice, 0.0 without any."""
        return len(self.counts) / self.present if self.present else 0.0

    def top(self, most: int = 50) -> tuple[str, ...]:
        """Give the `most` commonest values, commonest first, ties in the order of the alphabet."""
        kept = np.argsort(-self.counts, kind="stable")
        if len(kept) > most:  # only those as common as the last one that may stay need be read as Python strings
            kept = kept[self.counts[kept] >= self.counts[kept[most - 1]]]
        names = self.values.take(pa.array(kept)).to_pylist()
        ranked = sorted(zip(-self.counts[kept], names, strict=True))
        return tuple(name for _, name in ranked[:most])


@dataclass(frozen=True)
class CategorySummary:
    """What is kept of a categorical column: counts of the reference's commonest categories, of others, of nulls.

    `categories` come from the reference (`Tally.top`) and stay fixed, so that windows compare and add up. `other`
    counts every value that is not among them. Where the reference's own `other` is 0, those are exactly the
    categories that the reference has never seen; else its rare ones are among them.
    """

    categories: tuple[str, ...]
    counts: tuple[int, ...]
    other: int = 0
    nulls: int = 0

    @classmethod
    def of(cls, values: Tally | Arrow, categories: Sequence[str]) -> CategorySummary:
        """Summarize a column on the reference's categories."""
        tally = values if isinstance(values, Tally) else Tally.of(values)
        places = pc.index_in(tally.values, value_set=pa.array(categories, pa.large_string()))
        slots = np.asarray(places.fill_null(len(categories)), dtype=np.int64)
        counts = np.zeros(len(categories) + 1, dtype=np.int64)
        np.add.at(counts, slots, tally.counts)
        *known, other = counts.tolist()
        return cls(tuple(categories), tuple(known), other, tally.nulls)

    def merge(self, other: CategorySummary) -> CategorySummary:
        """Give the summary of both columns together, exactly. Raises ValueError if the categories are not the same."""
        if self.categories != other.categories:
            msg = "summaries on different categories do not add up; make both with the reference's categories"
            raise ValueError(msg)
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return CategorySummary(self.categories, counts, self.other + other.other, self.nulls + other.nulls)

    @property
    def rows(self) -> int:
        """All rows, nulls included."""
        return sum(self.counts) + self.other + self.nulls

    @property
    def cells(self) -> Counts:
        """The counts that `psi` compares: the categories, then other or unseen, then null."""
        return np.array([*self.counts, self.other, self.nulls], dtype=np.int64)
