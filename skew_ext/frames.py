"""Columns of frames that users hand in (pandas or Arrow): as Arrow arrays of one type, or one clear line why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from skew_ext.errors import TrainingSetError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

MICROSECONDS = pa.timestamp("us", tz="UTC")
Frame: TypeAlias = "pd.DataFrame | pa.Table"


def column_names(frame: Any, what: str) -> list[str]:
    """Give a frame's column names; TrainingSetError if a name is there twice, or if it is no frame."""
    if not isinstance(frame, (pd.DataFrame, pa.Table)):
        msg = f"{what} must be a pandas DataFrame or a pyarrow Table, not a {type(frame).__name__}"
        raise TrainingSetError(msg)
    names = [str(name) for name in (frame.columns if isinstance(frame, pd.DataFrame) else frame.column_names)]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        msg = f"{what} has the column {twice!r} more than once: rename one, so that it is clear which is meant"
        raise TrainingSetError(msg)
    return names


def column(frame: Frame, name: str, what: str) -> pa.Array:
    """Give one column as an array in one piece.

    A null of pandas (None, NaN, NaT, NA) is null; in an Arrow table NaN is a value, as it is there. A categorical is
    what its categories are.

    Raises
    ------
    TrainingSetError
        There is no such column (the nearest is suggested), or its values are of several types.
    """
    names = column_names(frame, what)
    if name not in names:
        msg = f"{what} has no column {name!r}{nearest(name, names)}; it has: {listed(names)}"
        raise TrainingSetError(msg)
    if not isinstance(frame, pd.DataFrame):
        return in_one_piece(frame[name])
    series = frame.iloc[:, names.index(name)]
    try:
        return in_one_piece(pa.Array.from_pandas(series))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        kinds = sorted({type(value).__name__ for value in series.dropna()})
        msg = f"column {name!r} of {what} holds values of several types ({', '.join(kinds)}): make it one type"
        raise TrainingSetError(msg) from None


def in_one_piece(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Give an array without chunks, dictionaries decoded and large or viewed types as the plain ones."""
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_large_string(values.type) or values.type == pa.string_view():
        return values.cast(pa.string())
    return values.cast(pa.binary()) if pa.types.is_large_binary(values.type) else values


def times(values: pa.Array, name: str, what: str) -> pa.Array:
    """Give a column of times in UTC with microseconds: timestamps (naive is UTC), dates, or ISO 8601 texts.

    Raises
    ------
    TrainingSetError
        It holds no times.
    """
    kind = values.type
    if pa.types.is_timestamp(kind):
        return values.cast(pa.timestamp("us", kind.tz), safe=False).cast(MICROSECONDS)
    if pa.types.is_date(kind):
        return values.cast(pa.timestamp("us")).cast(MICROSECONDS)
    if values.null_count == len(values):  # of whatever type: an empty frame of pandas has made it up
        return pa.nulls(len(values), MICROSECONDS)
    if pa.types.is_string(kind):
        try:
            read = pd.to_datetime(pd.Series(values.to_pylist(), dtype=object), utc=True, format="ISO8601")
            return in_one_piece(pa.Array.from_pandas(read.astype("datetime64[us, UTC]")))
        except (ValueError, OverflowError):
            example = next(text for text in values.to_pylist() if text is not None)
            msg = f"column {name!r} of {what} holds no times, such as {example[:40]!r}: write them in ISO 8601"
            raise TrainingSetError(msg) from None
    msg = f"column {name!r} of {what} holds no times but {kind}: make it timestamps, such as by pandas.to_datetime"
    raise TrainingSetError(msg)


def without_nan(values: pa.Array) -> pa.Array:
    """Give an array with null for NaN."""
    if not pa.types.is_floating(values.type):
        return values
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)


def listed(names: Sequence[str], most: int = 12) -> str:
    """Give names for a message, the first of them where they are many."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "none"
