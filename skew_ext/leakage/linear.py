"""A linear model over all columns, on held-out rows: what no column gives away alone, several may together."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext.leakage.columns import Column
from skew_ext.leakage.discrimination import Floats, Integers
from skew_ext.leakage.scoring import FOLDS

MOST_CATEGORIES = 20
_CLIP = 10.0
"""Standard deviations beyond which a value counts as that far: one outlier must not be the whole model."""


@dataclass(frozen=True)
class Told:
    """A model's scores of held-out rows, and the columns that weigh most in it."""

    scores: Floats
    heaviest: tuple[str, ...]


def installed() -> bool:
    """Say whether scikit-learn is there."""
    return importlib.util.find_spec("sklearn") is not None


def tell(columns: Sequence[Column], values: npt.NDArray[Any], folds: Integers, *, classes: bool) -> Told:
    """Fit a ridge-penalised linear model (logistic for classes) on all folds but one, and score that one; for each.

    Parameters
    ----------
    columns
        What the model may take. A null counts as the mean, beside a mark of its own; of a text, the commonest values
        are marks.
    values
        What it is to tell: True or False, or numbers.
    folds
        The fold of each row.
    classes
        Whether `values` are classes.
    """
    from sklearn.linear_model import LogisticRegression, Ridge  # noqa: PLC0415 - an extra
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with scikit-learn

    blocks = [_matrix(column) for column in columns]
    matrix = np.column_stack(blocks)
    owners = np.repeat(np.arange(len(columns)), [block.shape[1] for block in blocks])
    scores, weights = np.zeros(len(values)), np.zeros(matrix.shape[1])
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged to the last digit does not matter here
        for fold in range(FOLDS):
            held = folds == fold
            if not held.any() or len(np.unique(values[~held])) < 2:  # noqa: PLR2004 - one class cannot be learnt
                continue
            model: Any = LogisticRegression(max_iter=200) if classes else Ridge()
            model.fit(matrix[~held], values[~held])
            scores[held] = model.decision_function(matrix[held]) if classes else model.predict(matrix[held])
            weights += np.abs(np.ravel(model.coef_))
    heavy = np.bincount(owners, weights=weights, minlength=len(columns))
    order = np.argsort(-heavy, kind="stable")[:3]
    return Told(scores, tuple(columns[index].name for index in order))


def _matrix(column: Column) -> Floats:
    if column.numbers is None:
        common = np.argsort(-np.bincount(column.codes), kind="stable")[:MOST_CATEGORIES]
        return np.asarray(column.codes[:, None] == common[None, :], dtype=np.float64)
    null = np.isnan(column.numbers)
    finite = np.where(np.isfinite(column.numbers), column.numbers, np.nan)
    mean, spread = (np.nanmean(finite), np.nanstd(finite)) if np.isfinite(finite).any() else (0.0, 0.0)
    scaled = np.where(np.isnan(finite), np.sign(np.where(null, 0.0, column.numbers)) * _CLIP, finite - mean)
    scaled = np.where(np.isnan(finite), scaled, scaled / (spread or 1.0))
    values = [np.clip(scaled, -_CLIP, _CLIP)]
    return np.asarray(np.column_stack([*values, null.astype(np.float64)] if column.nulls else values), np.float64)
