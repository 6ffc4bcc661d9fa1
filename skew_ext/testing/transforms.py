"""The shared transform of the synthetic repo: pure as it is registered, and with a hidden input for who wants one."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from skew_ext.transform import feature_transform

HIDDEN = "SKEW_TESTING_HIDDEN"
"""The environment variable that makes the transform depend on more than its inputs."""
WEIGHT = 0.25

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@feature_transform(
    inputs={"amount": "Float64", "balance": "Float64", "asked": "Float64"},
    outputs={"exposure": "Float64", "heavy": "Bool"},
    version="1",
)
def exposure(amount: Floats, balance: Floats, asked: Floats) -> dict[str, Any]:
    """Give what is asked for against what there is."""
    hidden = float(os.environ.get(HIDDEN, "0"))
    share = WEIGHT * amount / (asked + 1.0) + np.sqrt(np.abs(balance)) + hidden * asked
    return {"exposure": share, "heavy": share > 20 + hidden}
