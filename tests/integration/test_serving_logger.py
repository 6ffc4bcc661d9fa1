"""What Feast did not serve, on the path of lookups: logged as it was given, and no error reaches the caller."""

from __future__ import annotations

import enum
import logging
import math
import multiprocessing
import struct
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from skew_ext import ServingLogger, read_log, request_context
from skew_ext.errors import RepoError, SettingsError
from skew_ext.log.opaque import is_opaque, opened
from skew_ext.log.parquet import ParquetDestination
from skew_ext.log.postgres_migrations import upgrade
from skew_ext.log.query import LogQuery
from skew_ext.serving import logger as logger_module
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import log_stats
from tests.kit import HOUR, NOON, Repo, row
from tests.servers import PostgresServer

OFFSET = timezone(timedelta(hours=5, minutes=30))
NAIVE = NOON.replace(tzinfo=None)
EXACT: dict[str, tuple[Any, Any, str | None]] = {
    "int": (3, 3, "int64"),
    "int_max": (2**63 - 1, 2**63 - 1, "int64"),
    "int_min": (-(2**63), -(2**63), "int64"),
    "float": (0.1, 0.1, "double"),
    "nan": (math.nan, math.nan, "double"),
    "minus_zero": (-0.0, -0.0, "double"),
    "infinity": (-math.inf, -math.inf, "double"),
    "smallest": (5e-324, 5e-324, "double"),
    "bool": (True, True, "bool"),
    "text": ("Å\u0301\U0001f6eb\u202e\x00; DROP TABLE", "Å\u0301\U0001f6eb\u202e\x00; DROP TABLE", "string"),
    "empty_text": ("", "", "string"),
    "bytes": (b"\x00\xff", b"\x00\xff", "binary"),
    "bytearray": (bytearray(b"\x01"), b"\x01", "binary"),
    "np_bool": (np.array([False])[0], False, "bool"),
    "np_int8": (np.int8(-5), -5, "int32"),
    "np_int32": (np.int32(-(2**31)), -(2**31), "int32"),
    "np_uint32": (np.uint32(2**32 - 1), 2**32 - 1, "int64"),
    "np_uint64": (np.uint64(2**63 - 1), 2**63 - 1, "int64"),
    "np_float16": (np.float16(0.1), float(np.float16(0.1)), "float"),
    "np_float32": (np.float32(0.1), float(np.float32(0.1)), "float"),
    "np_float32_nan": (np.float32("nan"), math.nan, "float"),
    "np_float64": (np.float64(0.1), 0.1, "double"),
    "np_str": (np.str_("x"), "x", "string"),
    "zero_dimensional": (np.array(2.5, dtype=np.float32), 2.5, "float"),
    "enum": (enum.IntEnum("Level", {"HIGH": 3}).HIGH, 3, "int64"),  # type: ignore[attr-defined]
    "naive": (NAIVE + timedelta(microseconds=1), NOON + timedelta(microseconds=1), "timestamp[us, tz=UTC]"),
    "aware": (datetime(2026, 3, 1, 17, 30, tzinfo=OFFSET), NOON, "timestamp[us, tz=UTC]"),
    "timestamp": (pd.Timestamp("2026-03-01T12:00:00Z"), NOON, "timestamp[us, tz=UTC]"),
    "datetime64": (np.datetime64("2026-03-01T12:00:00", "ns"), NOON, "timestamp[us, tz=UTC]"),
    "before_1970": (
        datetime(1931, 1, 1, 0, 0, 0, 999_999, tzinfo=OFFSET) + timedelta(hours=5, minutes=30),
        datetime(1931, 1, 1, 0, 0, 0, 999_999, tzinfo=timezone.utc),
        "timestamp[us, tz=UTC]",
    ),
    "decimal": (Decimal("1.10"), "1.10", "string"),
    "uuid": (UUID(int=7), str(UUID(int=7)), "string"),
    "ints": ([1, 2**62], [1, 2**62], "list<item: int64>"),
    "floats": ((0.5, math.nan), [0.5, math.nan], "list<item: double>"),
    "numbers": ([1, 2.5], [1.0, 2.5], "list<item: double>"),
    "texts": (["a", ""], ["a", ""], "list<item: string>"),
    "times": ([NOON + timedelta(microseconds=7)], [NOON + timedelta(microseconds=7)], None),
    "embedding": (np.array([0.1, -0.0, np.nan], np.float32), [float(np.float32(0.1)), -0.0, math.nan], None),
    "doubles": (np.array([0.1]), [0.1], "list<item: double>"),
    "big_endian": (np.array([1, 2], dtype=">i4"), [1, 2], "list<item: int32>"),
    "flags": (np.array([True, False]), [True, False], "list<item: bool>"),
    "series": (pd.Series([1.5, 2.5]), [1.5, 2.5], "list<item: double>"),
    "empty": ([], [], None),
    "empty_array": (np.array([], np.float32), [], "list<item: float>"),
    "set": ({7}, [7], "list<item: int64>"),
}
"""Name: what is logged, what is read back, and the Arrow type it has then (None: told below)."""
OPAQUE: dict[str, tuple[Any, Any]] = {
    "with_null": ([1.5, None, math.nan], [1.5, None, math.nan]),
    "mixed": (["a", 1, b"b", True], ["a", 1, b"b", True]),
    "huge_and_fraction": ([2**53 + 1, 0.5], [2**53 + 1, 0.5]),
    "matrix": (np.array([[1, 2], [3, 4]], np.int64), [[1, 2], [3, 4]]),
    "mapping": ({"b": {"c": [None, "x"]}}, {"b": {"c": [None, "x"]}}),
}


