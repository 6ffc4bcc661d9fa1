"""Looking after a Parquet log: small files of a day become large ones, and old days go.

A merged file appears whole, under a name of its own and with the names of the files that it replaces in its metadata;
then those are deleted. A reader of ours that sees both leaves out the replaced ones, and what a crash left is deleted
the next time. Only one's own files are merged: another spool's shipper may still send one of its own again, which
replaces the file of that name.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import defaultdict
from contextlib import suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from skew_ext.log.upkeep import Upkeep
from skew_ext.schema import LOG_DATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LARGE_BYTES = 64 << 20
"""A file that is large enough; smaller ones are merged."""
ENOUGH = 8
"""So many files of a like size are merged, while a day goes on: each row is then written again a few times at most."""
_MOST_FILES = 512
_ROW_GROUP = 128 << 10
_REPLACES = b"skew.replaces"
_MERGED = "merged"


def replaced_by(schema: pa.Schema) -> list[str]:
    """Give the names of the files that a file of this schema replaces."""
    return list(json.loads((schema.metadata or {}).get(_REPLACES, b"[]")))


def merge_small_files(log: Path, owner: str, today: date) -> int:
    """Merge small files whose names start with `owner`; give how many there are fewer."""
    return sum(_merge_day(folder, owner, over=day < today) for day, folder in days(log))


def prune(log: Path, today: date, *, keep_days: int | None, max_bytes: int | None, dry_run: bool = False) -> Upkeep:
    """Delete the days before the last `keep_days`, and then the oldest beyond `max_bytes`; never today's."""
    done, kept = Upkeep(), []
    first = date.min if keep_days is None else today - timedelta(days=keep_days)
    for day, folder in sorted(days(log)):
        if day < first:
            _delete(folder, "age", done, dry_run=dry_run)
        else:
            kept.append((day, folder, _size(folder)))
    total = sum(size for *_, size in kept)
    for day, folder, size in kept:
        if max_bytes is None or total <= max_bytes or day >= today:
            break
        _delete(folder, "size", done, dry_run=dry_run)
        total -= size
    return done


def days(log: Path) -> Iterator[tuple[date, Path]]:
    """Give the folders of all services' days."""
    for folder in sorted(log.glob(f"*/{LOG_DATE}=*")):
        with suppress(ValueError):  # a folder that is not one of ours
            yield date.fromisoformat(folder.name.partition("=")[2]), folder


def _delete(folder: Path, reason: str, done: Upkeep, *, dry_run: bool) -> None:
    done.pruned[reason] = done.pruned.get(reason, 0) + sum(_rows(file) for file in folder.glob("*.parquet"))
    if not dry_run:
        # Renamed first: a reader finds the whole day, or nothing of it.
        leaving = folder.with_name(f".{folder.name}.{os.getpid()}")
        folder.rename(leaving)
        shutil.rmtree(leaving)


def _rows(file: Path) -> int:
    return int(pq.read_metadata(file).num_rows)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.parquet"))


def _merge_day(folder: Path, owner: str, *, over: bool) -> int:
    for temporary in folder.glob(f".{owner}-*.tmp"):
        temporary.unlink()
    groups: dict[tuple[str, int], list[Path]] = defaultdict(list)
    files = sorted(folder.glob(f"{owner}-*.parquet"), key=lambda file: (file.stat().st_mtime_ns, file.name))
    replaced: set[str] = set()
    schemas = {file: pq.read_schema(file) for file in files}
    for file, schema in schemas.items():
        if _MERGED in file.name:
            replaced.update(replaced_by(schema))
    for name in replaced:
        (folder / name).unlink(missing_ok=True)
    for file in files:
        size = file.stat().st_size if file.name not in replaced else LARGE_BYTES
        if size < LARGE_BYTES:
            # While the day goes on, files are merged with others of their own size: each doubling three times.
            groups[schemas[file].remove_metadata().to_string(), 0 if over else size.bit_length() // 3].append(file)
    least = 2 if over else ENOUGH
    return sum(_merge(run, owner) for group in groups.values() for run in _runs(group) if len(run) >= least)


def _runs(files: Sequence[Path]) -> Iterator[list[Path]]:
    run: list[Path] = []
    size = 0
    for file in files:
        run.append(file)
        size += file.stat().st_size
        if size >= LARGE_BYTES or len(run) >= _MOST_FILES:
            yield run
            run, size = [], 0
    if run:
        yield run


def _merge(files: Sequence[Path], owner: str) -> int:
    names = [file.name for file in files]
    folder = files[0].parent
    name = f"{owner}-{_MERGED}-{hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]}"
    temporary = folder / f".{name}.tmp"
    schema = pq.read_schema(files[0])
    schema = schema.with_metadata({**(schema.metadata or {}), _REPLACES: json.dumps(names).encode()})
    with temporary.open("wb") as target:
        with pq.ParquetWriter(target, schema, compression="zstd") as writer:
            for table in _pieces(files):
                writer.write_table(table.replace_schema_metadata(schema.metadata))
        target.flush()
        os.fsync(target.fileno())
    temporary.replace(folder / f"{name}.parquet")
    for file in files:
        file.unlink()
    return len(files) - 1


def _pieces(files: Sequence[Path]) -> Iterator[pa.Table]:
    """Give the files' rows in pieces of a row group each, so that memory is bounded."""
    waiting: list[pa.Table] = []
    rows = 0
    for file in files:
        with pq.ParquetFile(file) as opened:
            for group in range(opened.num_row_groups):
                waiting.append(opened.read_row_group(group))
                rows += waiting[-1].num_rows
                if rows >= _ROW_GROUP:
                    yield pa.concat_tables(waiting)
                    waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)
