"""The audit on Feast's Spark offline store: the numbers of the DuckDB store."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from skew_ext import SkewAuditor, request_context
from skew_ext.report import Report
from skew_ext.shipping.shipper import Shipper
from tests.kit import HOUR, MINUTE, NOON, Repo, row

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("pyspark") is None, reason="Spark is not of the dev extra: pip install -e '.[spark]'"),
    pytest.mark.filterwarnings("ignore"),  # Spark's and Feast's own, of which there are many
]
DRIVERS = range(20)
SPARK = {
    "type": "spark",
    "spark_conf": {
        "spark.master": "local[2]",
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "4",
    },
}


class SparkRepo(Repo):
    """The same repo with its source read by Spark."""

    def objects(self) -> list[Any]:
        from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import (  # noqa: PLC0415 - an extra
            SparkSource,
        )

        driver, _, stats, service = super().objects()
        source = SparkSource(
            name="stats_source",
            path=str(self.source_path),
            file_format="parquet",
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        )
        stats.batch_source = source
        return [driver, source, stats, service]


def audit(repo: Repo) -> Report:
    """Serve fresh rows, stale, expired and missing ones, and audit them."""
    hours = range(-1, 3)
    rows = [row(driver, NOON + hour * HOUR, driver + hour / 7, hour, "x") for driver in DRIVERS for hour in hours]
    old = [row(driver, NOON - 5 * HOUR, 1.0, 1, "old") for driver in range(100, 110)]
    repo.write([*[one for one in rows if one["driver"] != 3], *old])
    repo.materialize(NOON)
    repo.write([*rows, *old])
    for at, drivers in ((NOON + MINUTE, [*DRIVERS, *range(100, 110)]), (NOON + 80 * MINUTE, [*DRIVERS, *DRIVERS])):
        with request_context(served_at=at):
            service = repo.store.get_feature_service("scoring")
            repo.store.get_online_features(service, [{"driver": driver} for driver in drivers])
    Shipper(repo.path / "data/skew/spool").drain()
    return SkewAuditor(repo.store).run_audit("scoring", NOON, NOON + 2 * HOUR)


def numbers(report: Report) -> list[Any]:
    return [(one.feature, one.compared, one.mismatched, one.causes, one.lag) for one in report.parity.features]


def test_spark_gives_the_numbers_of_duckdb(tmp_path: Path) -> None:
    expected = audit(Repo(tmp_path / "duckdb"))
    found = audit(SparkRepo(tmp_path / "spark", offline_store=SPARK))
    assert numbers(found) == numbers(expected)
    assert found.ttl == expected.ttl
    causes = {"missing_online": 3, "stale_online": 38, "expired_served": 10}
    assert found.parity.features[0].causes == causes
