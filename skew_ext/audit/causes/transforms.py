"""Causes of differing on-demand outputs. Their baseline is the registered transform over the logged inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skew_ext.audit.causes.cells import nothing

if TYPE_CHECKING:
    from skew_ext.audit.causes.cells import DifferingCells, Mask


def transform_version(cells: DifferingCells) -> Mask:
    """The function that ran at serving is not the one that is now registered."""
    return nothing(cells) if cells.evidence is not None else cells.fingerprints_differ


def transform_divergence(cells: DifferingCells) -> Mask:
    """The same function does not give the served output from the logged inputs."""
    return nothing(cells) if cells.evidence is not None else np.ones(len(cells), dtype=bool)
