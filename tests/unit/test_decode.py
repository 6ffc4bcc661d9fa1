"""Decoding from the bytes gives what decoding by way of messages gives, for every type, and refuses what it refuses."""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Map, Null, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skew_ext.log.decode import Entry, decode, decode_wire
from skew_ext.log.messages import decode_messages
from skew_ext.log.values import UnexpectedValueError
from skew_ext.log.wire import IrregularError
from skew_ext.schema import Column, LoggedFeature, LogSchema
from skew_ext.serving.record import Record

int32, int64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
near = st.sampled_from([sign * (1 << bits) + step for bits in range(63) for sign in (1, -1) for step in (-1, 0, 1)])
text = st.text(max_size=300)
ELEMENTS: dict[str, st.SearchStrategy[Any]] = {
    "INT32": int32,
    "INT64": int64 | near,
    "DOUBLE": st.floats(),
    "FLOAT": st.floats(width=32),
    "BOOL": st.booleans(),
    "STRING": text,
    "BYTES": st.binary(max_size=300),
    "UNIX_TIMESTAMP": int64 | st.integers(0, 2**33) | st.just(-(2**63)),
    "DECIMAL": st.decimals(allow_nan=False).map(str),
    "UUID": st.uuids().map(str),
    "TIME_UUID": st.uuids().map(str),
    "JSON": text,
}


def message(field: str, content: Any) -> Value:
    """Make a Value: a scalar, a list or set, or an explicit null."""
    if content is None:
        return Value(null_val=Null.NULL)
    if not isinstance(content, list):
        return Value(**{field: content})
    value = Value()
    getattr(value, field).SetInParent()
    getattr(value, field).val.extend(content)
    return value


def kinds() -> dict[str, st.SearchStrategy[Value]]:
    """Give, for each type of the log, a strategy of its values."""
    found: dict[str, st.SearchStrategy[Value]] = {}
    for name, elements in ELEMENTS.items():
        field = f"{name.lower()}_val"
        found[name] = (st.none() | elements).map(partial(message, field))
        for kind in ("LIST", "SET"):
            field = f"{name.lower()}_{kind.lower()}_val"
            if field in Value.DESCRIPTOR.fields_by_name:
                lists = st.none() | st.lists(elements, max_size=4)
                found[f"{name}_{kind}"] = lists.map(partial(message, field))
    found["MAP"] = st.dictionaries(st.text(max_size=3), st.floats(), max_size=1).map(
        lambda plain: Value(map_val=Map(val={key: Value(double_val=value) for key, value in plain.items()}))
    )
    return found


KINDS = kinds()
seconds = st.sampled_from([0, 1, 127, 128, 1_772_366_400, 2**33, 9_000_000_000_000]) | st.integers(0, 2**35)
times = st.tuples(seconds, st.sampled_from([0, 1, 999, 1000, 123_456_789]) | st.integers(0, 10**9 - 1))


def schema_of(value_type: str, ttl: int | None = None) -> LogSchema:
    feature = LoggedFeature("view", "x", "x", value_type, ttl, on_demand=False)
    return LogSchema("p", "s", (feature, LoggedFeature("view", "gone", "gone", "INT64", 1, on_demand=False)),
                     (Column("key", "STRING"),), ())  # fmt: skip


Rows = list[tuple[str, Value, tuple[int, int]]]


def response(rows: Rows, *, unasked: bool = False, statuses: bool = True) -> bytes:
    """Make the response to a lookup of one feature: each row's key, value and event time."""
    made = GetOnlineFeaturesResponse()
    names = ["x", "key", "unasked"] if unasked else ["key", "x"]
    made.metadata.feature_names.val.extend(names)
    for name in names:
        vector = made.results.add()
        for key, value, (event, nanos) in rows:
            vector.values.append(Value(string_val=key) if name == "key" else value)
            if statuses:
                vector.statuses.append(2)
            vector.event_timestamps.add(seconds=event, nanos=nanos)
    return bytes(made.SerializeToString())


def entry(number: int, rows: int, body: bytes, served_at: int = 1_772_366_400_000_000) -> Entry:
    return Entry("w", number, rows, Record(served_at, b"hash", b"request", b'["m","v","e",""]', b"", body))