class Unfriendly:
    """A value whose every method raises."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no array")

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __iter__(self) -> Any:
        raise RuntimeError("no values")


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)
INVALID: dict[str, Any] = {
    "too_large": 2**63,
    "too_large_unsigned": np.uint64(2**63),
    "surrogate": "half \ud800",
    "object": object(),
    "unfriendly": Unfriendly(),
    "nanosecond": pd.Timestamp("2026-03-01T12:00:00.000000001"),
    "nanosecond64": np.datetime64("2026-03-01T12:00:00.000000001"),
    "year_20000": np.datetime64("20000-01-01"),
    "endless": ENDLESS,
    "masked": np.ma.array([1.0, 2.0], mask=[True, False]),
    "record": np.zeros(1, dtype=[("a", "i4")])[0],
    "keys": {1: 2},
}


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo", skew={"start_shipper": False, "model_name": "eta", "model_version": "v1"})


def ship(repo: Repo) -> None:
    Shipper(repo.path / "data/skew/spool").drain()


def read_log_of(repo: Repo, service: str) -> pa.Table:
    ship(repo)
    return read_log(repo.path, service, request_id="r")


def logged(repo: Repo, service: str = "_inference") -> pa.Table:
    ship(repo)
    return read_log(repo.path, service)


def bits(value: Any) -> Any:
    """Tell NaN from null and -0.0 from 0.0, which == does not."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    return [bits(each) for each in value] if isinstance(value, list) else (type(value), value)


def statuses(table: pa.Table, names: Any) -> set[str]:
    return {FieldStatus.Name(table[f"inference__{name}__status"][0].as_py()) for name in names}


