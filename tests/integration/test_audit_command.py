"""`skew audit`: its outputs, samples and exit codes; and what is wrong with a window, said in one line."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from feast import FeatureService

from skew_ext import SkewAuditor, request_context
from skew_ext.auditor.key_sample import choose_keys
from skew_ext.cli.main import cli
from skew_ext.errors import AuditError
from skew_ext.shipping.shipper import Shipper
from tests.kit import HOUR, MINUTE, NOON, Repo, row

DRIVERS = range(30)
WINDOW = ("--start", "2026-03-01T00:00Z", "--end", "2026-03-02T00:00Z")
FINE, FINDINGS, COULD_NOT_RUN = 0, 1, 2


class TwoServices(Repo):
    """A second service, with one feature of the same view."""

    def objects(self) -> list[Any]:
        objects = super().objects()
        return [*objects, FeatureService(name="cities", features=[objects[2][["city"]]])]


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Give a repo with stale ratings for `scoring`, and clean lookups for `cities`."""
    repo = TwoServices(tmp_path_factory.mktemp("command") / "repo")
    repo.write([row(driver, NOON + hour * HOUR, hour, hour, "x") for driver in DRIVERS for hour in range(4)])
    repo.materialize(NOON + MINUTE)
    serve(repo, NOON + 3 * HOUR, "scoring", "v1")
    serve(repo, NOON + 2 * MINUTE, "scoring", "v2")
    serve(repo, NOON + 2 * MINUTE, "cities", "v1")
    Shipper(repo.path / "data/skew/spool").drain()
    return repo


def serve(repo: Repo, at: datetime, service: str, version: str) -> None:
    with request_context(served_at=at, model_version=version):
        asked = repo.store.get_feature_service(service)
        repo.store.get_online_features(asked, [{"driver": driver} for driver in DRIVERS])


def skew(repo: Repo, monkeypatch: pytest.MonkeyPatch, *arguments: str, service: str = "scoring") -> Result:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(repo.path)
    done = CliRunner().invoke(cli, ("audit", "--feature-service", service, *WINDOW, *arguments))
    time.tzset()
    return done


