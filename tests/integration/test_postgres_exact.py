"""The PostgreSQL log gives back what was served, bit for bit, for every Feast value type and whatever the names."""

from __future__ import annotations

import json
import struct
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Map, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skew_ext.errors import RefusedError
from skew_ext.log.decode import Entry, decode
from skew_ext.log.postgres import PostgresDestination
from skew_ext.log.postgres_migrations import upgrade
from skew_ext.log.query import LogQuery
from skew_ext.schema import Column, LoggedFeature, LogSchema
from skew_ext.serving.record import Record
from tests.servers import PostgresServer

NOON = 1_772_366_400_000_000
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text() | st.sampled_from(["", "\0", "a\0b", "\\", "\\N", '"', "\U0010ffff", "\ufffd"])
NANS = st.sampled_from([0x7FF8000000000001, 0xFFF8DEADBEEF0000]).map(lambda bits: struct.unpack("<d", _u64(bits))[0])
ELEMENTS: dict[str, st.SearchStrategy[Any]] = {
    "INT32": st.integers(-(2**31), 2**31 - 1),
    "INT64": INT64,
    "DOUBLE": st.floats() | NANS,
    "FLOAT": st.floats(width=32),
    "BOOL": st.booleans(),
    "STRING": TEXT,
    "BYTES": st.binary(),
    "UNIX_TIMESTAMP": st.integers(-(2**40), 2**40) | INT64,
    "DECIMAL": st.decimals().map(str),
    "UUID": st.uuids().map(str),
    "JSON": TEXT,
}
VALUE_TYPES = [
    kind + shape
    for kind in ELEMENTS
    for shape in ("", "_LIST", "_SET")
    if hasattr(Value(), f"{kind}{shape}_val".lower())
]
BATCHES = count()


def _u64(bits: int) -> bytes:
    return struct.pack("<Q", bits)


def value(kind: str, content: Any) -> Value:
    made = Value()
    if content is None:
        return made
    field = f"{kind}_val".lower()
    if isinstance(content, list):
        getattr(made, field).SetInParent()
        getattr(made, field).val.extend(content)
    else:
        setattr(made, field, content)
    return made


def schema_of(features: dict[str, str], service: str = "scoring", key: str = "driver") -> LogSchema:
    logged = [LoggedFeature("v", name, name, kind, None, on_demand=False) for name, kind in features.items()]
    return LogSchema("rides", service, tuple(logged), (Column(key, "INT64"),), ())


def served(schema: LogSchema, rows: list[dict[str, Value]], at: int = NOON, request_id: str = "r") -> pa.Table:
    """Make one lookup's rows as the shipper does: from Feast's response message."""
    response = GetOnlineFeaturesResponse()
    key = schema.join_keys[0].name
    for name in (key, *(feature.name for feature in schema.features)):
        response.metadata.feature_names.val.append(name)
        vector = response.results.add()
        for number, row in enumerate(rows):
            vector.values.add().CopyFrom(Value(int64_val=number) if name == key else row[name])
            vector.event_timestamps.add().seconds = NOON // 1_000_000 - number
    record = Record(
        served_at=at,
        schema=schema.hash.encode(),
        request_id=request_id.encode(),
        constants=json.dumps(["m", "v1", "production", ""]).encode(),
        request=b"",
        response=response.SerializeToString(),
    )
    return decode([Entry("writer", next(BATCHES), len(rows), record)], schema)


@pytest.fixture
def log(postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresDestination:
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    upgrade("LOG_DSN")
    return PostgresDestination("LOG_DSN")


def assert_same(read: pa.Table, stored: pa.Table) -> None:
    """Compare two tables by their bits: types, nulls, and what each buffer holds, in the order served."""
    read = read.sort_by([("__seq", "ascending"), ("__row", "ascending")])
    assert read.schema.equals(stored.schema, check_metadata=True)
    for name in stored.column_names:
        assert bits(read[name]) == bits(stored[name]), name


def bits(column: pa.ChunkedArray) -> list[Any]:
    array = pa.concat_arrays(column.chunks) if column.num_chunks else column.combine_chunks()
    if pa.types.is_list(array.type):
        flat = iter(bits(pa.chunked_array([array.flatten()])))
        lengths = array.value_lengths().to_pylist()
        return [None if length is None else [next(flat) for _ in range(length)] for length in lengths]
    whole = {pa.float64(): pa.int64(), pa.float32(): pa.int32()}.get(array.type)
    if whole is not None:
        return list(array.view(whole).to_pylist())
    return list((array.cast(pa.int64()) if pa.types.is_timestamp(array.type) else array).to_pylist())


def test_every_value_type_comes_back_bit_for_bit(log: PostgresDestination) -> None:
    schema = schema_of({kind.lower(): kind for kind in VALUE_TYPES})
    one = st.fixed_dictionaries({kind.lower(): _values(kind) for kind in VALUE_TYPES})

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(one, min_size=1, max_size=4))
    def exact(rows: list[dict[str, Value]]) -> None:
        request_id = f"request {next(BATCHES)}"
        table = served(schema, rows, request_id=request_id)
        log.write(table, schema, request_id)
        assert_same(log.read(LogQuery("scoring", request_id=request_id)), table)

    exact()


