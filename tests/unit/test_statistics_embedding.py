"""Embeddings: what turned, what was stretched, what is of another dimension, and what is but noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from skew_ext.statistics import EmbeddingSummary, Thresholds, cosine_distance, distribution_row, norm_ratio

RNG = np.random.default_rng(12)
MEAN = np.array([1.0, 0.5, 0.0, -0.5, 0.2, 0.3, 0.0, 0.1])
Vectors = npt.NDArray[np.float64]


def vectors(count: int = 600, mean: Any = MEAN, scale: float = 1.0) -> Vectors:
    """Draw embeddings about a centroid."""
    drawn: Vectors = scale * RNG.normal(mean, 0.7, (count, len(mean)))
    return drawn


def column(rows: Any, arrow_type: Any = None) -> pa.Array:
    return pa.array([None if row is None else list(row) for row in rows], arrow_type or pa.list_(pa.float32()))


def test_cosine_and_norm_are_those_of_the_centroids() -> None:
    a, b = vectors(), vectors(500, -MEAN[::-1], 1.3)
    before = EmbeddingSummary.reference(column(a, pa.list_(pa.float64())))
    assert before is not None
    after = before.like(column(b, pa.list_(pa.float64())))
    p, q = a.mean(axis=0), b.mean(axis=0)
    expected = 1 - p @ q / np.linalg.norm(p) / np.linalg.norm(q)
    assert cosine_distance(before, after) == pytest.approx(expected, abs=1e-12)
    norms = [np.linalg.norm(one, axis=1).mean() for one in (a, b)]
    assert norm_ratio(before, after) == pytest.approx(norms[1] / norms[0], abs=1e-12)


@pytest.mark.parametrize(
    "arrow_type",
    [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 8)],
    ids=str,
)
def test_every_list_of_floats_is_an_embedding(arrow_type: Any) -> None:
    row = distribution_row("f", column(vectors(), arrow_type), column(vectors(), arrow_type))
    assert (row.kind, row.verdict, row.wrong_dimension) == ("embedding", "pass", 0.0)
    assert row.psi is None


@pytest.mark.parametrize(
    ("served", "verdict"),
    [
        (vectors(mean=MEAN + 0.2 * (np.arange(8) == 2)), "pass"),
        (vectors(mean=np.roll(MEAN, 1)), "act"),
        (vectors(scale=1.15), "watch"),
        (vectors(scale=0.5), "act"),
        ([*vectors(599), [1.0] * 7], "act"),
        ([*vectors(599), []], "act"),
        ([*vectors(400), *[None] * 200], "act"),
        ([*vectors(400), *[[math.nan] * 8] * 200], "act"),
        ([[0.0] * 8] * 600, "act"),
    ],
    ids=["a little", "turned", "longer", "half", "one of another dimension", "one empty", "null", "NaN", "zeros"],
)
def test_verdicts(served: Any, verdict: str) -> None:
    row = distribution_row("f", column(vectors()), column(served))
    assert row.verdict == verdict
    assert all(value is None or not math.isnan(value) for value in (row.cosine, row.norm_ratio, row.wrong_dimension))


def test_centroids_that_are_but_noise_do_not_alarm() -> None:
    """Of embeddings without a common direction the centroids point anywhere: their cosine says nothing."""
    rows = [distribution_row("f", *(column(RNG.normal(size=(500, 32))) for _ in range(2))) for _ in range(100)]
    assert np.mean([row.cosine for row in rows]) > 0.15
    assert {row.verdict for row in rows} == {"pass"}


def test_dimensions_that_hang_together_do_not_alarm() -> None:
    """All dimensions follow one: the bound holds whatever their correlation."""
    told = 0
    for _ in range(200):
        a, b = (0.5 + RNG.normal(size=(150, 1)) * np.ones(16) + RNG.normal(0, 0.1, (150, 16)) for _ in range(2))
        told += distribution_row("f", column(a), column(b)).verdict != "pass"
    assert told <= 2


def test_lists_of_no_one_dimension_are_no_embeddings() -> None:
    ragged = column([[1.0] * (k % 5) for k in range(300)])
    row = distribution_row("f", ragged, ragged)
    assert (row.kind, row.cosine, row.verdict) == ("other", None, "pass")
    assert row.note == "lists of no one dimension: only their null rates are compared"


def test_the_threshold_is_the_callers() -> None:
    served = column(vectors(mean=np.roll(MEAN, 1)))
    assert distribution_row("f", column(vectors()), served, thresholds=Thresholds(embedding=1.9)).verdict == "pass"


def test_few_and_no_vectors() -> None:
    assert distribution_row("f", column(vectors()), column([[1.0] * 8])).verdict == "too_few"
    row = distribution_row("f", column(vectors()), column([None] * 200))
    assert (row.cosine, row.norm_ratio, row.wrong_dimension, row.verdict) == (None, None, None, "act")