@pytest.fixture(params=["parquet", "postgres"])
def any_destination(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    settings: dict[str, Any] = {"start_shipper": False}
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_database")
        monkeypatch.setenv("LOG_DSN", server.dsn)
        upgrade("LOG_DSN", "skew")
        settings["destination"] = {"type": "postgres", "dsn_env": "LOG_DSN"}
    return Repo(tmp_path / "repo", skew=settings)


def test_what_is_logged_is_read_back_to_the_bit(any_destination: Repo) -> None:
    repo = any_destination
    log = ServingLogger(repo.path)
    log.log_inference("r", 7, {name: given for name, (given, _, _) in EXACT.items()})
    log.log_prediction("r", 1, np.array([0.25, 0.75], np.float32))
    log.log_label("r", "late", NOON)
    assert read_log_of(repo, "_prediction")["model__score"].to_pylist() == [[0.25, 0.75]]
    assert read_log_of(repo, "_label")["model__label__timestamp"].to_pylist() == [NOON]
    table = logged(repo)
    assert table.num_rows == 1
    for name, (_, expected, arrow_type) in EXACT.items():
        read = table[f"inference__{name}"]
        assert bits(read[0].as_py()) == bits(expected), name
        assert arrow_type is None or str(read.type).replace("element", "item") == arrow_type, name
    assert str(table["inference__embedding"].type.value_type) == "float"
    assert str(table["inference__times"].type.value_type) == "timestamp[us, tz=UTC]"
    assert statuses(table, EXACT) == {"PRESENT"}
    assert log.invalid_values == 0


def test_what_no_arrow_type_holds_is_kept_as_feasts_own_message(repo: Repo) -> None:
    ServingLogger(repo.path).log_inference("r", 7, {name: given for name, (given, _) in OPAQUE.items()})
    table = logged(repo)
    for name, (_, expected) in OPAQUE.items():
        column = f"inference__{name}"
        assert is_opaque(table.schema.field(column)), name
        read = opened(table[column][0].as_py())
        assert repr(read) == repr(expected), name


@pytest.mark.parametrize("nothing", [None, pd.NA, pd.NaT, np.datetime64("NaT")])
def test_nothing_is_null_and_nan_is_not(repo: Repo, nothing: Any) -> None:
    log = ServingLogger(repo.path)
    log.log_inference("before", 7, {"known": 1.5, "never": nothing})
    log.log_inference("r", 7, {"known": nothing, "never": nothing})
    log.log_inference("nan", 7, {"known": math.nan, "never": nothing})
    table = logged(repo)
    known = table["inference__known"].to_pylist()
    assert (known[:2], math.isnan(known[2])) == ([1.5, None], True)
    named = [FieldStatus.Name(status) for status in table["inference__known__status"].to_pylist()]
    assert named == ["PRESENT", "NULL_VALUE", "PRESENT"]
    assert table["inference__never"].null_count == 3
    assert len(set(table["__schema"].to_pylist())) == 1
    assert log.invalid_values == 0


@pytest.mark.parametrize("name", INVALID)
def test_a_value_that_cannot_be_held_is_null_counted_and_said_once(
    repo: Repo, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = ServingLogger(repo.path)
    with caplog.at_level(logging.WARNING, logger="skew_ext"):
        for _ in range(2):
            log.log_inference("r", 7, {"bad": INVALID[name], "good": 1})
    table = logged(repo)
    assert table["inference__good"].to_pylist() == [1, 1]
    assert table["inference__bad"].null_count == 2
    assert statuses(table, ["bad"]) == {"INVALID"}
    assert statuses(table, ["good"]) == {"PRESENT"}
    assert log.invalid_values == 2
    assert sum("inference__bad" in record.getMessage() for record in caplog.records) == 1


def test_a_request_id_ties_all_of_its_rows(repo: Repo) -> None:
    repo.write([row(1, NOON - HOUR, 4.5, 10, "Oslo")])
    repo.materialize(NOON)
    log = ServingLogger(repo.store)
    with request_context(request_id="r-1", served_at=NOON, model_version="v7", environment="canary"):
        repo.store.get_online_features(["stats:rating"], [{"driver": 1}])
        assert log.log_inference(None, {"driver": 1}, {"rating_scaled": 0.9}) == "r-1"
        assert log.log_prediction("r-1", 12.5, score=0.75) == "r-1"
    assert log.log_label("r-1", 14, NOON + HOUR) == "r-1"
    ship(repo)
    rows = {row["__feature_service"]: row for row in read_log(repo.path, request_id="r-1").to_pylist()}
    assert set(rows) == {"", "_inference", "_prediction", "_label"}
    assert rows[""]["stats__rating"] == 4.5
    assert (rows["_inference"]["driver"], rows["_inference"]["inference__rating_scaled"]) == (1, 0.9)
    assert (rows["_prediction"]["model__prediction"], rows["_prediction"]["model__score"]) == (12.5, 0.75)
    assert (rows["_label"]["model__label"], rows["_label"]["model__label__timestamp"]) == (14, NOON + HOUR)
    assert {rows[name]["__model_version"] for name in ("", "_inference", "_prediction")} == {"v7"}
    assert {rows[name]["__environment"] for name in ("", "_inference", "_prediction")} == {"canary"}
    assert (rows["_label"]["__model_version"], rows["_label"]["__model_name"]) == ("v1", "eta")
    assert {rows[name]["__log_timestamp"] for name in ("", "_inference", "_prediction")} == {NOON}
    assert len({row["__writer"] for row in rows.values()}) == 1


def test_the_loggers_own_labels_stand_over_the_settings(repo: Repo) -> None:
    log = ServingLogger(str(repo.path), model_version="v2", environment="shadow")
    log.log_prediction("a", 1)
    with request_context(environment="canary"):
        log.log_prediction("b", 1)
    rows = logged(repo, "_prediction").to_pylist()
    names = ("__model_name", "__model_version", "__environment")
    assert [[row[name] for name in names] for row in rows] == [["eta", "v2", "shadow"], ["eta", "v2", "canary"]]


def test_ids_are_made_where_none_is_given_and_kept_where_they_are_odd(repo: Repo) -> None:
    log = ServingLogger(repo.path)
    made = log.log_prediction(None, 1)
    assert UUID(made).version == 7
    for odd in (UUID(int=5), 17, "half \ud800", "\x00'; --"):
        log.log_prediction(odd, 1)  # type: ignore[arg-type]
    log.log_prediction(Unfriendly(), 1)  # type: ignore[arg-type]
    ids = logged(repo, "_prediction")["__request_id"].to_pylist()
    assert ids[:5] == [made, str(UUID(int=5)), "17", "half \\ud800", "\x00'; --"]
    assert UUID(ids[5]).version == 7


@pytest.mark.parametrize(
    ("observed_at", "expected"),
    [
        (NAIVE, NOON),
        (datetime(2026, 3, 1, 17, 30, 0, 9, tzinfo=OFFSET), NOON + timedelta(microseconds=9)),
        ("yesterday", None),
        (None, None),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), None),
    ],
)
def test_a_label_has_the_time_when_it_was_observed(repo: Repo, observed_at: Any, expected: datetime | None) -> None:
    log = ServingLogger(repo.path)
    log.log_label("r", "late", observed_at)
    (read,) = logged(repo, "_label").to_pylist()
    assert (read["model__label"], read["model__label__timestamp"]) == ("late", expected)
    assert log.invalid_values == (expected is None)


