"""Causes in every shape of repo: aliases, renamed keys, views without entities, streams, sources that say less."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_source import PushMode
from feast.stream_feature_view import StreamFeatureView
from feast.types import Float64, Int64, Map, Set, String

from skew_ext import SkewAuditor, request_context
from skew_ext.model import Finding
from skew_ext.report import Report
from skew_ext.shipping.shipper import Shipper
from skew_ext.testing import evict
from tests.kit import HOUR, MINUTE, NOON, SOURCE_SCHEMA, Repo, row

DRIVERS = range(1, 21)
DAY = timedelta(days=1)
OLD, NEW = NOON - 90 * MINUTE, NOON - 30 * MINUTE


def rated(event: datetime, drivers: Iterable[int] = DRIVERS, factor: float = 1.0, **more: Any) -> list[dict[str, Any]]:
    """Make a row for each driver, whose values say whose and when they are."""
    stamp = event.timestamp() / 3600
    return [row(one, event, factor * (one + stamp), 100 * one, f"city {one} {stamp}", **more) for one in drivers]


def serve(repo: Repo, rows: Any, at: datetime = NOON, service: str = "scoring", **options: Any) -> None:
    with request_context(served_at=at):
        repo.store.get_online_features(repo.store.get_feature_service(service), rows, **options)


def audit(repo: Repo, service: str = "scoring", start: datetime = NOON - DAY, end: datetime = NOON + DAY) -> Report:
    Shipper(repo.path / "data/skew/spool").drain()
    return SkewAuditor(repo.store).run_audit(service, start, end)


def causes(report: Report) -> dict[str, dict[str, int]]:
    return {feature.feature: feature.causes for feature in report.parity.features}


def finding(report: Report, feature: str) -> Finding:
    return next(one for one in report.findings if one.feature == feature)


class Aliased(Repo):
    """One view twice in a service, under two names and for two keys, beside another with a feature of the same name."""

    def objects(self) -> list[Any]:
        driver, source, stats, _ = super().objects()
        other = FeatureView(
            name="other", entities=[driver], schema=[Field(name="rating", dtype=Float64)], source=source
        )
        rider = stats.with_name("of_rider").with_join_key_map({"driver": "rider"})
        mine = stats.with_name("of_driver")
        service = FeatureService(name="scoring", features=[mine[["rating"]], rider[["rating", "city"]], other])
        return [driver, source, stats, other, service]


@pytest.mark.parametrize("offline", ["duckdb", "dask"])
def test_aliases_and_renamed_keys(tmp_path: Path, offline: str) -> None:
    repo = Aliased(tmp_path / "repo", offline_store={"type": offline})
    repo.write(rated(OLD))
    repo.store.materialize(NOON - DAY, NOON - HOUR)
    repo.write(rated(OLD) + rated(NEW, drivers=range(11, 21)))
    rows = [{"driver": one, "rider": 21 - one} for one in range(1, 11)]
    serve(repo, rows, full_feature_names=True)
    # The drivers have no newer row, and the riders do.
    stale = {"stale_online": 10}
    assert causes(audit(repo)) == {
        "of_driver__rating": {},
        "of_rider__rating": stale,
        "of_rider__city": stale,
        "other__rating": {},
    }


class NoEntities(Repo):
    """A view without entities beside one with."""

    def objects(self) -> list[Any]:
        driver, source, stats, _ = super().objects()
        path = str(self.path / "data" / "rates.parquet")
        pq.write_table(pa.Table.from_pylist([self.rate(OLD, 1.5), self.rate(NEW, 2.5)]), path)
        rates = FileSource(path=path, timestamp_field="event_timestamp", created_timestamp_column="created")
        world = FeatureView(name="world", entities=[], schema=[Field(name="rate", dtype=Float64)], source=rates)
        return [driver, source, stats, world, FeatureService(name="scoring", features=[stats, world])]

    @staticmethod
    def rate(event: datetime, rate: float) -> dict[str, Any]:
        return {"event_timestamp": event, "created": event, "rate": rate}


def test_a_view_without_entities(tmp_path: Path) -> None:
    # Feast 0.67 materializes such a view with no other of the stores here.
    repo = NoEntities(tmp_path / "repo", offline_store={"type": "dask"})
    repo.write(rated(NEW))
    repo.store.materialize(NOON - DAY, NOON - HOUR, feature_views=["world"])
    serve(repo, [{"driver": one} for one in DRIVERS])
    found = causes(audit(repo))
    assert found["world__rate"] == {"stale_online": 20}
    assert found["stats__rating"] == {"missing_online": 20}


def test_a_view_without_entities_can_lose_its_only_row(tmp_path: Path) -> None:
    repo = NoEntities(tmp_path / "repo", offline_store={"type": "dask"})
    repo.write(rated(NEW))
    repo.store.materialize(NOON - DAY, NOON, feature_views=["world"])
    serve(repo, [{"driver": one} for one in DRIVERS])
    evict(repo.store, "world", {})
    serve(repo, [{"driver": one} for one in DRIVERS], NOON + MINUTE)
    assert causes(audit(repo))["world__rate"] == {"evicted_online": 20}
    # A window in which nothing was served asks the log before it.
    assert causes(audit(repo, start=NOON + MINUTE))["world__rate"] == {"evicted_online": 20}


class NoCreated(Repo):
    def objects(self) -> list[Any]:
        objects = super().objects()
        objects[1].created_timestamp_column = ""
        return objects


def test_without_created_times_it_is_said_what_cannot_be_told_apart(tmp_path: Path) -> None:
    repo = NoCreated(tmp_path / "repo")
    repo.write(rated(OLD))
    repo.materialize(NOON - HOUR)
    serve(repo, [{"driver": one} for one in DRIVERS])
    # These rows came after serving, and nothing says so.
    repo.write(rated(OLD) + rated(NEW, created=NOON + HOUR))
    report = audit(repo)
    assert causes(report)["stats__rating"] == {"stale_online": 20}
    assert "no created timestamp column, so rows that came late" in finding(report, "stats__rating").message


def test_without_created_times_a_rewritten_event_is_not_called_stale(tmp_path: Path) -> None:
    repo = NoCreated(tmp_path / "repo")
    repo.write(rated(NEW))
    repo.materialize(NOON)
    serve(repo, [{"driver": one} for one in DRIVERS])
    repo.write([{**one, "rating": -(one["driver"] ** 2.5)} for one in rated(NEW)])
    assert causes(audit(repo))["stats__rating"] == {"unexplained": 20}


def test_a_correction_of_the_same_event_that_never_reached_the_online_store(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write(rated(OLD))
    repo.materialize(NOON - HOUR)
    corrected = [{**one, "rating": one["rating"] + one["driver"]} for one in rated(OLD, created=NOON - 30 * MINUTE)]
    repo.write(rated(OLD) + corrected)
    serve(repo, [{"driver": one} for one in DRIVERS])
    assert causes(audit(repo))["stats__rating"] == {"stale_online": 20}


def test_what_training_sees_late_while_serving_had_a_value_past_its_ttl(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    expired = NOON - 5 * HOUR
    repo.write(rated(expired))
    repo.materialize(NOON)
    serve(repo, [{"driver": one} for one in DRIVERS])
    repo.write(rated(expired) + rated(NEW, created=NOON + HOUR))
    assert causes(audit(repo))["stats__rating"] == {"late_arrival": 20}


def test_a_restated_row_that_was_rescaled_too(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write(rated(NEW, factor=0.3048))
    repo.materialize(NOON)
    serve(repo, [{"driver": one} for one in DRIVERS])
    # What was known by serving is still in the source, and it is not what was served.
    repo.write(rated(NEW) + [{**one, "rating": -1.0 * one["driver"]} for one in rated(NEW, created=NOON + HOUR)])
    assert causes(audit(repo))["stats__rating"] == {"rescaled": 20}


def test_evicted_and_never_there_are_told_apart(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write(rated(NEW, drivers=range(1, 11)))
    repo.materialize(NOON)
    repo.write(rated(NEW))
    everyone = [{"driver": one} for one in DRIVERS]
    serve(repo, everyone)
    for driver in range(1, 6):
        evict(repo.store, "stats", {"driver": driver})
    serve(repo, everyone, NOON + MINUTE)
    found = audit(repo)
    assert causes(found)["stats__rating"] == {"missing_online": 20, "evicted_online": 5}
    assert "key TTL" in next(one.remedy for one in found.findings if one.cause == "evicted_online")


def test_a_key_that_was_served_before_the_window_was_evicted(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    everyone = [{"driver": one} for one in DRIVERS]
    repo.write(rated(NOON - 9 * DAY, drivers=range(1, 11)) + rated(NEW, drivers=range(1, 11)))
    repo.materialize(NOON - 8 * DAY)
    serve(repo, everyone[:5], NOON - 8 * DAY)  # longer ago than is looked back
    repo.materialize(NOON)
    serve(repo, everyone[3:8], NOON)
    repo.write(rated(NEW))
    for driver in range(1, 11):
        evict(repo.store, "stats", {"driver": driver})
    serve(repo, everyone, NOON + HOUR)
    found = audit(repo, start=NOON + MINUTE)
    assert causes(found)["stats__rating"] == {"missing_online": 15, "evicted_online": 5}
    # What was served before is no row of the window.
    assert found.rows == len(DRIVERS)


def test_two_services_are_audited_apart(tmp_path: Path) -> None:
    class Two(Repo):
        def objects(self) -> list[Any]:
            objects = super().objects()
            return [*objects, FeatureService(name="ratings", features=[objects[2][["rating"]]])]

    repo = Two(tmp_path / "repo")
    repo.write(rated(OLD))
    repo.materialize(NOON - HOUR)
    repo.write(rated(OLD) + rated(NEW))
    serve(repo, [{"driver": one} for one in DRIVERS])
    serve(repo, [{"driver": one} for one in range(1, 6)], service="ratings")
    assert causes(audit(repo, "ratings")) == {"stats__rating": {"stale_online": 5}}
    assert causes(audit(repo))["stats__rating"] == {"stale_online": 20}


def test_source_rows_without_a_key_are_nobodys(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write(rated(OLD))
    repo.materialize(NOON - HOUR)
    repo.write([*rated(OLD), *rated(NEW), {**row(0, NEW, 9.0), "driver": None}])
    serve(repo, [{"driver": one} for one in DRIVERS])
    assert causes(audit(repo))["stats__rating"] == {"stale_online": 20}


class Stream(Repo):
    """A view that a stream pushes to: online at once, offline when the batch comes."""

    def objects(self) -> list[Any]:
        driver, source, _, _ = super().objects()
        push = PushSource(name="pushed", batch_source=source)
        schema = [Field(name="driver", dtype=Int64), Field(name="rating", dtype=Float64)]
        stats = StreamFeatureView(name="stats", entities=[driver], ttl=2 * HOUR, schema=schema, source=push)
        return [driver, source, push, stats, FeatureService(name="scoring", features=[stats])]


@pytest.mark.filterwarnings("ignore:Stream feature views are experimental")
def test_a_stream_whose_batch_comes_later(tmp_path: Path) -> None:
    repo = Stream(tmp_path / "repo")
    frame = pd.DataFrame(rated(OLD)).drop(columns=["trips", "city"])
    repo.store.push("pushed", frame, to=PushMode.ONLINE)
    serve(repo, [{"driver": one} for one in DRIVERS])
    # All of the day's rows are stored offline in the evening: those that were served, and those that came too late.
    repo.write(rated(OLD, created=NOON + 8 * HOUR) + rated(NEW, created=NOON + 8 * HOUR))
    assert causes(audit(repo)) == {"stats__rating": {"late_arrival": 20}}


class Rich(Repo):
    """A view of a set and a map."""

    def objects(self) -> list[Any]:
        driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.STRING)
        source = FileSource(path=str(self.source_path), timestamp_field="event_timestamp")
        schema = [
            Field(name="driver", dtype=String),
            Field(name="tags", dtype=Set(String)),
            Field(name="about", dtype=Map),
        ]
        stats = FeatureView(name="stats", entities=[driver], schema=schema, source=source)
        return [driver, source, stats, FeatureService(name="scoring", features=[stats])]

    def write(self, rows: list[dict[str, Any]]) -> None:
        about = pa.struct({"a": pa.string(), "b": pa.string()})
        columns = {"driver": pa.string(), "tags": pa.list_(pa.string()), "about": about}
        kept = pa.schema({**columns, "event_timestamp": SOURCE_SCHEMA.field("event_timestamp").type})
        pq.write_table(pa.Table.from_pylist(rows, schema=kept), self.source_path)


def test_sets_and_maps_of_string_keys(tmp_path: Path) -> None:
    def rows(event: datetime, mark: str) -> list[dict[str, Any]]:
        return [
            {
                "driver": f"d{one}",
                "event_timestamp": event,
                "tags": [f"{mark}{number}" for number in range(one)],
                "about": {"a": mark} if one % 2 else {"a": mark, "b": str(one)},
            }
            for one in range(1, 11)
        ]

    repo = Rich(tmp_path / "repo")
    repo.write(rows(OLD, "x"))
    repo.materialize(NOON - HOUR)
    everyone = [{"driver": f"d{one}"} for one in range(1, 11)]
    serve(repo, everyone, NOON - HOUR)
    assert audit(repo, end=NOON - MINUTE).verdict == "pass"
    repo.write(rows(OLD, "x") + rows(NEW, "y"))
    serve(repo, everyone)
    stale = {"stale_online": 10}
    assert causes(audit(repo, start=NOON)) == {"stats__tags": stale, "stats__about": stale}


def test_a_match_with_tied_rows_is_said_to_be_luck(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.write(rated(OLD))
    repo.materialize(NOON - HOUR)
    # The same rows again, under other values: nothing says which of the two counts.
    repo.write(rated(OLD) + rated(OLD, drivers=range(1, 4), factor=2.0))
    serve(repo, [{"driver": one} for one in range(10, 21)])
    report = audit(repo)
    assert (report.parity.mismatched, report.verdict) == (0, "pass")
    (ties,) = report.findings
    assert (ties.code, ties.severity, ties.feature) == ("source_ties", "info", "stats")
    assert "6 of 23 source rows share their key, event time and created time" in ties.message
