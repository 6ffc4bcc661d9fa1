"""The containers that a batch comes in: pandas DataFrame, pyarrow Table, mapping of columns."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

import pyarrow as pa

from skew_ext.errors import TransformError
from skew_ext.transform.types import Column, ColumnType
from skew_ext.transform.writing import to_arrow, to_numpy, to_pandas

Batch = TypeVar("Batch")


class ArrowColumns(Mapping[str, Any]):
    """The columns of an Arrow table, as Feast's python mode takes them: what is not asked for is not converted."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        # Of two columns of one name the later counts, as in the dict that Feast makes of a table.
        self._places = {name: place for place, name in enumerate(table.column_names)}

    def __getitem__(self, name: str) -> Any:
        return self._table.column(self._places[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _is_frame(batch: object) -> bool:
    # Whoever hands over a DataFrame has pandas loaded; nobody else needs it.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(batch, pandas.DataFrame)


def column_names(batch: Any) -> Iterable[str]:
    """Give the names of a batch's columns; TransformError if it is no batch."""
    if isinstance(batch, Mapping):
        return batch.keys()
    if isinstance(batch, pa.Table):
        return cast("Iterable[str]", batch.column_names)
    if _is_frame(batch):
        return cast("Iterable[str]", batch.columns)
    kind = type(batch).__name__
    raise TransformError(f"a batch is a pandas DataFrame, a pyarrow Table or a mapping of columns, not {kind}")


def column(batch: Any, name: str) -> Any:
    """Give one column of a batch as it stands there; KeyError if it has none, TransformError if it is no batch."""
    if not isinstance(batch, (Mapping, pa.Table)) and not _is_frame(batch):
        column_names(batch)
    return batch[name]


def like(batch: Batch, columns: Mapping[str, Column], kinds: Mapping[str, ColumnType]) -> Batch:
    """Give `columns` in a container of the kind that `batch` is."""
    made: Any
    if isinstance(batch, Mapping):
        made = {name: to_numpy(values, kinds[name]) for name, values in columns.items()}
    elif isinstance(batch, pa.Table):
        made = pa.table({name: to_arrow(values, kinds[name]) for name, values in columns.items()})
    else:
        frame: Any = batch
        made = frame[[]].assign(
            **{name: to_pandas(values, kinds[name], frame.index) for name, values in columns.items()}
        )
    return cast("Batch", made)
