"""Categorical columns as small summaries on agreed categories, which add up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.statistics.arrays import Counts
from skew_ext.statistics.columns import Column, parts

MOST_RARE = 10_000
"""So many of the reference's rarer categories are kept by name, to tell what it never had from what it seldom had."""
_PENDING = 1_000_000
"""Distinct values of parts are merged when there are so many."""


@dataclass(frozen=True, eq=False)
class Tally:
    """The distinct non-null values of a column, as text, with how often each is there."""

    values: Any
    counts: Counts
    nulls: int

    @classmethod
    def of(cls, column: Column) -> Tally:
        """Count a string or boolean column; booleans become "true" and "false"."""
        found: list[Tally] = []
        nulls = 0
        for given in parts(column):
            hidden = pa.types.is_dictionary(given.type) and given.dictionary.null_count  # a code that stands for null
            part = given.dictionary_decode() if hidden else given
            nulls += part.null_count
            found.append(_tally(part))
            if sum(len(one.counts) for one in found) > _PENDING:
                found = [_merged(found)]
        values, counts = (found[0].values, found[0].counts) if len(found) == 1 else _merged_parts(found)
        return cls(values, counts, nulls)

    def merge(self, other: Tally) -> Tally:
        """Give the tally of both columns together."""
        return _merged([self, other])

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


def _tally(part: pa.Array) -> Tally:
    """Count one array: a dictionary's codes rather than its values."""
    if not pa.types.is_dictionary(part.type):
        counted = pc.value_counts(part.drop_null().cast(pa.large_string()))
        return Tally(counted.field("values"), np.asarray(counted.field("counts"), dtype=np.int64), 0)
    codes = part.indices.drop_null().to_numpy(zero_copy_only=False)
    counts = np.bincount(codes, minlength=len(part.dictionary)).astype(np.int64)
    used = (counts > 0) & part.dictionary.is_valid().to_numpy(zero_copy_only=False)
    return Tally(part.dictionary.filter(pa.array(used)).cast(pa.large_string()), counts[used], 0)


def _merged(tallies: Sequence[Tally]) -> Tally:
    return Tally(*_merged_parts(tallies), nulls=sum(one.nulls for one in tallies))


def _merged_parts(tallies: Sequence[Tally]) -> tuple[Any, Counts]:
    chunks = [chunk for one in tallies for chunk in _chunks(one.values)]
    counts = [one.counts for one in tallies]
    table = pa.table(
        {
            "value": pa.chunked_array(chunks, pa.large_string()),
            "count": np.concatenate(counts) if counts else np.empty(0, dtype=np.int64),
        }
    )
    added = table.group_by("value").aggregate([("count", "sum")])
    return added["value"], np.asarray(added["count_sum"], dtype=np.int64)


def _chunks(values: Any) -> Iterable[pa.Array]:
    return values.chunks if isinstance(values, pa.ChunkedArray) else [values]


@dataclass(frozen=True)
class CategorySummary:
    """What is kept of a categorical column: counts of the reference's commonest categories, and of all else.

    `categories` come from the reference (`Tally.top`) and stay fixed, so that windows compare and add up. `unseen`
    counts the values that the reference never had, where it knows its rarer categories by name (`rare`), and is None
    where it does not; `other` counts all further values: rare ones, or both.
    """

    categories: tuple[str, ...]
    counts: tuple[int, ...]
    other: int = 0
    nulls: int = 0
    unseen: int | None = None
    rare: tuple[str, ...] | None = None
    """Kept in the reference's summary alone; None where there are too many to keep."""

    @classmethod
    def of(
        cls, values: Tally | Column, categories: Sequence[str], rare: Sequence[str] | None = None
    ) -> CategorySummary:
        """Summarize a column on the reference's categories."""
        tally = values if isinstance(values, Tally) else Tally.of(values)
        known = [*categories, *(rare or ())]
        slots = slots_of(tally.values, known)
        counts = np.zeros(len(known) + 1, dtype=np.int64)
        np.add.at(counts, slots, tally.counts)
        others = int(counts[len(categories) : -1].sum())
        known_counts, beyond = tuple(counts[: len(categories)].tolist()), int(counts[-1])
        if rare is None:
            return cls(tuple(categories), known_counts, beyond, tally.nulls)
        return cls(tuple(categories), known_counts, others, tally.nulls, beyond)

    @classmethod
    def reference(cls, values: Tally | Column, most: int = 50) -> CategorySummary:
        """Summarize a reference, whose categories later windows are counted on."""
        tally = values if isinstance(values, Tally) else Tally.of(values)
        top = tally.top(most)
        rare = rare_of(tally, top)
        return replace(cls.of(tally, top, rare), rare=rare)

    def like(self, values: Tally | Column) -> CategorySummary:
        """Summarize a window on this reference's categories."""
        return CategorySummary.of(values, self.categories, self.rare)

    def merge(self, other: CategorySummary) -> CategorySummary:
        """Give the summary of both columns together, exactly. Raises ValueError if the categories are not the same."""
        if self.categories != other.categories:
            msg = "summaries on different categories do not add up; make both with the reference's categories"
            raise ValueError(msg)
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        rare = self.rare if other.rare is None else other.rare
        told = [one.unseen for one in (self, other) if one.unseen is not None]
        together = (self.other + other.other, self.nulls + other.nulls, sum(told) if told else None)
        return CategorySummary(self.categories, counts, *together, rare=rare)

    @property
    def rows(self) -> int:
        """All rows, nulls included."""
        return sum(self.counts) + self.other + (self.unseen or 0) + self.nulls

    @property
    def cells(self) -> Counts:
        """The counts that `psi` compares: the categories, then other, then null, then unseen where it is told."""
        unseen = [] if self.unseen is None else [self.unseen]
        return np.array([*self.counts, self.other, self.nulls, *unseen], dtype=np.int64)

    @property
    def present(self) -> int:
        """Rows that have a value."""
        return self.rows - self.nulls

    @property
    def constant(self) -> bool:
        """Whether all values that are there are known to be one and the same."""
        return self.present > 0 and max(self.counts, default=0) == self.present

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        kept = {"categories": list(self.categories), "counts": list(self.counts)}
        rare = {} if self.rare is None else {"rare": list(self.rare)}
        return {"kind": "categorical", **kept, "other": self.other, "nulls": self.nulls, "unseen": self.unseen, **rare}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> CategorySummary:
        """Give back what `to_dict` gave."""
        rare = content.get("rare")
        return cls(
            tuple(content["categories"]),
            tuple(content["counts"]),
            content["other"],
            content["nulls"],
            content["unseen"],
            None if rare is None else tuple(rare),
        )


def rare_of(tally: Tally, top: Sequence[str]) -> tuple[str, ...] | None:
    """Give the values that are not among the commonest; None where there are too many to keep."""
    if len(tally.counts) - len(top) > MOST_RARE:
        return None
    found = slots_of(tally.values, top) == len(top)
    return tuple(sorted(tally.values.filter(pa.array(found)).to_pylist()))


def slots_of(values: Any, known: Sequence[str]) -> npt.NDArray[np.int64]:
    """Give each text value's place in `known`, and its length where it has none."""
    places = pc.index_in(values, value_set=pa.array(known, pa.large_string()))
    return np.asarray(places.fill_null(len(known)), dtype=np.int64)