def test_numbers_of_two_types_share_a_feature_set_and_stay_exact(repo: Repo) -> None:
    log = ServingLogger(repo.path)
    values = [3, 2.5, 4, np.float32(0.1), 2**53 + 1, 7]
    for number, value in enumerate(values):
        log.log_inference(str(number), number, {"x": value})
    table = logged(repo)
    # The one integer that no double equals makes the column text: the others are still what they were.
    assert [float(each) for each in table["inference__x"].to_pylist()[:4]] == [3.0, 2.5, 4.0, float(np.float32(0.1))]
    assert table["inference__x"][4].as_py() == str(2**53 + 1)
    assert len(set(table["__schema"].to_pylist()[1:4])) == 1


def test_random_mixtures_of_types_make_few_feature_sets(repo: Repo) -> None:
    random = np.random.default_rng(5)
    log = ServingLogger(repo.path)
    for _ in range(200):
        chosen = random.integers(0, 3, size=12)
        log.log_inference("r", 1, {f"f{place}": (1, 1.5, None)[kind] for place, kind in enumerate(chosen)})
    table = logged(repo)
    assert table.num_rows == 200
    assert len(set(table["__schema"].to_pylist())) <= 25


def test_a_feature_that_was_text_and_became_a_number_leaves_the_log_readable(any_destination: Repo) -> None:
    repo = any_destination
    log = ServingLogger(repo.path)
    log.log_inference("a", "driver-7", {"x": "n/a", "y": 1})
    log.log_inference("b", 7, {"x": 3, "y": 2})
    log.log_inference("c", 7, {"x": [1.5, None], "y": 3})
    table = logged(repo)
    assert table["inference__x"].to_pylist() == ["n/a", "3", "[1.5, None]"]
    assert table["entity_id"].to_pylist() == ["driver-7", "7", "7"]
    assert table["inference__y"].to_pylist() == [1, 2, 3]


def test_names_are_data(repo: Repo) -> None:
    log = ServingLogger(repo.path)
    names = {'"; DROP TABLE x; --': 1, "a b": 2, 0: 3, "half \ud800": 4, "nul\x00": 5, "": 6, "ü": 7, "__x": 8}
    log.log_inference("r", {"a.b": 1, "ключ": "k"}, names)  # type: ignore[arg-type]
    (read,) = logged(repo).to_pylist()
    expected = ['"; DROP TABLE x; --', "a b", "0", "half \\ud800", "nul\\x00", "", "ü", "__x"]
    assert [read[f"inference__{name}"] for name in expected] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (read["a.b"], read["ключ"]) == (1, "k")


@pytest.mark.parametrize(
    ("entity_id", "features"),
    [
        (1, None),
        (1, [1, 2]),
        (1, {"a": 1, "a__status": 2}),
        (1, {0: 1, "0": 2}),
        (1, {Unfriendly(): 1}),
        ({"__request_id": 1}, {"a": 1}),
        ({"inference__a": 1}, {"a": 1}),
    ],
)
def test_a_row_that_has_no_place_is_dropped_and_counted(repo: Repo, entity_id: Any, features: Any) -> None:
    log = ServingLogger(repo.path)
    log.log_inference("bad", entity_id, features)
    log.log_inference("good", 1, {"a": 1})
    assert logged(repo)["__request_id"].to_pylist() == ["good"]
    counts = log_stats(repo.path / "data/skew/spool")
    assert (counts.accepted, counts.stored, counts.dropped, counts.unaccounted) == (2, 1, {"not_encodable": 1}, 0)


