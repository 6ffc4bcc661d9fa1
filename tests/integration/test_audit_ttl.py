"""The TTL part of a real audit: the matrix, the share past it, and what the source asks for."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from skew_ext import SkewAuditor, request_context
from skew_ext.report import Report
from skew_ext.shipping.shipper import Shipper
from tests.kit import HOUR, MINUTE, NOON, Repo, row

DRIVERS = range(20)


class ShortTtl(Repo):
    """Its TTL is shorter than the time between two events."""

    def objects(self) -> list[Any]:
        objects = super().objects()
        objects[2].ttl = 30 * MINUTE
        return objects


def audit(repo: Repo, delay: timedelta) -> Report:
    rows = [
        row(driver, NOON + hour * HOUR, hour, hour, "x", created=NOON + hour * HOUR + 5 * MINUTE)
        for driver in DRIVERS
        for hour in range(-24, 4)
    ]
    repo.write(rows)
    repo.materialize(NOON + MINUTE)
    with request_context(served_at=NOON + delay):
        service = repo.store.get_feature_service("scoring")
        repo.store.get_online_features(service, [{"driver": driver} for driver in [*DRIVERS, 99]])
    Shipper(repo.path / "data/skew/spool").drain()
    return SkewAuditor(repo.store).run_audit("scoring", NOON, NOON + 3 * HOUR)


def test_what_the_source_asks_for_is_said_with_its_reasons(tmp_path: Path) -> None:
    (ttl,) = audit(Repo(tmp_path / "repo"), 6 * MINUTE).ttl
    advice = ttl.recommended
    assert advice is not None
    assert (advice.gap["p99"], advice.arrival["p99"]) == (3600.0, 300.0)
    assert (advice.materialize_every, advice.ttl) == (1800.0, 2 * 3600.0)  # 1 h + 5 min + 30 min, rounded up
    assert ttl.matrix == {"served_inside": 20, "served_outside": 0, "absent_inside": 0, "absent_outside": 1}
    assert (ttl.share_past_ttl, ttl.staleness_quantiles["p50"]) == (0.0, 360.0)


def test_a_ttl_that_expires_live_keys_is_told(tmp_path: Path) -> None:
    report = audit(ShortTtl(tmp_path / "repo"), 40 * MINUTE)
    (finding,) = [finding for finding in report.findings if finding.code == "ttl_too_short"]
    assert (finding.feature, finding.severity) == ("stats", "info")
    assert "TTL of 30 min is shorter than the 1 h 5 min in which 95 %" in finding.message
    assert finding.remedy == "a TTL of 2 h, materialized every 30 min"
    stats = json.loads(report.to_json())["ttl"]["stats"]
    assert (stats["served_past_ttl"], stats["share_past_ttl"], stats["recommended"]["ttl"]) == (20, 1.0, 7200.0)
    assert {"ttl_seconds", "rows", "matrix", "staleness_seconds", "staleness_quantiles"} <= stats.keys()
