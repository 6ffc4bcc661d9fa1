"""Lookups through real stores: what is served is Feast's own answer, and what is logged is what was served."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from feast import FeatureStore
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from skew_ext import LoggedFeatureStore, SkewProvider, read_log, request_context
from skew_ext.errors import SettingsError
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import log_stats
from tests.kit import HOUR, MINUTE, NOON, Repo, row
from tests.servers import RedisServer

SOURCE = [row(1, NOON - HOUR, 4.5, 10, "Oslo"), row(2, NOON - 3 * HOUR, 3.5, None, "Rome")]
DRIVERS = [{"driver": 1}, {"driver": 2}, {"driver": 9}]
REFERENCES = ["stats:rating", "stats:trips", "stats:city"]


@pytest.fixture(params=["sqlite", "redis"])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> Repo:
    return make_repo(request, tmp_path)


def make_repo(request: pytest.FixtureRequest, tmp_path: Path, **config: Any) -> Repo:
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_db")
        config["online_store"] = {"type": "redis", "connection_string": f"{server.host}:{server.port},db={server.db}"}
    made = Repo(tmp_path / "repo", **config)
    made.write(SOURCE)
    made.materialize(NOON)
    return made


def request_id_of(response: Any) -> str:
    """Give the id that a lookup is logged under, which stands on Feast's response beside Feast's own attributes."""
    return str(response.request_id)


def ship(repo: Repo) -> None:
    Shipper(repo.path / "data/skew/spool").drain()


def test_the_log_holds_what_was_served(repo: Repo) -> None:
    service = repo.store.get_feature_service("scoring")
    with request_context(request_id="r-1", served_at=NOON, model_version="v7"):
        response = repo.store.get_online_features(service, DRIVERS)
    ship(repo)
    rows = read_log(repo.path, "scoring").to_pylist()
    served = response.to_dict()
    assert [each["stats__rating"] for each in rows] == served["rating"] == [4.5, 3.5, None]
    assert [each["stats__trips"] for each in rows] == served["trips"] == [10, None, None]
    assert [each["stats__city"] for each in rows] == served["city"] == ["Oslo", "Rome", None]
    assert [each["driver"] for each in rows] == [1, 2, 9]
    assert [each["__row"] for each in rows] == [0, 1, 2]
    assert {(each["__request_id"], each["__model_version"], each["__log_timestamp"]) for each in rows} == {
        ("r-1", "v7", NOON)
    }


def test_statuses_are_derived_whatever_the_store_says(repo: Repo) -> None:
    with request_context(served_at=NOON):
        repo.store.get_online_features(repo.store.get_feature_service("scoring"), DRIVERS)
    ship(repo)
    rows = read_log(repo.path, "scoring").to_pylist()
    names = [[FieldStatus.Name(each[f"stats__{feature}__status"]) for feature in ("rating", "trips")] for each in rows]
    assert names == [["PRESENT", "PRESENT"], ["OUTSIDE_MAX_AGE", "NULL_VALUE"], ["NOT_FOUND", "NOT_FOUND"]]
    assert [each["stats__rating__timestamp"] for each in rows] == [NOON - HOUR, NOON - 3 * HOUR, None]


def test_all_ways_to_ask_land_in_the_same_columns(repo: Repo) -> None:
    service = repo.store.get_feature_service("scoring")
    for features, full in ((service, False), (service, True), (REFERENCES, False), (REFERENCES, True)):
        repo.store.get_online_features(features, {"driver": [1, 2]}, full_feature_names=full)
    ship(repo)
    rows = read_log(repo.path)
    assert rows["stats__rating"].to_pylist() == [4.5, 3.5] * 4
    assert rows["stats__city"].to_pylist() == ["Oslo", "Rome"] * 4
    assert sorted(rows["__feature_service"].to_pylist()) == ["", "", "", "", "scoring", "scoring", "scoring", "scoring"]


def test_the_response_is_feasts_own(repo: Repo) -> None:
    bare = FeatureStore(config=repo.store.config.model_copy(update={"provider": "local"}))
    expected = bare.get_online_features(REFERENCES, DRIVERS)
    given = repo.store.get_online_features(REFERENCES, DRIVERS)
    assert type(given) is type(expected)
    assert given.to_dict(include_event_timestamps=True) == expected.to_dict(include_event_timestamps=True)


def test_errors_are_feasts_own_and_nothing_is_logged(repo: Repo) -> None:
    with pytest.raises(Exception, match="nonsense"):
        repo.store.get_online_features(["stats:nonsense"], DRIVERS)
    with pytest.raises(TypeError):
        repo.store.get_online_features(REFERENCES, [{"driver": None}])
    assert not (repo.path / "data/skew/spool").exists()


@pytest.mark.parametrize("repo", ["redis"], indirect=True)
def test_async_lookups_are_logged_under_their_own_context(repo: Repo) -> None:
    async def one(number: int) -> None:
        with request_context(request_id=str(number)):
            response = await repo.store.get_online_features_async(REFERENCES, [{"driver": 1 + number % 2}])
            assert request_id_of(response) == str(number)

    async def many() -> None:
        await repo.store.initialize()
        await asyncio.gather(*(one(number) for number in range(40)))
        # Feast does not close the connections of its asynchronous Redis client.
        provider: Any = repo.store.provider
        online_store = provider.online_store
        await online_store._client_async.aclose()

    asyncio.run(many())
    ship(repo)
    rows = read_log(repo.path).to_pylist()
    assert {(each["__request_id"], each["stats__city"]) for each in rows} == {
        (str(number), "Rome" if number % 2 else "Oslo") for number in range(40)
    }


def test_a_logged_store_on_a_plain_provider_logs(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", provider="local")
    repo.write(SOURCE)
    repo.materialize(NOON)
    store = LoggedFeatureStore(repo_path=str(repo.path), model_version="v3")
    assert isinstance(store, FeatureStore)
    response = store.get_online_features(store.get_feature_service("scoring"), DRIVERS, request_id="mine")
    assert request_id_of(response) == "mine"
    ship(repo)
    rows = read_log(repo.path, request_id="mine").to_pylist()
    assert [(each["stats__rating"], each["__model_version"]) for each in rows] == [
        (4.5, "v3"),
        (3.5, "v3"),
        (None, "v3"),
    ]


def test_a_logged_store_on_our_provider_logs_once(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    store = LoggedFeatureStore(repo_path=str(repo.path), model_version="v3")
    assert isinstance(store._get_provider(), SkewProvider)
    store.get_online_features(REFERENCES, DRIVERS, request_id="once")
    with request_context(model_version="v4"):
        store.get_online_features(REFERENCES, DRIVERS)
    ship(repo)
    rows = read_log(repo.path)
    assert rows.num_rows == 6
    assert rows["__model_version"].to_pylist() == ["v3"] * 3 + ["v4"] * 3


def test_logging_that_fails_never_reaches_the_caller(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    repo = Repo(tmp_path / "repo", skew={"start_shipper": False, "spool": "blocked"})
    (repo.path / "blocked").write_text("a file stands where the spool should be")
    with caplog.at_level(logging.WARNING, logger="skew_ext"):
        for _ in range(3):
            response = repo.store.get_online_features(REFERENCES, DRIVERS)
            assert response.to_dict()["rating"] == [None, None, None]
    assert len(caplog.records) == 1
    assert "does not log lookups" in caplog.text


def test_a_wrong_setting_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"skew\.sampel_rate is not a setting \(did you mean 'sample_rate'\?\)"):
        Repo(tmp_path / "repo", skew={"sampel_rate": 0.5})


def test_read_log_takes_windows_half_open(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    for minutes in range(3):
        with request_context(served_at=NOON + minutes * MINUTE, request_id=str(minutes)):
            repo.store.get_online_features(REFERENCES, [{"driver": 1}])
    ship(repo)
    window = read_log(repo.path, start=NOON, end=NOON + 2 * MINUTE)
    assert window["__request_id"].to_pylist() == ["0", "1"]
    assert read_log(repo.path, "scoring").num_rows == 0
    assert read_log(repo.path, request_id="2").num_rows == 1


def test_a_service_that_grows_leaves_old_rows_readable(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write(SOURCE)
    repo.materialize(NOON)
    repo.store.get_online_features(["stats:rating"], [{"driver": 1}])
    repo.store.get_online_features(REFERENCES, [{"driver": 1}])
    ship(repo)
    rows = read_log(repo.path)
    assert rows["stats__rating"].to_pylist() == [4.5, 4.5]
    assert rows["stats__city"].to_pylist() == [None, "Oslo"]
    assert len(set(rows["__schema"].to_pylist())) == 2


def test_the_conservation_law_holds_at_each_step(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    for _ in range(5):
        repo.store.get_online_features(REFERENCES, DRIVERS)
    spool = repo.path / "data/skew/spool"
    before = log_stats(spool)
    assert (before.accepted, before.in_spool, before.stored, before.unaccounted) == (15, 15, 0, 0)
    ship(repo)
    after = log_stats(spool)
    assert (after.accepted, after.in_spool, after.stored, after.unaccounted) == (15, 0, 15, 0)


def test_sampling_keeps_every_lookup_of_a_chosen_key(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", skew={"start_shipper": False, "sample_rate": 0.3})
    for _ in range(4):
        repo.store.get_online_features(REFERENCES, [{"driver": driver} for driver in range(300)])
    ship(repo)
    kept = Counter(read_log(repo.path)["driver"].to_pylist())
    assert set(kept.values()) == {4}
    assert 60 < len(kept) < 120
    counts = log_stats(repo.path / "data/skew/spool")
    assert (counts.stored, counts.dropped, counts.unaccounted) == (4 * len(kept), {"sampled": 1200 - 4 * len(kept)}, 0)
