"""Embeddings (lists of floats of one dimension) as small summaries which add up, and how far two of them are apart."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import special

from skew_ext.statistics.arrays import Floats
from skew_ext.statistics.columns import Column, decoded, parts
from skew_ext.statistics.stored import from_stored, stored

ONE_DIMENSION = 0.99
"""Lists of floats are embeddings where at least this share of the reference's have one dimension."""
_AT_ONCE = 1 << 14
"""Vectors that are worked on at once."""


@dataclass(frozen=True, eq=False)
class EmbeddingSummary:
    """What is kept of a column of embeddings: the moments of each dimension and of the norm, and what does not fit.

    Of `vectors` (of the agreed `dimension`, all their elements finite) there are `mean` and `m2`, the sum of squared
    deviations, for each dimension, and the same of their Euclidean norms. `wrong` counts the lists of another
    dimension, `broken` those with an element that is null, NaN or infinite, `nulls` the rows without a list.
    """

    dimension: int
    mean: Floats
    m2: Floats
    vectors: int = 0
    norm_mean: float = 0.0
    norm_m2: float = 0.0
    wrong: int = 0
    broken: int = 0
    nulls: int = 0

    @classmethod
    def empty(cls, dimension: int) -> EmbeddingSummary:
        """Give the summary of nothing."""
        return cls(dimension, np.zeros(dimension), np.zeros(dimension))

    @classmethod
    def of(cls, column: Column, dimension: int) -> EmbeddingSummary:
        """Summarize a column of lists of floats, of the reference's dimension."""
        summary = cls.empty(dimension)
        for part in parts(column):
            for start in range(0, len(part), _AT_ONCE):
                summary = summary.merge(_of_part(decoded(part.slice(start, _AT_ONCE)), dimension))
        return summary

    @classmethod
    def reference(cls, column: Column) -> EmbeddingSummary | None:
        """Summarize a reference; None where its lists are not of one dimension."""
        dimension = dimension_of(column)
        return None if dimension is None else cls.of(column, dimension)

    def like(self, column: Column) -> EmbeddingSummary:
        """Summarize a window on this reference's dimension."""
        return EmbeddingSummary.of(column, self.dimension)

    def merge(self, other: EmbeddingSummary) -> EmbeddingSummary:
        """Give the summary of both columns together, moments to rounding (Chan, Golub & LeVeque, 1979).

        Raises ValueError if the dimensions are not the same.
        """
        if self.dimension != other.dimension:
            msg = "summaries of different dimensions do not add up; make both with the reference's dimension"
            raise ValueError(msg)
        n, m = self.vectors, other.vectors
        mean, m2 = _chan(n, self.mean, self.m2, m, other.mean, other.m2)
        norm_mean, norm_m2 = _chan(n, self.norm_mean, self.norm_m2, m, other.norm_mean, other.norm_m2)
        absent = (self.wrong + other.wrong, self.broken + other.broken, self.nulls + other.nulls)
        return EmbeddingSummary(self.dimension, mean, m2, n + m, norm_mean, norm_m2, *absent)

    @property
    def rows(self) -> int:
        """All rows, nulls included."""
        return self.vectors + self.wrong + self.broken + self.nulls

    @property
    def lists(self) -> int:
        """Rows with a list, whatever is in it."""
        return self.rows - self.nulls

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it; every double comes back as it was."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        vectors = {name: [stored(value) for value in plain[name].tolist()] for name in ("mean", "m2")}
        norms = {name: stored(plain[name]) for name in ("norm_mean", "norm_m2")}
        return {"kind": "embedding", **plain, **vectors, **norms}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> EmbeddingSummary:
        """Give back what `to_dict` gave."""
        kept = {name: value for name, value in content.items() if name != "kind"}
        for name in ("mean", "m2"):
            kept[name] = np.array([from_stored(value) for value in kept[name]], dtype=np.float64)
        return cls(**kept | {name: from_stored(kept[name]) for name in ("norm_mean", "norm_m2")})


def dimension_of(column: Column) -> int | None:
    """Give the dimension that nearly all lists have; None where they have not one, or there is none."""
    lengths: Counter[int] = Counter()
    for part in parts(column):
        counted = pc.value_counts(pc.list_value_length(decoded(part).drop_null()))
        lengths.update(dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True)))
    (dimension, count), *_ = lengths.most_common(1) or [(0, 0)]
    return dimension if dimension > 0 and count >= ONE_DIMENSION * lengths.total() else None


def _of_part(part: pa.Array, dimension: int) -> EmbeddingSummary:
    lists = part.drop_null()
    fitting = lists.filter(pc.equal(pc.list_value_length(lists), dimension))
    vectors = _matrix(fitting, dimension)
    whole = np.isfinite(vectors).all(axis=1)
    summary = _of_vectors(vectors if whole.all() else vectors[whole], dimension)
    broken = int(np.count_nonzero(~whole))
    return replace(summary, wrong=len(lists) - len(fitting), broken=broken, nulls=part.null_count)


