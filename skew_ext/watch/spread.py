"""A feature's values as a summary on fixed bins or categories, for JSON and for adding up."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from skew_ext.statistics import CategorySummary, NumericSummary, Tally, Thresholds, psi, psi_p_value, quantile_edges
from skew_ext.statistics.arrays import NumericColumn, kind_of
from skew_ext.statistics.identifiers import integer_identifier, text_identifier
from skew_ext.statistics.stored import from_stored, stored

if TYPE_CHECKING:
    Arrow: TypeAlias = pa.Array | pa.ChunkedArray

Spread = NumericSummary | CategorySummary
_KEPT_ONCE = ("kind", "edges", "categories")
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
    def of(cls, feature: str, reference: Arrow, like: Arrow, thresholds: Thresholds) -> Scale | None:
        """Give the scale that a reference asks for; None for what has no distribution to tell, and for identifiers.

        What an identifier is, the audit's distributions say.
        """
        kind, limits = kind_of(reference, like), (thresholds.identifier_share, ENOUGH_VALUES)
        if kind == "other" or len(reference) - reference.null_count < ENOUGH_VALUES:
            return None
        if kind != "numeric":
            identifier = text_identifier(reference, *limits)
            return None if identifier else cls(categories=Tally.of(reference).top(thresholds.top_categories))
        column = NumericColumn.of(reference)
        if pa.types.is_integer(reference.type) and integer_identifier(feature, column, *limits):
            return None
        edges = quantile_edges(column, thresholds.bins)
        return cls(edges=edges) if edges else None

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
            return {"edges": [stored(edge) for edge in self.edges]}
        return {"categories": list(self.categories)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Scale:
        """Give it back."""
        if "categories" in content:
            return cls(categories=tuple(content["categories"]))
        return cls(edges=tuple(from_stored(edge) for edge in content["edges"]))


def spread_to_json(spread: Spread) -> dict[str, Any]:
    """Give a summary as JSON can hold it, with the mark of its scale for its scale: that is kept once, elsewhere."""
    scale = Scale(categories=spread.categories) if isinstance(spread, CategorySummary) else Scale(edges=spread.edges)
    counted = spread.to_dict()
    return {"scale": scale.mark, **{name: value for name, value in counted.items() if name not in _KEPT_ONCE}}


def spread_from_json(content: dict[str, Any], scale: Scale) -> Spread | None:
    """Give a summary back; None where it was made on another scale than the present one."""
    if content["scale"] != scale.mark:
        return None
    if scale.categories is not None:
        return CategorySummary.from_dict({**content, "categories": scale.categories})
    return NumericSummary.from_dict({**content, "edges": scale.edges})


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
