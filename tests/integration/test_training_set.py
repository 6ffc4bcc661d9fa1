"""Training on what was served: the features as they were logged, and every lookup and label accounted for."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from feast import FeatureStore
from feast.errors import SavedDatasetNotFound
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import SavedDatasetPostgreSQLStorage
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SavedDatasetSparkStorage
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.snowflake_source import SavedDatasetSnowflakeStorage

from skew_ext import ServingLogger, read_log, request_context, training_set_from_log
from skew_ext.audit.cells import compare
from skew_ext.errors import LogError, RepoError, SkewError, TrainingSetError
from skew_ext.log.postgres_migrations import upgrade
from skew_ext.schema import LOG_TIMESTAMP, REQUEST_ID, ROW, STATUS_SUFFIX, TIMESTAMP_SUFFIX
from skew_ext.shipping.shipper import Shipper
from skew_ext.training import Account, TrainingSet
from tests.kit import HOUR, MINUTE, NOON, Repo, row
from tests.servers import PostgresServer

DRIVERS = range(1, 9)
SERVED = 6


def serve(repo: Repo, request: str, drivers: Any, at: datetime, version: str = "v1") -> None:
    with request_context(request_id=request, served_at=at, model_version=version):
        repo.store.get_online_features(
            repo.store.get_feature_service("scoring"), [{"driver": each} for each in drivers]
        )


def ship(repo: Repo) -> None:
    Shipper(repo.path / "data/skew/spool").drain()


def filled(path: Path, **config: Any) -> Repo:
    """Make a repo with awkward values, and look each driver up under a request of its own: r1 at noon, and so on."""
    repo = Repo(path, **config)
    awkward = {1: (-0.0, 2**63 - 1), 2: (float("inf"), -(2**63)), 3: (5e-324, 2**53 + 1), 4: (None, 0)}
    rows = [row(each, NOON - HOUR, *awkward.get(each, (each / 7, each)), f"city {each} ☂") for each in DRIVERS]
    repo.write(rows[:-1])
    repo.materialize(NOON)
    for each in DRIVERS:
        serve(repo, f"r{each}", [each], NOON + each * MINUTE, "v1" if each < SERVED else "v2")
    ship(repo)
    return repo


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return filled(tmp_path_factory.mktemp("served") / "repo")


def labels(ids: Any = DRIVERS, **more: Any) -> pd.DataFrame:
    requests = [f"r{each}" for each in ids]
    values = [each % 2 for each in ids]
    return pd.DataFrame({"request_id": requests, "label": values, "observed_at": [NOON + HOUR] * len(requests), **more})


def utc(times: pa.ChunkedArray) -> pa.ChunkedArray:
    return times.cast(pa.timestamp("us", "UTC"))


def assert_balanced(account: Account) -> None:
    """Hold both laws of the account."""
    lookups = account.lookups_without_label + account.lookups_repeated + account.lookups_ambiguous
    assert account.lookups == account.rows + lookups
    unused = account.labels_null + account.labels_without_lookup + account.labels_too_early
    assert account.labels == account.labels_used + unused + account.labels_ambiguous + account.labels_not_taken


def assert_as_served(made: TrainingSet, log: pa.Table) -> None:
    """Hold each cell of the training set against the log's, type and bits."""
    names = [*made.features, "__model_version", "__transforms", "__schema", "__environment", "__model_name"]
    asked = zip(*(log[name].to_pylist() for name in (REQUEST_ID, ROW)), strict=True)
    places = {key: index for index, key in enumerate(asked)}
    rows = pa.array([places[key] for key in zip(*(made.table[n].to_pylist() for n in (REQUEST_ID, ROW)), strict=True)])
    for name in names:
        assert made.table.schema.field(name).type == log.schema.field(name).type
        assert compare(made.table[name], log[name].take(rows)).same.all(), name
    assert made.table["event_timestamp"].equals(log[LOG_TIMESTAMP].take(rows))


