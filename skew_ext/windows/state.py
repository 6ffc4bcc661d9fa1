"""An aggregator's state in a file: the events that it keeps, as Arrow, under the fingerprint of its definition.

Totals are exact, so they need not be saved: the same events give the same totals.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from skew_ext.transform.types import ColumnType
from skew_ext.windows.aggregator import Aggregator, Kept
from skew_ext.windows.definition import Definition
from skew_ext.windows.errors import WindowError
from skew_ext.windows.reading import Event

_FINGERPRINT: Final = b"skew.windows.fingerprint"
_NOW: Final = b"skew.windows.now"
_TIME, _ARRIVED = "time", "arrived"


def save(aggregator: Aggregator, path: Path) -> None:
    """Write the state in whole: a reader never sees half of it, and an older state stays until it is replaced."""
    kept, now = aggregator.kept()
    table = _table(aggregator.definition, kept, now)
    part = path.with_name(f".{path.name}.part")
    with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with part.open("rb+") as written:
        os.fsync(written.fileno())
    part.replace(path)


def load(aggregator: Aggregator, path: Path) -> None:
    """Take a saved state into an aggregator of the same definition.

    Raises
    ------
    WindowError
        The file is not there, is no saved state, or is that of another definition.
    """
    try:
        with pa.OSFile(str(path), "rb") as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowException) as error:
        raise WindowError(f"{path} cannot be read as a saved state: {error}") from None
    metadata = table.schema.metadata or {}
    if metadata.get(_FINGERPRINT) != aggregator.definition.fingerprint.encode():
        raise WindowError(f"{path} is the state of another definition; replay the events into a new aggregator")
    aggregator.restore(_kept(aggregator.definition, table), int(metadata[_NOW]))


def _table(definition: Definition, kept: Iterable[Kept], now: int) -> pa.Table:
    events = list(kept)
    columns = {
        _TIME: pa.array([event.time for event, _ in events], pa.int64()),
        _ARRIVED: pa.array([arrived for _, arrived in events], pa.int64()),
    }
    for place, (name, kind) in enumerate(definition.key_types.items()):
        columns[f"key {name}"] = _array([event.key[place] for event, _ in events], kind)
    for place, (name, kind) in enumerate(definition.column_types.items()):
        columns[f"column {name}"] = _array([event.values[place] for event, _ in events], kind)
    return pa.table(columns).replace_schema_metadata({_FINGERPRINT: definition.fingerprint, _NOW: str(now)})


def _array(values: list[Any], kind: ColumnType) -> pa.Array:
    return pa.array(values, pa.int64() if kind.dtype.kind == "M" else kind.arrow)


def _kept(definition: Definition, table: pa.Table) -> Iterable[Kept]:
    columns = {name: table[name].to_pylist() for name in table.column_names}
    keys = [columns[f"key {name}"] for name in definition.key_types]
    values = [columns[f"column {name}"] for name in definition.column_types]
    for place, (time, arrived) in enumerate(zip(columns[_TIME], columns[_ARRIVED], strict=True)):
        yield Event(tuple(key[place] for key in keys), time, tuple(each[place] for each in values)), arrived
