"""Values of lookups and labels made comparable: of one type on both sides, and numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from skew_ext.errors import TrainingSetError

if TYPE_CHECKING:
    from skew_ext.training.joining import Integers


def like(values: pa.Array, wanted: pa.DataType, name: str) -> pa.Array:
    """Give a column of the labels in the type of the log's column.

    Raises
    ------
    TrainingSetError
        It cannot be: the column would match nothing.
    """
    if values.type.equals(wanted):
        return values
    try:
        # Numbers and texts are not made of one another: "007" and 7 are two keys.
        if pa.types.is_string(values.type) != pa.types.is_string(wanted) and values.null_count < len(values):
            raise pa.ArrowInvalid("text against numbers")  # noqa: TRY301 - said as every other failing cast is
        return values.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        msg = f"column {name!r} of the labels is {values.type}, and {wanted} in the log: convert it"
        raise TrainingSetError(msg) from None


def ranks(values: pa.Array) -> Integers:
    """Give each value a number, so that equal values have equal numbers; null is -1."""
    indices = values.dictionary_encode().indices if not pa.types.is_nested(values.type) else _nested(values)
    return np.asarray(indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _nested(values: pa.Array) -> pa.Array:
    texts = [None if value is None else repr(value) for value in values.to_pylist()]
    return pa.array(texts, pa.string()).dictionary_encode().indices
