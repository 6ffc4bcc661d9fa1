"""Putting what an offline store gave back in the order of what was asked: rows lost, repeated, collapsed, confused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Indexes = npt.NDArray[np.int64]

ROW_ID = "skew_row_id"
EVENT_TIMESTAMP = "event_timestamp"


class Alignment:
    """Where each asked row stands in what came back.

    A row that did not come back, though one of the same key and time did, was collapsed with that one and has its
    values. The others that did not are `lost`.
    """

    def __init__(self, retrieved: pa.Table, asked: pd.DataFrame, keys: Sequence[str]) -> None:
        self._retrieved = retrieved
        identifiers = retrieved[ROW_ID].combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)
        self._positions = np.full(len(asked), -1, dtype=np.int64)
        self._positions[identifiers[::-1]] = np.arange(len(identifiers) - 1, -1, -1)
        self.repeated = len(identifiers) - int((self._positions >= 0).sum())
        self.collapsed = self._take_twins(asked[[*keys, EVENT_TIMESTAMP]])
        self.lost: Indexes = np.flatnonzero(self._positions < 0)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Give columns in the order of the asked rows; a lost row has nulls."""
        return self._retrieved.select(list(names)).take(pa.array(self._positions, mask=self._positions < 0))

    def filled(self, found: pa.Table, again: pa.Table) -> pa.Table:
        """Give `found` with the lost rows' values from `again`, which has a row for each of them."""
        places = np.arange(found.num_rows)
        places[self.lost] = found.num_rows + np.arange(len(self.lost))
        for name in again.column_names:
            both = pa.chunked_array([*found[name].chunks, *again[name].cast(found[name].type).chunks])
            found = found.set_column(found.schema.get_field_index(name), name, both.take(pa.array(places)))
        return found

    def _take_twins(self, asked: pd.DataFrame) -> int:
        missing = self._positions < 0
        if not missing.any() or missing.all():
            return 0
        group = asked.groupby(list(asked.columns), dropna=False, sort=False).ngroup()
        known = pd.Series(self._positions[~missing], index=group[~missing]).groupby(level=0).first()
        twins = group[missing].map(known).fillna(-1).astype(np.int64).to_numpy()
        self._positions[missing] = twins
        return int((twins >= 0).sum())


def waves(entities: pd.DataFrame, keys: Sequence[Sequence[str]]) -> list[Indexes]:
    """Part rows whose composite keys, written without a separator, would be taken for one another.

    ("11", "1") and ("1", "11") at one time must not be in one retrieval of a store that joins them so. All rows in one
    wave, where there are none such.
    """
    wave = np.zeros(len(entities), dtype=np.int64)
    for names in keys:
        if len(names) > 1:
            wave = np.maximum(wave, _nth_of_its_text(entities, names))
    return [np.flatnonzero(wave == number) for number in range(int(wave.max(initial=0)) + 1)]


def _nth_of_its_text(entities: pd.DataFrame, names: Sequence[str]) -> Indexes:
    """Give each row the number of its key among the different keys that make its joined text at its time."""
    text = entities[names[0]].astype(str)
    for name in names[1:]:
        text = text + entities[name].astype(str)
    frame = entities.assign(skew_text=text)[["skew_text", EVENT_TIMESTAMP, *names]]
    different = frame.drop_duplicates()
    numbers = different.groupby(["skew_text", EVENT_TIMESTAMP], sort=False).cumcount()
    if not numbers.any():
        return np.zeros(len(entities), dtype=np.int64)
    merged = frame.merge(different.assign(skew_wave=numbers), how="left", on=list(frame.columns))
    return merged["skew_wave"].to_numpy(dtype=np.int64)


def chunk_column(column: Any) -> pa.Array:
    """Give a chunked column as one array, without a copy where it is in one piece."""
    if isinstance(column, pa.ChunkedArray) and column.num_chunks == 1:
        return column.chunk(0)
    combined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