def _values(kind: str) -> st.SearchStrategy[Value]:
    base, _, shape = kind.rpartition("_")
    content = st.lists(ELEMENTS[base], max_size=4) if shape in ("LIST", "SET") else ELEMENTS[kind]
    return (st.none() | content).map(lambda one: value(kind, one))


def test_lists_with_nulls_in_them_come_back(log: PostgresDestination) -> None:
    schema = schema_of({"lists": "DOUBLE_LIST", "texts": "STRING_LIST", "flags": "BOOL_LIST", "times": "BYTES_LIST"})
    table = served(schema, [{name: Value() for name in ("lists", "texts", "flags", "times")}] * 6)
    contents = {
        "v__lists": [[1.0, None, -0.0], [None], [], None, [float("nan")], [None, None]],
        "v__texts": [["a\0", None], [None], [], None, ["", "\0"], ["b"]],
        "v__flags": [[True, None], [None], [], None, [False], [None, True]],
        "v__times": [[b"\0", None], [None], [], None, [b""], [b"x"]],
    }
    for name, content in contents.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(name), pa.array(content, table.schema.field(name).type))
    log.write(table, schema, "b")
    assert_same(log.read(LogQuery()), table)


def test_maps_and_text_of_many_lengths_come_back(log: PostgresDestination) -> None:
    schema = schema_of({"map": "MAP", "text": "STRING"})
    inner = Map(val={"a": Value(double_val=-0.0)})
    rows = [{"map": Value(map_val=inner), "text": Value(string_val="é" * length)} for length in range(300)]
    table = served(schema, rows)
    log.write(table, schema, "b")
    read = log.read(LogQuery())
    assert_same(read, table)
    assert Value.FromString(read["v__map"][0].as_py()).map_val == inner


def test_an_embedding_of_a_thousand_numbers_comes_back(log: PostgresDestination) -> None:
    schema = schema_of({"embedding": "FLOAT_LIST"})
    numbers = [index / 3 for index in range(1000)]
    table = served(schema, [{"embedding": value("FLOAT_LIST", numbers[:length])} for length in (1000, 0, 1, 999)])
    log.write(table, schema, "b")
    assert_same(log.read(LogQuery()), table)


HOSTILE = [
    '"; DROP TABLE x; --',
    "'); DELETE FROM skew.batches; --",
    "%s %(a)s {} %%",
    "a\nb\tc\\",
    "nul\0inside",
    "nul\\0inside",
    "x" * 200,
    "é" * 60,
    "x" * 199 + "y",
    "UPPER",
    "upper",
    "select",
]


def test_hostile_names_are_only_names(log: PostgresDestination) -> None:
    schema = schema_of(dict.fromkeys(HOSTILE, "INT64"), service=HOSTILE[0], key="xmin")
    rows = [{name: Value(int64_val=number) for number, name in enumerate(HOSTILE)}]
    table = served(schema, rows)
    log.write(table, schema, HOSTILE[0].replace("\0", ""))
    assert_same(log.read(LogQuery(HOSTILE[0])), table)
    for service in HOSTILE[1:]:
        other = schema_of({"f": "INT64"}, service=service, key="ctid")
        stored = served(other, [{"f": Value(int64_val=7)}])
        log.write(stored, other, f"batch {HOSTILE.index(service)}")
        assert_same(log.read(LogQuery(service)), stored)
    assert log.read(LogQuery()).num_rows == len(HOSTILE)


def test_a_request_id_with_a_nul_is_found(log: PostgresDestination) -> None:
    schema = schema_of({"f": "INT64"})
    for request_id in ("a\0b", "a\ufffdb"):
        log.write(served(schema, [{"f": Value(int64_val=1)}], request_id=request_id), schema, repr(request_id))
    assert log.read(LogQuery(request_id="a\0b"))["__request_id"].to_pylist() == ["a\0b"]
    assert log.read(LogQuery(request_id="a\ufffdb"))["__request_id"].to_pylist() == ["a\ufffdb"]


@pytest.mark.parametrize("features", [395, 600])
def test_more_features_than_a_row_holds_is_an_error_that_says_so(log: PostgresDestination, features: int) -> None:
    schema = schema_of({f"f{number}": "INT64" for number in range(features)})
    table = served(schema, [{f"f{number}": Value(int64_val=1) for number in range(features)}])
    with pytest.raises(RefusedError, match="has room for some 390 features; split the feature service"):
        log.write(table, schema, "b")


def test_as_many_features_as_a_row_holds_come_back(log: PostgresDestination) -> None:
    schema = schema_of({f"f{number}": "INT64" for number in range(390)})
    table = served(schema, [{f"f{number}": Value(int64_val=number) for number in range(390)}] * 3)
    log.write(table, schema, "b")
    assert_same(log.read(LogQuery()), table)
