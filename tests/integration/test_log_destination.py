"""What a destination promises beside storing rows: whose they are, how many, who may read them, whether it is there."""

from __future__ import annotations

import json
import os
import stat
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from feast import FeatureService

from skew_ext import ServingLogger, read_log, request_context
from skew_ext.cli.main import cli
from skew_ext.log.parquet_files import ABOUT, About
from skew_ext.log.query import LogQuery
from skew_ext.schema import LABEL, RESERVED, LogSchema
from skew_ext.shipping.shipper import Shipper
from tests.kit import NOON, Repo
from tests.logs import DAY, TODAY, files, stored, values


def as_earlier_version(folder: Path, name: str) -> None:
    """Make of a service's folder what an earlier version had written: its own name, and no word of it in the files."""
    for file in files(folder):
        table = pq.read_table(file)
        metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key != ABOUT}
        pq.write_table(table.replace_schema_metadata(metadata), file)
    folder.rename(folder.with_name(name))


def test_the_service_stands_in_each_file_and_is_checked(tmp_path: Path) -> None:
    log = stored(tmp_path, 2, service="Fraud")
    stored(tmp_path, 3, service="fraud", start=10)
    (first, *_) = files(tmp_path / "fraud")
    about = About.decoded((pq.read_schema(first).metadata or {})[ABOUT])
    assert (about.service, about.records, about.day, about.rows) == ("fraud", False, TODAY, 1)
    assert values(log, feature_service="fraud") == [10, 11, 12]
    # What another service's folder has is not this one's, whoever put it there.
    (there,) = {file.parent for file in files(tmp_path) if file.parent.parent.name.startswith("Fraud~")}
    first.rename(there / first.name)
    read = log.read(LogQuery("Fraud"))
    assert read["v__f"].to_pylist() == [0, 1]
    assert values(log, feature_service="fraud") == [11, 12]
    assert b"has rows of the feature service 'fraud', another folder's" in read.schema.metadata[b"skew.notes"]


def test_what_an_earlier_version_wrote_stays_readable(tmp_path: Path) -> None:
    log = stored(tmp_path, 3, service="Fraud")
    (folder,) = tmp_path.iterdir()
    as_earlier_version(folder, "Fraud")
    stored(tmp_path, 2, service="Fraud", start=3)
    assert len(list(tmp_path.iterdir())) == 2
    assert values(log, feature_service="Fraud") == values(log) == [0, 1, 2, 3, 4]
    assert log.read(LogQuery("fraud")).num_rows == 0


@pytest.mark.parametrize("service", RESERVED)
def test_a_service_with_the_name_of_our_records_has_its_own_rows(tmp_path: Path, service: str) -> None:
    repo = Repo(tmp_path / "repo")
    view = repo.store.get_feature_view("stats")
    repo.store.apply(FeatureService(name=service, features=[view]))
    logger = ServingLogger(repo.path)
    logger.log_inference("r", 1, {"x": 1})
    logger.log_prediction("r", 0.5)
    logger.log_label("r", 1, NOON)
    Shipper(repo.path / "data/skew/spool").drain()
    assert read_log(repo.path, service).num_rows == read_log(repo.path, service, records=True).num_rows == 1
    assert read_log(repo.path, service, records=False).num_rows == 0
    with request_context(served_at=NOON):
        repo.store.get_online_features(repo.store.get_feature_service(service), [{"driver": 1}, {"driver": 2}])
    Shipper(repo.path / "data/skew/spool").drain()
    lookups = read_log(repo.path, service)
    assert lookups["driver"].to_pylist() == [1, 2]
    assert read_log(repo.path, service, records=True).num_rows == 1
    assert read_log(repo.path).num_rows == 5
    shown = CliRunner().invoke(cli, ["-c", str(repo.path), "log", "tail", "-n", "9", "--json", "-"])
    assert shown.output.count('"kind": "lookup"') == 1


def test_a_schema_says_whose_records_it_is_and_earlier_ones_are_known_by_their_views() -> None:
    plain = LogSchema("p", "scoring", (), (), ())
    assert "records" not in plain.text  # the hash is what it was
    for records in (True, False):
        schema = LogSchema("p", LABEL, (), (), (), records=records)
        assert LogSchema.from_text(schema.text) == schema
    for view, records in (("model", True), ("stats", False)):
        feature = {"name": "label", "response_name": "x", "value_type": "INT64", "ttl_microseconds": None}
        features = [{"view": view, "on_demand": False, **feature}]
        told = {"project": "p", "feature_service": LABEL, "features": features, "join_keys": [], "request_data": []}
        assert LogSchema.from_text(json.dumps({**told, "transforms": []})).records is records


def test_rows_are_counted_by_owner_service_and_day(tmp_path: Path) -> None:
    log = stored(tmp_path, 3)
    stored(tmp_path, 2, start=3, at=NOON + DAY)
    stored(tmp_path, 4, start=5, service="other")
    stored(tmp_path, 7, start=9, owner="theirs")
    expected = {"scoring": {TODAY: 3, TODAY + DAY: 2}, "other": {TODAY: 4}}
    assert log.count_rows("mine") == expected
    (first, *_) = files(tmp_path / "scoring")
    (first.parent / f"mine-copy{first.name}").write_bytes(first.read_bytes())
    assert log.count_rows("mine") == expected
    log.maintain("mine", TODAY + 2 * DAY)
    assert log.count_rows("mine") == expected
    for file in files(tmp_path / "other"):
        file.unlink()
    assert log.count_rows("mine") == {"scoring": expected["scoring"]}
    assert log.count_rows("nobody") == {}


@pytest.mark.parametrize(("access", "modes"), [("owner", {0o600, 0o700}), ("group", {0o640, 0o750})])
@pytest.mark.parametrize("umask", [0, 0o077])
def test_who_may_read_the_log_is_a_setting_and_not_the_umask(
    tmp_path: Path, access: str, modes: set[int], umask: int
) -> None:
    repo = Repo(tmp_path / "repo", skew={"start_shipper": False, "destination": {"type": "parquet", "access": access}})
    before = os.umask(umask)
    try:
        for number in range(9):
            repo.store.get_online_features(["stats:rating"], [{"driver": number}])
            Shipper(repo.path / "data/skew/spool").drain()
    finally:
        os.umask(before)
    log = repo.path / "data/skew/log"
    found = {stat.S_IMODE(path.stat().st_mode) for path in [log, *log.rglob("*")]}
    assert found == modes


def test_a_service_that_no_file_system_could_name_is_stored_as_the_others(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    long = "服" * 90
    repo.store.apply(FeatureService(name=long, features=[repo.store.get_feature_view("stats")]))
    with request_context(served_at=NOON - timedelta(hours=1)):
        repo.store.get_online_features(repo.store.get_feature_service(long), [{"driver": 1}])
    Shipper(repo.path / "data/skew/spool").drain()
    assert set(read_log(repo.path, long)["__feature_service"].to_pylist()) == {long}