def test_features_are_as_served_to_the_bit(repo: Repo) -> None:
    made = training_set_from_log(repo.path, labels(), "scoring")
    assert_as_served(made, read_log(repo.path, "scoring"))
    assert made.features == ["stats__rating", "stats__trips", "stats__city"]
    assert made.table["label"].to_pylist() == [each % 2 for each in DRIVERS]
    assert made.table["stats__trips"].to_pylist()[:4] == [2**63 - 1, -(2**63), 2**53 + 1, 0]
    assert np.signbit(made.table["stats__rating"][0].as_py())
    assert made.model_versions == {"v1": 5, "v2": 3}
    assert made.notes[0].startswith("the rows were served by several model versions: v1 (5 rows), v2 (3 rows)")
    assert made.account.as_dict() | {"rows": 8, "labels_used": 8} == made.account.as_dict()
    assert_balanced(made.account)
    assert str(made) == "8 rows x 3 features\n8 of 8 lookups have a label\n8 of 8 labels are used"
    assert str(made.to_pandas()["stats__trips"].dtype) == "int64[pyarrow]"


def test_event_times_and_statuses_come_along_when_asked(repo: Repo) -> None:
    made = training_set_from_log(repo.path, labels(), "scoring", event_times=True)
    assert made.table["stats__rating" + TIMESTAMP_SUFFIX].to_pylist()[0] == NOON - HOUR
    assert made.table["stats__rating" + STATUS_SUFFIX].null_count == 0


def test_every_lookup_and_every_label_is_accounted_for(repo: Repo) -> None:
    given = pd.concat(
        [
            labels([1, 2, 3]),
            labels([2], label=[5]).assign(observed_at=NOON + 2 * HOUR),  # a correction
            labels([3]),  # once more the same
            labels([4]).assign(observed_at=NOON + 4 * MINUTE - timedelta(microseconds=1)),  # before its lookup
            labels([5]).assign(observed_at=NOON + 5 * MINUTE),  # at its very time
            labels([6], label=[None]),
            labels([99]),
        ]
    )
    made = training_set_from_log(repo.path, given, "scoring")
    expected = {
        "lookups": 8, "rows": 4, "lookups_without_label": 4, "labels": 9, "labels_used": 4, "labels_null": 1,
        "labels_without_lookup": 1, "labels_too_early": 1, "labels_not_taken": 2, "lookups_with_conflicting_labels": 1,
    }  # fmt: skip
    assert {name: count for name, count in made.account.as_dict().items() if count} == expected
    assert_balanced(made.account)
    assert made.table["label"].to_pylist() == [1, 5, 1, 1]
    assert training_set_from_log(repo.path, given, "scoring", take="first").table["label"].to_pylist() == [1, 0, 1, 1]
    assert "4 of 8 lookups have a label (4 without a label, 1 with labels that conflict)" in str(made)


def test_a_label_before_the_delay_is_over_is_not_joined(repo: Repo) -> None:
    given = labels().assign(observed_at=NOON + 30 * MINUTE)
    made = training_set_from_log(repo.path, given, "scoring", label_delay=25 * MINUTE)
    assert made.table["driver"].to_pylist() == [1, 2, 3, 4, 5]
    assert made.account.labels_too_early == 3
    assert_balanced(made.account)


def test_by_key_and_time_the_first_label_within_the_tolerance_counts(repo: Repo) -> None:
    given = pd.DataFrame(
        {
            "driver": [1, 1, 2, 3, 77],
            "event_timestamp": [NOON, NOON + 3 * MINUTE, NOON + 7 * MINUTE, NOON + 3 * HOUR, NOON + 5 * MINUTE],
            "label": ["before", "at", "last", "far", "nobody"],
        }
    )
    made = training_set_from_log(repo.path, given, "scoring", tolerance=5 * MINUTE)
    assert made.table.select(["driver", "label"]).to_pylist() == [
        {"driver": 1, "label": "at"},
        {"driver": 2, "label": "last"},
    ]
    assert made.table["__label_observed_at"].to_pylist() == [NOON + 3 * MINUTE, NOON + 7 * MINUTE]
    assert made.account.labels_without_lookup == 3
    assert_balanced(made.account)


def test_by_key_and_both_times_a_label_is_about_its_time(repo: Repo) -> None:
    about = [NOON + each * MINUTE for each in DRIVERS]
    given = pd.DataFrame({"driver": DRIVERS, "event_timestamp": about, "label": 1, "observed_at": NOON + HOUR})
    given.loc[0, "observed_at"] = NOON
    given.loc[1, "event_timestamp"] = NOON + 2 * MINUTE + timedelta(seconds=30)
    made = training_set_from_log(repo.path, given, "scoring")
    assert made.table["driver"].to_pylist() == [3, 4, 5, 6, 7, 8]
    assert (made.account.labels_too_early, made.account.labels_without_lookup) == (1, 1)
    assert training_set_from_log(repo.path, given, "scoring", tolerance=MINUTE).account.rows == 7