def test_names_that_never_repeat_are_bounded(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logger_module, "MOST_SCHEMAS", 5)
    log = ServingLogger(repo.path)
    for number in range(9):
        log.log_inference(str(number), 1, {f"name_{number}": 1})
    assert logged(repo).num_rows == 5
    assert len(list((repo.path / "data/skew/spool/schemas").iterdir())) == 5
    counts = log_stats(repo.path / "data/skew/spool")
    assert (counts.dropped, counts.unaccounted) == ({"not_encodable": 4}, 0)


def test_threads_lose_nothing_and_keep_their_own_context(repo: Repo) -> None:
    log = ServingLogger(repo.path)

    def work(thread: int) -> None:
        for number in range(50):
            with request_context(request_id=f"{thread}-{number}", model_version=str(thread)):
                log.log_inference(None, thread, {"number": number, "vector": np.full(8, number, np.float32)})
                log.log_prediction(None, number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    rows = logged(repo).to_pylist()
    expected = {(f"{thread}-{number}", str(thread), number) for thread in range(8) for number in range(50)}
    assert {(row["__request_id"], row["__model_version"], row["inference__number"]) for row in rows} == expected
    assert all(row["inference__vector"] == [float(row["inference__number"])] * 8 for row in rows)
    counts = log_stats(repo.path / "data/skew/spool")
    assert (counts.accepted, counts.stored, counts.dropped, counts.unaccounted) == (800, 800, {}, 0)


def _log_in_child(log: ServingLogger) -> None:
    for number in range(10):
        log.log_prediction(f"child-{number}", number)


def test_a_logger_goes_on_in_a_forked_child(repo: Repo) -> None:
    log = ServingLogger(repo.path)
    log.log_prediction("parent", 1)
    child = multiprocessing.get_context("fork").Process(target=_log_in_child, args=(log,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    log.log_prediction("parent", 2)
    rows = logged(repo, "_prediction")
    assert rows.num_rows == 12
    assert len(set(rows["__writer"].to_pylist())) == 2
    assert log_stats(repo.path / "data/skew/spool").unaccounted == 0


def test_a_spool_that_cannot_be_made_does_not_reach_the_caller(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", skew={"start_shipper": False, "spool": "blocked"})
    (repo.path / "blocked").write_text("a file stands where the spool should be")
    log = ServingLogger(repo.path)
    assert log.log_inference("r", 1, {"a": 1}) == "r"
    assert log.log_label("r", 1, NOON) == "r"


def test_sampling_keeps_an_entitys_inferences_whole(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", skew={"start_shipper": False, "sample_rate": 0.3})
    log = ServingLogger(repo.path)
    for driver in range(200):
        repo.store.get_online_features(["stats:rating"], [{"driver": driver}])
        log.log_inference(None, driver, {"x": 1.0})
    ship(repo)
    lookups, inferences = read_log(repo.path, ""), read_log(repo.path, "_inference")
    assert 30 < lookups.num_rows < 100
    assert inferences["entity_id"].to_pylist() == lookups["driver"].to_pylist()


def test_a_destination_of_its_own_needs_no_repo(tmp_path: Path) -> None:
    destination = {"type": "parquet", "path": str(tmp_path / "log")}
    log = ServingLogger(destination, spool=tmp_path / "spool", model_version="v1", start_shipper=False)
    log.log_inference("r", 7, {"x": 0.5})
    Shipper(tmp_path / "spool").drain()
    (read,) = ParquetDestination(tmp_path / "log").read(LogQuery(request_id="r")).to_pylist()
    assert (read["entity_id"], read["inference__x"], read["__model_version"]) == (7, 0.5, "v1")


def test_what_is_wrong_with_a_destination_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(RepoError, match=r"is not a Feast repo: it has no feature_store\.yaml"):
        ServingLogger(tmp_path)
    with pytest.raises(SettingsError, match="needs a spool"):
        ServingLogger({"type": "parquet", "path": "log"})
    with pytest.raises(SettingsError, match=r"skew\.destination"):
        ServingLogger({"type": "parkay", "path": "log"}, spool=tmp_path)
    (tmp_path / "feature_store.yaml").write_text("project: [")
    with pytest.raises(RepoError, match="cannot be used"):
        ServingLogger(tmp_path)
