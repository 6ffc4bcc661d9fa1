"""Parity alone: 1 million rows x 20 features compared cell by cell, against datacompy and a DuckDB join.

    pip install datacompy polars
    python benchmarks/audit_parity.py [--rows 1000000] [--repeat 3]

Both sides are Parquet files, rows aligned by an id and in one order; 1 % of the cells differ and 2 % are null. Each way
reads both and says, for each feature, how many cells differ, how many only by rounding where it can, and the
largest error. Each run is a process of its own and the sides run in turn; prints the median seconds, the highest peak
memory (VmHWM), and the ratio to ours. datacompy compares within 1e-9 relative, and DuckDB by IS DISTINCT FROM: neither
tells -0.0, NaN or rounding apart, so ours does more.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FLOATS, INTS, TEXTS = 14, 3, 3
NAMES = [*(f"f{n}" for n in range(FLOATS)), *(f"i{n}" for n in range(INTS)), *(f"t{n}" for n in range(TEXTS))]
DIFFER, NULL = 0.01, 0.02


def make(folder: Path, rows: int) -> None:
    """Write served.parquet and baseline.parquet."""
    rng = np.random.default_rng(1)
    words = pa.array([f"word {number}" for number in range(500)])
    sides: dict[str, dict[str, Any]] = {"served": {"id": np.arange(rows)}, "baseline": {"id": np.arange(rows)}}
    for name in NAMES:
        values: Any = rng.gamma(2.0, 10.0, rows) if name[0] == "f" else rng.integers(0, 499, rows)
        other = np.where(rng.random(rows) < DIFFER, values + 1, values)
        null = rng.random(rows) < NULL
        for side, column in (("served", values), ("baseline", other)):
            array = pa.array(column, mask=null)
            sides[side][name] = words.take(array) if name[0] == "t" else array
    for side, columns in sides.items():
        pq.write_table(pa.table(columns), folder / f"{side}.parquet")


def ours(folder: Path) -> dict[str, int]:
    """Compare as an audit does, a column at a time."""
    from skew_ext.audit.cells import compare, numbers, plain  # noqa: PLC0415 - each side imports its own

    found = {}
    for name in NAMES:
        served, baseline = (plain(pq.read_table(folder / f"{s}.parquet", columns=[name])[name]) for s in SIDES)
        different = compare(served, baseline).different
        found[name] = int(different.sum())
        rows = pa.array(np.flatnonzero(different))
        left, right = numbers(served.take(rows)), numbers(baseline.take(rows))
        if left is not None and right is not None:
            np.nanmax(np.abs(left - right))
    return found


def duckdb_join(folder: Path) -> dict[str, int]:
    """Join by the id and count in SQL."""
    import duckdb  # noqa: PLC0415 - likewise

    counts = ", ".join(f"count(*) FILTER (s.{n} IS DISTINCT FROM b.{n})" for n in NAMES)
    errors = ", ".join(f"max(abs(s.{n} - b.{n}))" for n in NAMES if n[0] != "t")
    tables = f"'{folder}/served.parquet' s JOIN '{folder}/baseline.parquet' b USING (id)"
    row = duckdb.sql(f"SELECT {counts}, {errors} FROM {tables}").fetchall()[0]  # noqa: S608 - our own names
    return dict(zip(NAMES, row, strict=False))


def datacompy_pandas(folder: Path) -> dict[str, int]:
    """Compare by datacompy, on pandas."""
    import datacompy  # noqa: PLC0415 - likewise
    import pandas as pd  # noqa: PLC0415 - likewise

    frames = [pd.read_parquet(folder / f"{side}.parquet") for side in SIDES]
    compared = getattr(datacompy, "PandasCompare", None) or datacompy.Compare
    return _unequal(compared(*frames, join_columns="id", rel_tol=1e-9))


def datacompy_polars(folder: Path) -> dict[str, int]:
    """Compare by datacompy, on polars."""
    import datacompy  # noqa: PLC0415 - likewise
    import polars as pl  # noqa: PLC0415 - likewise

    frames = [pl.read_parquet(folder / f"{side}.parquet") for side in SIDES]
    return _unequal(datacompy.PolarsCompare(*frames, join_columns="id", rel_tol=1e-9))


def _unequal(compared: Any) -> dict[str, int]:
    return {stat["column"]: int(stat["unequal_cnt"]) for stat in compared.column_stats if stat["column"] in NAMES}


SIDES = ("served", "baseline")
WAYS = {"skew_ext": ours, "duckdb join": duckdb_join, "datacompy": datacompy_pandas, "datacompy pl": datacompy_polars}


def measured(way: str, folder: Path) -> dict[str, Any]:
    """Run one way in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--way", way, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(way: str, folder: Path) -> None:
    """Run one way here, and print what it took; imports are not counted."""
    __import__({"skew_ext": "skew_ext.audit.cells", "duckdb join": "duckdb"}.get(way, "datacompy"))
    started, cpu = time.perf_counter(), time.process_time()
    found = WAYS[way](folder)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "cells": sum(found.values())}))


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        run(given.way, given.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), given.rows)
        runs = [(way, measured(way, Path(name))) for _ in range(given.repeat) for way in WAYS]
    base = median(one["seconds"] for way, one in runs if way == "skew_ext")
    for way in WAYS:
        of = [one for which, one in runs if which == way]
        seconds, cpu = (median(one[what] for one in of) for what in ("seconds", "cpu"))
        peak, cells = max(one["peak"] for one in of), of[0]["cells"]
        print(
            f"{way:<13} {seconds:6.2f} s  {seconds / base:5.2f} x ours  cpu {cpu:6.2f} s  peak {peak:5.0f} MiB  "
            f"{cells:,} differ"
        )


if __name__ == "__main__":
    main()