def test_one_label_may_be_of_several_lookups_and_that_is_said(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    for minute in range(3):
        serve(repo, f"r{minute}", [1], NOON + minute * MINUTE)
    ship(repo)
    given = pd.DataFrame({"driver": [1], "observed_at": [NOON + HOUR], "label": [True]})
    made = training_set_from_log(repo.path, given, "scoring", tolerance=2 * HOUR)
    assert (made.account.rows, made.account.labels_used, made.account.labels_shared) == (3, 1, 1)
    assert_balanced(made.account)


def test_several_rows_of_a_request_need_a_label_that_says_which(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    serve(repo, "basket", [1, 2], NOON)
    serve(repo, "again", [3], NOON)
    repo.write([row(3, NOON - HOUR, 1.5)])  # the same payload would be left out of the log as a duplicate
    repo.materialize(NOON)
    serve(repo, "again", [3], NOON + MINUTE)
    ship(repo)
    given = pd.DataFrame({"request_id": ["basket", "again"], "label": [1, 2]})
    made = training_set_from_log(repo.path, given, "scoring")
    assert made.table.select(["driver", "label", "event_timestamp"]).to_pylist() == [
        {"driver": 3, "label": 2, "event_timestamp": NOON + MINUTE}
    ]
    account = made.account
    assert (account.lookups_ambiguous, account.lookups_repeated, account.labels_ambiguous) == (2, 1, 1)
    assert_balanced(account)
    assert made.notes == ["the labels do not say when they were observed: each was taken as observed after its lookup"]
    for which in ({"driver": [2, 3]}, {"row": [1, 0]}):
        told = training_set_from_log(repo.path, given.assign(**which), "scoring")
        assert told.table["driver"].to_pylist() == [2, 3]
        assert_balanced(told.account)


@pytest.mark.parametrize("given", [None, "log"])
def test_labels_of_the_log_are_labels_too(tmp_path: Path, given: Any) -> None:
    repo = filled(tmp_path / "repo")
    logger = ServingLogger(repo.path)
    for each in (1, 2, 2, 3):
        logger.log_label(f"r{each}", each * 10, NOON + HOUR)
    logger.log_label("r4", 40, NOON)  # r4 was served at 12:04
    ship(repo)
    made = training_set_from_log(repo.path, given, "scoring")
    assert made.table["label"].to_pylist() == [10, 20, 30]
    assert made.table["__label_observed_at"].to_pylist() == [NOON + HOUR] * 3
    assert (made.account.labels_too_early, made.account.lookups_without_label) == (1, 5)
    assert_balanced(made.account)
    assert_as_served(made, read_log(repo.path, "scoring"))


def test_weights_and_more_columns_go_along(repo: Repo) -> None:
    given = pa.Table.from_pandas(labels(weight=np.linspace(0, 1, 8, dtype=np.float32)), preserve_index=False)
    made = training_set_from_log(repo.path, given, "scoring", also=["weight"])
    assert made.table["weight"].equals(given["weight"])


def test_the_window_and_the_model_version_narrow_lookups_not_labels(repo: Repo) -> None:
    made = training_set_from_log(repo.path, labels(), "scoring", start=NOON + 3 * MINUTE, end=NOON + 5 * MINUTE)
    assert made.table["driver"].to_pylist() == [3, 4]
    assert made.account.labels_without_lookup == 6
    version = training_set_from_log(repo.path, labels(), "scoring", model_version="v2")
    assert version.table["driver"].to_pylist() == [6, 7, 8]
    assert version.notes == []


@pytest.mark.parametrize("offline", ["duckdb", "dask"])
def test_it_is_saved_as_a_dataset_that_feast_reads_back(tmp_path: Path, offline: str) -> None:
    repo = filled(tmp_path / "repo", offline_store={"type": offline})
    made = training_set_from_log(repo.path, labels([1, 2, 4, 7]), "scoring", save_as="as served/1")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Feast says that saved datasets are experimental; ibis, that DuckDB has moved on
        dataset = repo.store.get_saved_dataset("as served/1")
    read = dataset.to_df().sort_values("driver", ignore_index=True)
    assert dataset.feature_service_name == "scoring"
    assert dataset.tags["skew.model_versions"] == '{"v1": 3, "v2": 1}'
    assert sorted(dataset.features) == ["stats:city", "stats:rating", "stats:trips"]
    assert sorted(read.columns) == sorted(made.table.column_names)
    for name in made.table.column_names:
        assert [x if pd.notna(x) else None for x in read[name]] == made.table[name].to_pylist(), name
    assert made.saved is not None
    with pytest.raises(TrainingSetError, match="has a saved dataset 'as served/1': take another name"):
        training_set_from_log(repo.path, labels([1]), "scoring", save_as="as served/1")
    again = training_set_from_log(repo.path, labels([1]), "scoring", save_as="as served/1", allow_overwrite=True)
    assert again.saved is not None
    assert len(again.saved.to_df()) == 1


def test_log_and_dataset_may_both_be_in_postgres(
    tmp_path: Path, postgres_database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_DSN", postgres_database.dsn)
    upgrade("LOG_DSN", "skew")
    log = {"start_shipper": False, "destination": {"type": "postgres", "dsn_env": "LOG_DSN"}}
    repo = filled(tmp_path / "repo", skew=log)
    made = training_set_from_log(repo.path, labels(), "scoring")
    assert_as_served(made, read_log(repo.path, "scoring"))
    server = postgres_database
    offline = {
        "type": "postgres", "host": server.host, "port": server.port, "database": server.dbname,
        "user": server.user, "password": server.password, "sslmode": "disable",
    }  # fmt: skip
    other = repo.path / "postgres.yaml"
    other.write_text(yaml.safe_dump(repo.config("skew_ext.SkewProvider", skew=log, offline_store=offline)))
    store = FeatureStore(repo_path=str(repo.path), fs_yaml_file=other)
    place = SavedDatasetPostgreSQLStorage(table_ref="public.served")
    made = training_set_from_log(store, labels(), "scoring", save_as="served", storage=place)
    assert made.saved is not None
    read = made.saved.to_arrow().sort_by("driver").select(made.table.column_names)
    # Feast reads PostgreSQL's times without their zone.
    read = read.set_column(read.column_names.index("event_timestamp"), "event_timestamp", utc(read["event_timestamp"]))
    for name in (*made.features, "label", "event_timestamp", "__request_id"):
        assert read[name].to_pylist() == made.table[name].to_pylist(), name
    with pytest.raises(TrainingSetError, match=r"the table public.served is there already"):
        training_set_from_log(store, labels(), "scoring", save_as="other", storage=place)
    with pytest.raises(TrainingSetError, match=r"reads no saved dataset from a file: storage=SavedDatasetPostgreSQL"):
        training_set_from_log(store, labels(), "scoring", save_as="third")


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        (SavedDatasetSnowflakeStorage(table_ref="t"), "SavedDatasetSnowflakeStorage cannot be written from here: use"),
        (SavedDatasetSparkStorage(table="t"), "leave save_as out, and load `table` there"),
        (SavedDatasetFileStorage("gs://bucket/made.parquet"), "local or in s3://, and 'gs://bucket/made.parquet' is"),
    ],
)
def test_storage_that_cannot_be_written_is_refused(repo: Repo, storage: Any, said: str) -> None:
    with pytest.raises(TrainingSetError, match=said):
        training_set_from_log(repo.path, labels(), "scoring", save_as="refused", storage=storage)
    with pytest.raises(SavedDatasetNotFound):
        repo.store.registry.get_saved_dataset("refused", repo.store.project)


def test_a_store_without_files_and_without_a_storage_is_refused(repo: Repo) -> None:
    settings = repo.config("skew_ext.SkewProvider", offline_store={"type": "spark"})
    (repo.path / "spark.yaml").write_text(yaml.safe_dump(settings))
    store = FeatureStore(repo_path=str(repo.path), fs_yaml_file=repo.path / "spark.yaml")
    with pytest.raises(TrainingSetError, match="SparkOfflineStore reads no saved dataset from a file: leave save_as"):
        training_set_from_log(store, labels(), "scoring", save_as="for spark")


BY_KEY = pd.DataFrame({"driver": [1], "label": [1], "observed_at": [NOON + HOUR]})
REFUSED: dict[str, tuple[Any, dict[str, Any], type[SkewError], str]] = {
    "service": (labels(), {"feature_service": "scorin"}, RepoError, r"no feature service 'scorin'.*did you mean"),
    "window": (labels(), {"start": NOON + HOUR}, LogError, "no lookups of 'scoring' in that window: name another"),
    "wrong way round": (labels(), {"start": NOON, "end": NOON - HOUR}, LogError, "swap them"),
    "version": (labels(), {"model_version": "v9"}, LogError, "by model version 'v9'"),
    "no frame": ([1, 2], {}, TrainingSetError, "pandas DataFrame or a pyarrow Table, not a list"),
    "other word": ("logged", {}, TrainingSetError, "'log' for those that were logged, not 'logged'"),
    "on, of the log": ("log", {"on": "driver"}, TrainingSetError, "leave `on` out"),
    "none logged": (None, {}, TrainingSetError, "the log has no labels: log them with ServingLogger.log_label"),
    "label": (labels(), {"label": "lable"}, TrainingSetError, r"no column 'lable' \(did you mean 'label'\?\)"),
    "also": (labels(), {"also": ["weights"]}, TrainingSetError, "no column 'weights'"),
    "twice": (labels(), {"also": ["label"]}, TrainingSetError, "'label' would stand in the training set twice"),
    "a feature": (labels(), {"also": ["stats__city"]}, TrainingSetError, "'stats__city' would stand"),
    "no id, no key": (labels().drop(columns="request_id"), {}, TrainingSetError, "nor the join key 'driver'"),
    "near key": (BY_KEY.rename(columns={"driver": "drivr"}), {}, TrainingSetError, r"'driver' \(did you mean 'drivr'"),
    "unknown on": (labels(), {"on": ["requst_id"]}, TrainingSetError, r"joined on 'requst_id' \(did you mean"),
    "absent on": (labels(), {"on": ["driver"]}, TrainingSetError, "have no column 'driver'"),
    "tolerance": (BY_KEY, {}, TrainingSetError, r"need a tolerance: .*tolerance=timedelta\(hours=6\)"),
    "time": (BY_KEY.drop(columns="observed_at"), {}, TrainingSetError, "labels by key need a time"),
    "no times": (labels(observed_at="soon"), {}, TrainingSetError, "holds no times, such as 'soon'"),
    "numbers": (labels(observed_at=7), {}, TrainingSetError, "holds no times but int64"),
    "mixed": (labels(label=[1, "a"] * 4), {}, TrainingSetError, r"several types \(int, str\)"),
    "duplicate": (pd.concat([labels(), labels()[["label"]]], axis=1), {}, TrainingSetError, "'label' more than once"),
    "key type": (BY_KEY.astype({"driver": str}), {"tolerance": HOUR}, TrainingSetError, "string, and int64 in the log"),
    "delay": (labels(), {"label_delay": -MINUTE}, TrainingSetError, "label_delay is negative"),
    "negative": (labels(), {"tolerance": -MINUTE}, TrainingSetError, "tolerance is negative"),
    "take": (labels(), {"take": "best"}, TrainingSetError, "take is 'first' or 'last', not 'best'"),
    "nothing fits": (labels([77]), {}, TrainingSetError, "'r1' in the log and 'r77' in the labels"),
    "no labels": (labels([]), {}, TrainingSetError, "no label fits a lookup"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_said_in_one_line(repo: Repo, case: str) -> None:
    given, options, error, message = REFUSED[case]
    with pytest.raises(error, match=message) as caught:
        training_set_from_log(repo.path, given, **{"feature_service": "scoring", **options})
    assert "\n" not in str(caught.value)


def test_random_labels_lose_and_gain_no_row(repo: Repo) -> None:
    for seed in range(20):
        random = np.random.default_rng(seed)
        ids, minutes = random.integers(0, 12, 30), random.integers(0, 90, 30)
        given = pd.DataFrame(
            {
                "request_id": [f"r{each}" for each in ids],
                "label": random.choice(np.array([0.0, 1.0, np.nan]), 30),
                "observed_at": [NOON + int(minute) * MINUTE for minute in minutes],
            }
        )
        made = training_set_from_log(repo.path, given, "scoring", label_delay=10 * MINUTE)
        assert_balanced(made.account)
        assert made.table.num_rows == made.account.rows == len(set(made.table[REQUEST_ID].to_pylist()))
        assert pc.all(
            pc.greater_equal(made.table["__label_observed_at"], pc.add(made.table["event_timestamp"], 10 * MINUTE))
        ).as_py()
        assert_as_served(made, read_log(repo.path, "scoring"))
