"""A feature's values as a summary on fixed bins or categories, for JSON and for adding up."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from skew_ext.statistics import CategorySummary, NumericSummary, Tally, Thresholds, psi, psi_p_value, quantile_edges
from skew_ext.statistics.arrays import NumericColumn, kind_of

if TYPE_CHECKING:
    import pyarrow as pa

    Arrow: TypeAlias = pa.Array | pa.ChunkedArray

Spread = NumericSummary | CategorySummary
ENOUGH_VALUES = 100
"""So many values at least are needed to fix bins that later windows are counted on."""


@dataclass(frozen=True)
class Scale:
    """What values are counted on: the inner edges of bins, or the commonest categories."""

    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] | None = None

    @cached_property
    def mark(self) -> str:
        """A short hash, by which counts tell which scale they were made on."""
        return hashlib.sha256(json.dumps(self.to_json()).encode()).hexdigest()[:8]

    @classmethod
    def of(cls, reference: Arrow, like: Arrow, thresholds: Thresholds) -> Scale | None:
        """Give the scale that a reference asks for; None for what has no distribution to tell, and for identifiers."""
        kind = kind_of(reference, like)
        if kind == "other" or len(reference) - reference.null_count < ENOUGH_VALUES:
            return None
        if kind == "numeric":
            edges = quantile_edges(reference, thresholds.bins)
            return cls(edges=edges) if edges else None
        tally = Tally.of(reference)
        if tally.distinct_share >= thresholds.identifier_share:
            return None
        return cls(categories=tally.top(thresholds.top_categories))

    def count(self, column: Arrow) -> Spread | None:
        """Summarize a column on this scale; None for one of another kind."""
        kind = kind_of(column, column)
        if (kind == "numeric") != (self.categories is None) or kind == "other":
            return None
        if self.categories is None:
            return NumericSummary.of(NumericColumn.of(column), self.edges)
        return CategorySummary.of(column, self.categories)

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        if self.categories is None:
            return {"edges": [edge.hex() for edge in self.edges]}
        return {"categories": list(self.categories)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Scale:
        """Give it back."""
        if "categories" in content:
            return cls(categories=tuple(content["categories"]))
        return cls(edges=tuple(float.fromhex(edge) for edge in content["edges"]))


def spread_to_json(spread: Spread) -> list[Any]:
    """Give the counts of a summary, behind the mark of its scale: that is kept once, elsewhere."""
    if isinstance(spread, CategorySummary):
        return [Scale(categories=spread.categories).mark, *spread.counts, spread.other, spread.nulls]
    moments = (spread.nulls, spread.nans, spread.finite, spread.mean.hex(), spread.m2.hex())
    return [Scale(edges=spread.edges).mark, *spread.counts, *moments]


def spread_from_json(content: list[Any], scale: Scale) -> Spread | None:
    """Give a summary back; None where it was made on another scale than the present one."""
    mark, *numbers = content
    if mark != scale.mark:
        return None
    if scale.categories is not None:
        *counts, other, nulls = numbers
        return CategorySummary(scale.categories, tuple(counts), other, nulls)
    *counts, nulls, nans, finite, mean, m2 = numbers
    return NumericSummary(scale.edges, tuple(counts), nulls, nans, finite, float.fromhex(mean), float.fromhex(m2))


def merged(one: Spread | None, other: Spread | None) -> Spread | None:
    """Give both together; the later one alone where they are on different scales."""
    if one is None or other is None:
        return other if one is None else one
    try:
        return one.merge(other)  # type: ignore[arg-type] # of two kinds they have no attributes in common
    except (ValueError, AttributeError):
        return other


def divergence(reference: Spread | None, served: Spread | None, enough: int) -> tuple[float, float] | None:
    """Give the PSI of what was served against a reference and its p-value; None where either has too few values."""
    if reference is None or served is None or type(reference) is not type(served):
        return None
    before, after = reference.cells, served.cells
    if len(before) != len(after) or min(before.sum(), after.sum()) < enough:
        return None
    value = psi(before, after)
    return None if value is None else (value, psi_p_value(value, before, after))
