"""What is known of a Parquet source from its footers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skew_ext.linting.columns import MOST_FILES, Range, read_columns
from skew_ext.linting.stores import offline_kind, online_kind


def write(path: Path, values: list[int | None], **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": pa.array(values, pa.int64())}), path, **options)
    return path


def test_a_file(tmp_path: Path) -> None:
    columns = read_columns(write(tmp_path / "rows", [3, None, -7]))
    assert columns is not None
    assert columns.names == {"x"}
    assert columns.type_of("x") == pa.int64()
    assert columns.type_of("y") is None
    assert columns.range_of("x") == Range(-7, 3, 1)


def test_a_folder_is_summed_up_and_its_newest_file_gives_the_schema(tmp_path: Path) -> None:
    write(tmp_path / "day=1" / "a.parquet", [None, 5], row_group_size=1)
    write(tmp_path / "day=2" / "b.parquet", [])
    write(tmp_path / "day=3" / ".c.parquet", [99])
    pq.write_table(pa.table({"x": [1.5]}), tmp_path / "day=4.parquet")
    columns = read_columns(tmp_path)
    assert columns is not None
    assert columns.type_of("x") == pa.float64()
    assert columns.range_of("x") == Range(1.5, 5, 1)


def test_a_partitioned_folder_has_the_columns_of_its_path(tmp_path: Path) -> None:
    write(tmp_path / "day=1" / "hour=2" / "a.parquet", [1])
    columns = read_columns(tmp_path)
    assert columns is not None
    assert columns.names == {"x", "day", "hour"}


def test_no_more_footers_than_said(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 2):
        write(tmp_path / f"{number:03}.parquet", [number])
    columns = read_columns(tmp_path)
    assert columns is not None
    assert columns.range_of("x") == Range(2, MOST_FILES + 1, 0)


def test_statistics_that_are_not_there(tmp_path: Path) -> None:
    columns = read_columns(write(tmp_path / "rows.parquet", [1, None], write_statistics=False))
    assert columns is not None
    assert columns.range_of("x") is None


def test_all_null(tmp_path: Path) -> None:
    columns = read_columns(write(tmp_path / "rows.parquet", [None, None]))
    assert columns is not None
    assert columns.range_of("x") == Range(None, None, 2)


def test_what_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x\n1\n")
    assert read_columns(tmp_path / "rows.csv") is None
    assert read_columns(tmp_path / "nowhere") is None
    assert read_columns(tmp_path) is None


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("file", "dask"),
        ("duckdb", "duckdb"),
        ("snowflake.offline", "snowflake.offline"),
        ("skew_ext.log.postgres_offline.SkewPostgreSQLOfflineStore", "postgres"),
        ("company.stores.DaskOfflineStore", "dask"),
        ("company.stores.OwnStore", "company.stores.OwnStore"),
    ],
)
def test_a_store_of_ones_own_is_the_one_it_is_named_after(written: str, kind: str) -> None:
    assert offline_kind(written) == kind


def test_online_stores() -> None:
    assert online_kind("redis") == "redis"
    assert online_kind("feast.infra.online_stores.sqlite.SqliteOnlineStore") == "sqlite"
