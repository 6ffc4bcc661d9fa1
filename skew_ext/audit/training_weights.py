"""The weights of a training set's rows: drift is then from what the model learned, not from what stood in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from skew_ext.errors import AuditError, nearest
from skew_ext.statistics import as_arrow, effective_rows, weighed

if TYPE_CHECKING:
    import pandas as pd

    from skew_ext.statistics.arrays import Floats


def with_weights(
    columns: Mapping[str, Any], training_set: pd.DataFrame | pa.Table | None, weights: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Give the columns as their rows weigh, and a note of how many rows that is worth; as they are without weights.

    Raises
    ------
    AuditError
        Weights without a training set; no such column, with the nearest; a weight that is no finite number of 0 or
        more, or none over 0.
    """
    if weights is None:
        return dict(columns), []
    if training_set is None:
        raise AuditError(f"weights are named ({weights!r}) and no training set is given: give both or neither")
    known = _known(training_set, weights)
    note = (
        f"the training set's rows are weighted by {weights!r}: {len(known):,} rows tell as much of drift as "
        f"{effective_rows(known):,} of equal weight"
    )
    return {name: weighed(column, known) for name, column in columns.items()}, [note]


def _known(training_set: pd.DataFrame | pa.Table, weights: str) -> Floats:
    names = training_set.column_names if isinstance(training_set, pa.Table) else [str(c) for c in training_set.columns]
    if weights not in names:
        raise AuditError(f"the training set has no column {weights!r}, the weights{nearest(weights, names)}")
    column = training_set[weights] if isinstance(training_set, pa.Table) else as_arrow(training_set[weights])
    numbers = pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)
    if not numbers:
        raise AuditError(f"the weights {weights!r} are of type {column.type}: give numbers of 0 or more")
    found: Floats = np.asarray(column.cast(pa.float64()), dtype=np.float64)
    wrong = ~(np.isfinite(found) & (found >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        given = column[row].as_py()
        raise AuditError(
            f"{int(wrong.sum()):,} of the weights {weights!r} are no finite numbers of 0 or more (row {row}: "
            f"{'null' if given is None else given}): leave those rows out, or give them 0"
        )
    if not found.any():
        raise AuditError(f"all weights {weights!r} are 0: nothing was trained on")
    return found
