"""An audit by parts is the audit in one piece: the same report, whatever the parts, the blocks and the files."""

from __future__ import annotations

import json
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skew_ext import SkewAuditor, request_context
from skew_ext.auditor import first_pass, parts
from skew_ext.report import Report
from skew_ext.shipping.shipper import Shipper
from tests.kit import HOUR, MINUTE, NOON, Repo, row

DRIVERS = range(40)
SHIFTS = 6


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Give a repo with several faults in its log: stale, missing, expired and rescaled cells."""
    repo = Repo(tmp_path_factory.mktemp("parts") / "repo")
    rows = [row(driver, NOON + hour * HOUR, driver + hour / 7, hour, "x") for driver in DRIVERS for hour in range(8)]
    repo.write([{**one, "rating": one["rating"] * 2.5} for one in rows if one["driver"] != 7])
    repo.materialize(NOON + MINUTE)
    repo.write([one for one in rows if one["driver"] != 11])
    for number in range(SHIFTS):
        at = NOON + number * 40 * MINUTE + 2 * MINUTE
        with request_context(served_at=at):
            service = repo.store.get_feature_service("scoring")
            repo.store.get_online_features(service, [{"driver": driver} for driver in DRIVERS])
        Shipper(repo.path / "data/skew/spool").drain()
    return repo


def audit(repo: Repo, **options: Any) -> Report:
    return SkewAuditor(repo.store).run_audit("scoring", NOON, NOON + timedelta(days=1), **options)


def content(report: Report) -> dict[str, Any]:
    """Give the report without what may differ: when it was made, and which cells stand for many."""
    read: dict[str, Any] = json.loads(report.to_json())
    read.pop("created_at")
    for feature in read["parity"]["features"]:
        feature["examples"] = len(feature["examples"])
    return read


@pytest.fixture(scope="module")
def whole(repo: Repo) -> dict[str, Any]:
    return content(audit(repo))


@pytest.mark.parametrize("size", [1, 7, 40, 239])
def test_parts_of_any_size_give_the_same_report(
    repo: Repo, whole: dict[str, Any], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", size * SHIFTS)
    assert content(audit(repo)) == whole
    assert whole["rows"] == len(DRIVERS) * SHIFTS


def test_the_report_has_faults_to_find(whole: dict[str, Any]) -> None:
    causes = {feature["feature"]: feature["causes"] for feature in whole["parity"]["features"]}
    assert set(causes["stats__rating"]) >= {"rescaled", "missing_online"}
    assert set(causes["stats__trips"]) >= {"stale_online", "missing_online"}
    # Three times the 0 of a row that the source has no more: not a default in the place of null.
    assert causes["stats__trips"]["unexplained"] == 3


def test_blocks_from_disk_count_what_one_block_counts(
    repo: Repo, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 30)
    monkeypatch.setattr(first_pass, "EXPLAINED_CELLS", 300)
    made: list[str] = []
    original = tempfile.TemporaryDirectory

    def noted(**options: Any) -> Any:
        folder = original(**options)
        made.append(folder.name)
        return folder

    monkeypatch.setattr(tempfile, "TemporaryDirectory", noted)
    blocks = content(audit(repo))
    assert len(made) == 1
    assert not Path(made[0]).exists()

    def counted(report: dict[str, Any]) -> list[Any]:
        return [[one[name] for name in ("compared", "mismatched", "causes")] for one in report["parity"]["features"]]

    assert counted(blocks) == counted(whole)
    # Medians of several blocks are means of theirs; they stand in the message.
    assert [one | {"message": ""} for one in blocks["findings"]] == [one | {"message": ""} for one in whole["findings"]]


def test_a_file_of_many_row_groups_is_read_like_many_files(
    repo: Repo, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((repo.path / "data/skew/log").rglob("*.parquet"))
    before = {file: file.read_bytes() for file in files}
    for file in files:
        pq.write_table(pq.read_table(file, partitioning=None), file, row_group_size=9)
    monkeypatch.setattr(parts, "PART_ROWS", 50)
    try:
        assert content(audit(repo)) == whole
    finally:
        for file, octets in before.items():
            file.write_bytes(octets)


def test_an_audit_leaves_nothing_in_duckdbs_catalog_and_arrow_as_it_was(repo: Repo) -> None:
    def views() -> int:
        backend: Any = ibis.get_backend()
        (count,) = backend.con.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchone()
        return int(count)

    before, pool = views(), pa.default_memory_pool().backend_name
    audit(repo)
    assert views() == before
    assert pa.default_memory_pool().backend_name == pool


def test_large_windows_have_their_distributions_from_an_even_sample_and_say_so(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_pass, "DISTRIBUTION_CELLS", 300)
    report = audit(repo)
    (skew, *_) = report.distribution.skew
    assert 0 < skew.n_served <= 100
    assert skew.n_served == skew.n_reference
    assert report.notes == [
        f"the distributions are of an even sample of {skew.n_served} of the 240 rows; all else is of all"
    ]
    assert report.parity.cells == 720