def bits(value: Any) -> Any:
    """Give a value in which NaN equals itself and -0.0 is not 0.0."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    return [bits(one) for one in value] if isinstance(value, list) else value


def plain(table: pa.Table) -> dict[str, Any]:
    """Give a table as Python values; times as integers, for datetime does not know those beyond the year 9999."""
    found = {}
    for name in table.column_names:
        kind = table[name].type
        inner = kind.value_type if pa.types.is_list(kind) else kind
        if pa.types.is_timestamp(inner):
            column = table[name].cast(pa.list_(pa.int64()) if pa.types.is_list(kind) else pa.int64())
        else:
            column = table[name]
        found[name] = bits(column.to_pylist())
    return found


@pytest.mark.parametrize("value_type", KINDS)
def test_both_ways_give_the_same_rows(value_type: str) -> None:
    rows = st.lists(st.tuples(text, KINDS[value_type], times), min_size=1, max_size=4)
    lookups = st.lists(st.tuples(rows, st.booleans(), st.booleans()), min_size=1, max_size=5)

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(lookups, st.sampled_from([None, 1, 3_600_000_000]))
    def same(made: list[tuple[Rows, bool, bool]], ttl: int | None) -> None:
        entries = [
            entry(number, len(rows), response(rows, unasked=unasked, statuses=statuses))
            for number, (rows, unasked, statuses) in enumerate(made)
        ]
        schema = schema_of(value_type, ttl)
        expected, given_ = decode_messages(entries, schema), decode_wire(entries, schema)
        given_.validate(full=True)
        assert given_.schema == expected.schema
        assert plain(given_) == plain(expected)

    same()


@given(st.data())
def test_damaged_bytes_never_give_other_rows(data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(text, KINDS["DOUBLE"] | KINDS["STRING"], times), min_size=1, max_size=3))
    body = bytearray(response(rows))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    entries, schema = [entry(0, len(rows), bytes(body))], schema_of("DOUBLE")
    try:
        expected = plain(decode_messages(entries, schema))
    except UnexpectedValueError:
        # Damage to what the log does not hold, a key's event time say, may pass. Either way nothing else is raised.
        with suppress(UnexpectedValueError):
            decode(entries, schema)
    else:
        assert plain(decode(entries, schema)) == expected


@given(st.integers(-(2**63), -1) | st.integers(9_300_000_000_000, 2**63 - 1))
def test_a_time_that_is_out_of_range_is_left_to_messages(event: int) -> None:
    entries = [entry(0, 1, response([("k", Value(double_val=1), (event, 0))]))]
    with pytest.raises(IrregularError):
        decode_wire(entries, schema_of("DOUBLE"))


def test_a_value_of_another_kind_is_widened_or_refused_as_by_messages() -> None:
    whole = [entry(0, 1, response([("k", Value(int64_val=3), (1, 0))]))]
    assert decode(whole, schema_of("DOUBLE"))["view__x"].to_pylist() == [3.0]
    with pytest.raises(UnexpectedValueError, match="string_val was served where double_val is declared"):
        decode([entry(0, 1, response([("k", Value(string_val="3"), (1, 0))]))], schema_of("DOUBLE"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff not a message",
        response([("k", Value(double_val=1), (1, 0))] * 2),
        GetOnlineFeaturesResponse().SerializeToString(),
    ],
)
def test_a_response_that_does_not_fit_its_frame_is_refused(body: bytes) -> None:
    with pytest.raises(UnexpectedValueError):
        decode([entry(0, 1, body)], schema_of("DOUBLE"))


def test_a_lookup_without_rows_gives_none() -> None:
    body = response([])
    assert decode([entry(0, 0, body)], schema_of("DOUBLE")).num_rows == 0


def test_embeddings_and_wide_lookups_keep_their_order() -> None:
    rows = [(f"k{number}", message("float_list_val", [number + 0.5] * 384), (number, 0)) for number in range(200)]
    entries = [entry(0, 200, response(rows)), entry(1, 1, response(rows[:1])), entry(2, 200, response(rows))]
    schema = schema_of("FLOAT_LIST")
    found = decode_wire(entries, schema)
    assert found["key"].to_pylist() == [key for key, _, _ in (*rows, rows[0], *rows)]
    assert found["view__x"].to_pylist() == decode_messages(entries, schema)["view__x"].to_pylist()
    assert found["__seq"].to_pylist() == [0] * 200 + [1] + [2] * 200


def test_a_lone_surrogate_in_a_label_is_written_out_and_stops_nothing() -> None:
    whole = entry(0, 1, response([("k", Value(double_val=1.0), (0, 0))]))
    labels = Record(0, whole.record.schema, b"r", b'["", "v\\ud800", "", ""]', b"", whole.record.response)
    table = decode([Entry("w", 0, 1, labels)], schema_of("DOUBLE"))
    assert table["__model_version"].to_pylist() == ["v\\ud800"]