def _matrix(lists: pa.Array, dimension: int) -> npt.NDArray[np.float64]:
    elements = lists.flatten().to_numpy(zero_copy_only=False)  # null elements come as NaN
    return np.asarray(elements, dtype=np.float64).reshape(-1, dimension)


def _of_vectors(vectors: npt.NDArray[np.float64], dimension: int) -> EmbeddingSummary:
    if not len(vectors):
        return EmbeddingSummary.empty(dimension)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, norms = vectors.mean(axis=0), np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        m2 = ((vectors - mean) ** 2).sum(axis=0)
        norm_mean = float(norms.mean())
        norm_m2 = float(((norms - norm_mean) ** 2).sum())
    return EmbeddingSummary(dimension, mean, m2, len(vectors), norm_mean, norm_m2)


def _chan(n: int, mean_a: Any, m2_a: Any, m: int, mean_b: Any, m2_b: Any) -> tuple[Any, Any]:  # noqa: PLR0913 - two triples
    if n == 0 or m == 0:
        return (mean_b, m2_b) if n == 0 else (mean_a, m2_a)
    with np.errstate(over="ignore", invalid="ignore"):
        delta = mean_b - mean_a
        return mean_a + delta * (m / (n + m)), m2_a + m2_b + delta * delta * (n * (m / (n + m)))


def cosine_distance(reference: EmbeddingSummary, served: EmbeddingSummary) -> float | None:
    """Give 1 minus the cosine of the centroids: 0 to 2. None where either side has no vector or no direction."""
    lengths = [float(np.linalg.norm(one.mean)) for one in (reference, served)]
    if min(reference.vectors, served.vectors) == 0 or not all(0.0 < length < math.inf for length in lengths):
        return None
    cosine = float((reference.mean / lengths[0]) @ (served.mean / lengths[1]))
    return 1.0 - min(max(cosine, -1.0), 1.0)


def norm_ratio(reference: EmbeddingSummary, served: EmbeddingSummary) -> float | None:
    """Give the mean norm of what was served over the reference's; None where that is 0, or a side has no vector."""
    if min(reference.vectors, served.vectors) == 0 or not 0.0 < reference.norm_mean < math.inf:
        return None
    return served.norm_mean / reference.norm_mean


def centroid_shift(reference: EmbeddingSummary, served: EmbeddingSummary) -> tuple[float, float]:
    """Give how far the centroid moved: in the reference's spread, and as a chi-square statistic of one degree.

    The statistic is the squared distance of the centroids over the sum of their variances. Where nothing changed it is
    a weighted sum of squared normals, the weights unknown (dimensions hang together) and 1 in all; beyond 1.54 its
    tail is at most that of a single squared normal: Szekely & Bakirov, "Extremal Probabilities for Gaussian Quadratic
    Forms" (2003). So the p-value made of it is an upper bound, whatever the dimensions' correlation.
    """
    if min(reference.vectors, served.vectors) < 2:  # noqa: PLR2004 - a variance needs two
        return 0.0, 0.0
    moved = float(((served.mean - reference.mean) ** 2).sum())
    spread, other = (float(one.m2.sum()) / (one.vectors - 1) for one in (reference, served))
    expected = spread / reference.vectors + other / served.vectors
    if moved == 0.0:
        return 0.0, 0.0
    return (
        math.sqrt(moved / spread) if spread > 0.0 else math.inf,
        moved / expected if expected > 0.0 else math.inf,
    )


def norm_z(reference: EmbeddingSummary, served: EmbeddingSummary) -> float:
    """Give the z of the difference of mean norms (Welch); 0 below two vectors on either side."""
    if min(reference.vectors, served.vectors) < 2:  # noqa: PLR2004 - a variance needs two
        return 0.0
    variances = [one.norm_m2 / (one.vectors - 1) / one.vectors for one in (reference, served)]
    difference, error = served.norm_mean - reference.norm_mean, math.sqrt(sum(variances))
    if difference == 0.0:
        return 0.0
    return difference / error if error > 0.0 else math.copysign(math.inf, difference)


def projections(column: Column, reference: EmbeddingSummary, served: EmbeddingSummary) -> Floats:
    """Give each row's place along the line from one centroid to the other; NaN where it has no whole vector."""
    direction = served.mean - reference.mean
    found = []
    for part in parts(column):
        placed = np.full(len(part), np.nan)
        values = decoded(part)
        fitting = pc.fill_null(pc.equal(pc.list_value_length(values), reference.dimension), fill_value=False)
        with np.errstate(invalid="ignore"):
            placed[np.asarray(fitting)] = _matrix(values.filter(fitting), reference.dimension) @ direction
        found.append(placed)
    return np.concatenate(found) if found else np.empty(0)


def norm_error(ratio: float | None) -> float:
    """Give how far a ratio of norms is from 1, alike for twice and for half: 0.1 for 1.1 and for 1 / 1.1."""
    if ratio is None:
        return 0.0
    return math.inf if ratio == 0.0 else float(special.expm1(abs(math.log(ratio))))
