"""Imputation and scaling with fitted parameters, which are data: `scaling.json`, beside this module.

They are fitted once, on training rows, by a training job, with `fit` and `Parameters(...).save(...)`; serving reads
them. The hash stands here, so that an edited file stops the import instead of changing a feature, and a new fit shows
in the review of the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext import feature_transform
from skew_ext.transform import Parameters

FITTED = Parameters.load(
    Path(__file__).with_name("scaling.json"), sha256="f95b5544774c32cc1d1c90511c80c1fcf90e7acd4b3c9fdb20170f16bf043dcd"
)

Floats = npt.NDArray[np.float64]


def fit(values: Floats) -> dict[str, float]:
    """Give a column's median, and the mean and standard deviation of its values with nulls imputed; NaN is null.

    A column without spread has scale 1.0, so that it scales to zero and not to NaN.

    Examples
    --------
    >>> fit(np.array([1.0, 3.0, np.nan, 5.0]))
    {'median': 3.0, 'mean': 3.0, 'scale': 1.4142135623730951}
    >>> fit(np.array([2.0, 2.0]))["scale"]
    1.0
    """
    median = float(np.nanmedian(values))
    imputed = np.where(np.isnan(values), median, values)
    return {"median": median, "mean": float(imputed.mean()), "scale": float(imputed.std()) or 1.0}


def _scaled(values: Floats, fitted: Mapping[str, float]) -> Floats:
    imputed = np.where(np.isnan(values), fitted["median"], values)
    return np.asarray((imputed - fitted["mean"]) / fitted["scale"])


@feature_transform(
    inputs={"age": "Float64", "income": "Float64"},
    outputs={"age_scaled": "Float64", "income_scaled": "Float64", "income_missing": "Bool"},
    version="1",
    parameters=FITTED,
)
def scaled_customer(age: Floats, income: Floats, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Give age and income in standard deviations from their means, nulls imputed by the fitted medians.

    Whether the income was missing is a feature of its own: an imputed value hides it.

    Examples
    --------
    >>> scaled_customer.on_row({"age": 53.0, "income": 62000.0})
    {'age_scaled': 1.0, 'income_scaled': 1.0, 'income_missing': False}
    >>> scaled_customer.on_row({"age": None, "income": None})
    {'age_scaled': -0.125, 'income_scaled': -0.25, 'income_missing': True}
    """
    return {
        "age_scaled": _scaled(age, parameters["age"]),
        "income_scaled": _scaled(income, parameters["income"]),
        "income_missing": np.isnan(income),
    }