def test_junit_json_page_and_markdown_in_one_run(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = ("--junit", "out/skew.xml", "--json", "out/skew.json")
    done = skew(repo, monkeypatch, *machines, "--html", "skew.html", "--markdown", "out/skew.md")
    assert done.exit_code == FINDINGS, done.output
    root = ET.parse(repo.path / "out/skew.xml").getroot()  # noqa: S314 - our own document
    assert int(root.get("failures") or 0) == 2
    failures = {case.get("name") for case in root.iter("testcase") if case.find("failure") is not None}
    assert failures == {"rating", "trips"}
    assert json.loads((repo.path / "out/skew.json").read_text())["verdict"] == "fail"
    assert (repo.path / "skew.html").is_file()
    assert (repo.path / "out/skew.md").read_text().startswith("### FAIL: skew audit of <code>scoring</code>")


def test_nothing_but_the_document_is_on_standard_output(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    done = skew(repo, monkeypatch, "--junit", "-")
    assert ET.fromstring(done.stdout).tag == "testsuites"  # noqa: S314 - our own document
    assert json.loads(skew(repo, monkeypatch, "--json", "-").stdout)["rows"] == 60
    assert skew(repo, monkeypatch, "--markdown", "-").stdout.startswith("### FAIL")
    for other in ("--junit", "--markdown"):
        both = skew(repo, monkeypatch, "--json", "-", other, "-")
        assert (both.exit_code, both.stdout) == (COULD_NOT_RUN, "")
        assert f"--json and {other} cannot both be standard output" in both.stderr


def test_a_model_version_and_a_service_are_audited_alone(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = skew(repo, monkeypatch, "--model-version", "v2", "--json", "-", "--fail-on", "warn")
    assert (candidate.exit_code, json.loads(candidate.stdout)["rows"]) == (FINE, 30)
    assert skew(repo, monkeypatch, "--model-version", "v1").exit_code == FINDINGS
    other = skew(repo, monkeypatch, "--json", "-", service="cities")
    report = json.loads(other.stdout)
    assert (other.exit_code, report["rows"], report["parity"]["cells"]) == (FINE, 30, 30)
    assert [one["feature"] for one in report["parity"]["features"]] == ["stats__city"]


@pytest.mark.parametrize(
    ("sample", "rows", "keys"), [("20", 20, 10), ("21", 20, 10), ("10%", 6, 3), ("0.5", 30, 15), ("1", 2, 1)]
)
def test_samples_are_of_whole_keys(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, sample: str, rows: int, keys: int
) -> None:
    report = json.loads(skew(repo, monkeypatch, "--sample", sample, "--json", "-").stdout)
    assert report["rows"] == rows
    assert report["notes"] == [
        f"a sample of {rows} of the window's 60 rows was audited: every lookup of {keys} of 30 entity keys"
    ]
    # Each key was served once fresh and once stale, so half of any sample of keys is stale.
    assert report["parity"]["features"][0]["causes"] == {"stale_online": rows // 2}


@pytest.mark.parametrize("sample", ["0", "-5", "150%", "many", "0.0"])
def test_a_sample_that_is_none_is_refused(repo: Repo, monkeypatch: pytest.MonkeyPatch, sample: str) -> None:
    done = skew(repo, monkeypatch, "--sample", sample)
    assert done.exit_code == COULD_NOT_RUN
    assert "is no sample: write rows (100000) or a share of the keys" in done.stderr


def test_a_key_is_chosen_whatever_else_was_served() -> None:
    drivers = np.arange(1000)

    def chosen(asked: Any, share: float) -> set[object]:
        log = pa.table({"driver": asked})
        sample = choose_keys([log.slice(0, 300), log.slice(300)], ["driver"], share)
        assert sample is not None
        return set(sample.of(log)["driver"].to_pylist())

    tenth = chosen(drivers, 0.1)
    assert len(tenth) == 100
    assert chosen(np.repeat(drivers[::-1], 3), 0.1) == tenth < chosen(drivers, 0.5)
    assert len(chosen(drivers[:500], 0.1) & tenth) >= 40


@pytest.mark.parametrize("sample", [0, -1, 0.0, -0.5])
def test_a_sample_of_nothing_is_refused(repo: Repo, sample: float) -> None:
    with pytest.raises(AuditError, match="says nothing: give at least 1 row, or a share"):
        SkewAuditor(repo.store).run_audit("scoring", NOON, NOON + 4 * HOUR, sample=sample)


def test_a_naive_window_is_utc(repo: Repo) -> None:
    naive = NOON.replace(tzinfo=None)
    aware = SkewAuditor(repo.store).run_audit("scoring", NOON, NOON + HOUR)
    report = SkewAuditor(repo.store).run_audit("scoring", naive, naive + timedelta(hours=1))
    assert (report.start, report.end, report.rows) == (aware.start, aware.end, aware.rows) == (NOON, NOON + HOUR, 30)


def test_a_log_of_another_project_is_named(repo: Repo, tmp_path: Path) -> None:
    class Other(Repo):
        def objects(self) -> list[Any]:
            driver, source, stats, _ = super().objects()
            stats.name = "elsewhere"
            stats.projection.name = "elsewhere"
            return [driver, source, stats, FeatureService(name="scoring", features=[stats])]

    path = {"type": "parquet", "path": str(repo.path / "data/skew/log")}
    other = Other(tmp_path / "other", project="other", skew={"start_shipper": False, "destination": path})
    with pytest.raises(AuditError) as caught:
        SkewAuditor(other.store).run_audit("scoring", NOON, NOON + 4 * HOUR)
    message = str(caught.value)
    assert re.match(r"the log has lookups of 'scoring', and none of its features \(elsewhere__rating", message)
    assert "another project" in message
    assert "\n" not in message
