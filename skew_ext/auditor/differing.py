"""The rows with a differing cell, kept for explaining: in memory while they are few, else in temporary files.

Many rows are explained in blocks. Each block is an even sample of the whole window, so that what must hold for nearly
all of a feature's differing cells (one factor, one shift) is judged alike in each.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import feather

from skew_ext.audit.sample import hashed
from skew_ext.log.union import union
from skew_ext.schema import LOG_TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKETS = 64
BASELINE_PREFIX = "skew_baseline__"
"""What a row's baseline stands under, beside what was served."""


class DifferingRows:
    """`most` is how many rows are given back at once. Its temporary files are there until it is closed."""

    def __init__(self, most: int) -> None:
        self.rows = 0
        self._most = max(most, 1)
        self._here: list[pa.Table] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._spilled = 0

    def close(self) -> None:
        """Delete the temporary files."""
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, rows: pa.Table) -> None:
        """Keep some rows."""
        if not rows.num_rows:
            return
        self.rows += rows.num_rows
        self._here.append(rows)
        if self.rows - self._spilled > self._most:
            self._spill()

    def blocks(self) -> Iterator[pa.Table]:
        """Give the rows, at most about `most` at a time."""
        if self._folder is None:
            if self.rows:
                yield union(self._here)
            return
        self._spill()
        folder, count = Path(self._folder.name), min(-(-self.rows // self._most), BUCKETS)
        for buckets in np.array_split(np.arange(BUCKETS), count):
            files = [file for bucket in buckets for file in sorted(folder.glob(f"{bucket}-*"))]
            block = union([feather.read_table(file, memory_map=False) for file in files])
            if block.num_rows:
                yield block.sort_by(LOG_TIMESTAMP)
            del block  # before the next one is read

    def _spill(self) -> None:
        """Deal the rows that are in memory out to the buckets' files."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="skew-audit-")
        rows = union(self._here)
        numbers = np.arange(self._spilled, self._spilled + rows.num_rows, dtype=np.uint64)
        bucket_of = hashed(numbers) % np.uint64(BUCKETS)
        dealt = rows.take(pa.array(np.argsort(bucket_of, kind="stable")))
        ends = np.cumsum(np.bincount(bucket_of.astype(np.int64), minlength=BUCKETS)).tolist()
        for bucket, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            file = Path(self._folder.name) / f"{bucket}-{self._spilled:015d}"
            feather.write_feather(dealt.slice(start, end - start), str(file))
        self._spilled += rows.num_rows
        self._here = []
