"""Records of the spool to rows of the log: one Arrow table per schema."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesRequest

from skew_ext.log.messages import decode_messages
from skew_ext.log.table import MICROSECONDS, SYSTEM_FIELDS, Entry, system_columns, table_schema
from skew_ext.log.values import UnexpectedValueError, arrow_type, to_arrow
from skew_ext.log.wire import IrregularError, Wire, cells_of, head_of, microseconds
from skew_ext.log.wire_values import to_array
from skew_ext.schema import STATUS_SUFFIX, TIMESTAMP_SUFFIX, LoggedFeature, LogSchema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from skew_ext.log.octets import Integers
    from skew_ext.log.wire import Cells

__all__ = ["MICROSECONDS", "SYSTEM_FIELDS", "Entry", "decode", "table_schema"]


def decode(entries: Sequence[Entry], schema: LogSchema) -> pa.Table:
    """Decode records of one schema into rows of the log, in the order given.

    Raises
    ------
    UnexpectedValueError
        A record does not fit its schema; the caller finds out which one by halving the batch.
    """
    try:
        return decode_wire(entries, schema)
    except UnexpectedValueError:
        raise
    except Exception:  # noqa: BLE001 - whatever does not fit here, the slower way takes it or says what is wrong with it
        return decode_messages(entries, schema)


def decode_wire(entries: Sequence[Entry], schema: LogSchema) -> pa.Table:
    """Decode as `decode_messages` does, from the bytes; `IrregularError` where they are not as usual."""
    wire = Wire.of([entry.record.response for entry in entries])
    lengths = np.array([len(entry.record.response) for entry in entries], dtype=np.int64)
    ends = np.cumsum(lengths)
    tables, order = [], []
    for alike in _alike(entries):
        chosen = np.array(alike.places)
        starts = ends[chosen] - lengths[chosen] + alike.head
        cells = cells_of(wire, starts, ends[chosen], alike.names, alike.rows)
        tables.append(_table(wire, cells, [entries[place] for place in alike.places], schema))
        order.append(np.repeat(chosen, alike.rows))
    if len(tables) == 1:
        return tables[0]
    # A stable sort: rows of one record keep their order.
    return pa.concat_tables(tables).take(pa.array(np.argsort(np.concatenate(order), kind="stable")))


@dataclass(frozen=True)
class _Alike:
    """Records with the same names and number of rows: the length of their metadata, and their places in the batch."""

    names: list[str]
    head: int
    rows: int
    places: list[int]


def _alike(entries: Sequence[Entry]) -> list[_Alike]:
    heads: dict[bytes, list[str]] = {}
    places: dict[tuple[bytes, int], list[int]] = defaultdict(list)
    last = b"-"
    for place, entry in enumerate(entries):
        response = entry.record.response
        if not response.startswith(last):
            last, names = head_of(response)
            heads.setdefault(last, names)
        places[last, entry.rows].append(place)
    if any(rows == 0 for _, rows in places) or not places:
        msg = "lookups without rows"
        raise IrregularError(msg)
    return [_Alike(heads[head], len(head), rows, found) for (head, rows), found in places.items()]


def _table(wire: Wire, cells: dict[str, Cells], entries: Sequence[Entry], schema: LogSchema) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for key in schema.join_keys:
        if key.name not in cells:
            msg = f"the response has no {key.name!r}, which its schema names"
            raise UnexpectedValueError(msg)
        columns[key.name] = to_array(wire, cells[key.name], key.value_type)
    columns.update(_request_columns(entries, schema))
    rows = sum(entry.rows for entry in entries)
    served = np.repeat(
        np.array([entry.record.served_at for entry in entries], dtype=np.int64), [entry.rows for entry in entries]
    )
    for feature in schema.features:
        found = cells.get(feature.response_name)
        columns.update(_left_out(feature, rows) if found is None else _feature_columns(wire, found, feature, served))
    columns.update(system_columns(entries, schema))
    return pa.table(columns, schema=table_schema(schema))


def _request_columns(entries: Sequence[Entry], schema: LogSchema) -> dict[str, pa.Array]:
    if not schema.request_data:
        return {}
    try:
        requests = [GetOnlineFeaturesRequest.FromString(entry.record.request) for entry in entries]
    except Exception as error:  # protobuf's DecodeError has no public base class in all of its backends
        raise UnexpectedValueError(str(error)) from error
    found = {}
    for field in schema.request_data:
        values = [value for request in requests for value in request.request_context[field.name].val]
        found[field.name] = to_arrow(values, field.value_type)
    return found


def _feature_columns(wire: Wire, cells: Cells, feature: LoggedFeature, served: Integers) -> dict[str, pa.Array]:
    if cells.events is None:
        msg = f"{feature.response_name!r} has no event times"
        raise IrregularError(msg)
    values = to_array(wire, cells, feature.value_type)
    events = microseconds(wire, *cells.events)
    unset = events == 0
    nulls = values.is_null().to_numpy(zero_copy_only=False)
    return {
        feature.column: values,
        feature.column + TIMESTAMP_SUFFIX: pa.array(events, mask=unset).cast(MICROSECONDS),
        feature.column + STATUS_SUFFIX: pa.array(_statuses(nulls, events, served, feature.ttl_microseconds)),
    }


def _statuses(nulls: NDArray[np.bool_], events: Integers, served: Integers, ttl: int | None) -> NDArray[np.int32]:
    """Derive statuses as `table.status` does."""
    unset = events == 0
    found = np.full(len(events), FieldStatus.PRESENT, dtype=np.int32)
    if ttl is not None:
        found[~unset & (events < served - ttl)] = FieldStatus.OUTSIDE_MAX_AGE
    found[nulls] = FieldStatus.NULL_VALUE
    found[nulls & unset] = FieldStatus.NOT_FOUND
    return found


def _left_out(feature: LoggedFeature, rows: int) -> dict[str, pa.Array]:
    # Feast leaves python-mode outputs out of a response with full feature names.
    return {
        feature.column: pa.nulls(rows, type=arrow_type(feature.value_type)),
        feature.column + TIMESTAMP_SUFFIX: pa.nulls(rows, type=MICROSECONDS),
        feature.column + STATUS_SUFFIX: pa.repeat(pa.scalar(int(FieldStatus.INVALID), pa.int32()), rows),
    }
