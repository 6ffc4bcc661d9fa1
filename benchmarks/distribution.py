"""All statistics of 20 columns from Parquet: the time over that of reading the same files, memory, and peers.

    python benchmarks/distribution.py [--rows 1000000 10000000] [--peers FOLDER] [--only NAME ...]

Data: 14 float64 columns (nulls, zero inflation), 3 int64, 3 strings of cardinality 5, 50 and 5,000; reference and
current of equal size, in Parquet with row groups of 262,144; a mean shift, a scale change, a jump of the null rate and
a category swap are put in. Each contestant is a process of its own, which imports what it needs before its clock
starts; its peak is the process's own (VmHWM), imports included. They take turns, and the median of three counts; a peer
has one turn. On a busy machine trust the processor's seconds more than the clock's.

The floor reads and decodes every column of both files, one at a time, and sums it. `skew_ext` gives everything of a
distribution row: PSI, exact KS, chi-square, Jensen-Shannon, Wasserstein, z, null rates, out of range, unseen, the
histogram, the verdict. `skew_ext_avx2` is the same with numpy's AVX-512 switched off, where the processor has it: on
AMD's Zen 4 numpy sorts six times slower with it (https://github.com/numpy/x86-simd-sort/issues/6). Large columns are
not sorted, and so it tells how much of the work still is.
The peers give what their presets give, which is less. They clash with one another and with Feast: FOLDER has a virtual
environment for each (`FOLDER/evidently/bin/python`, `whylogs`, `nannyml`); one that is not there is said so. whylogs
runs with "numpy<2" and "pyarrow<20" alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FLOATS, INTEGERS = 14, 3
SCALED = 3
CATEGORIES = (5, 50, 5_000)
ROW_GROUP = 262_144
ROUNDS = 3
LONGEST = 560
PEER_ROWS = 1_000_000


def make(folder: Path, rows: int) -> None:
    """Write both files, a row group at a time."""
    import numpy as np  # noqa: PLC0415 - the contestants import only what they need
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    for side, changed in (("reference", False), ("current", True)):
        random = np.random.default_rng(7 + changed)
        writer = None
        for start in range(0, rows, ROW_GROUP):
            size = min(ROW_GROUP, rows - start)
            table = pa.table(_columns(np, pa, random, size, changed=changed))
            writer = writer or pq.ParquetWriter(folder / f"{side}.parquet", table.schema)
            writer.write_table(table, row_group_size=ROW_GROUP)
        if writer is not None:
            writer.close()


def _columns(np: Any, pa: Any, random: Any, size: int, *, changed: bool) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for number in range(FLOATS):
        values = random.normal(number, 1 + number / 10, size) if number % 2 else random.lognormal(0, 1, size)
        if number == 1 and changed:
            values = values + 0.5
        if number == SCALED and changed:
            values = 3 + (values - 3) * 1.5
        if number % 4 == 0:
            values = values * (random.random(size) > 0.6)  # noqa: PLR2004 - the share of zeros
        share = 0.2 if number == 5 and changed else 0.02 if number % 3 == 2 else 0.0  # noqa: PLR2004 - shares of nulls
        columns[f"f{number}"] = pa.array(values, mask=random.random(size) < share if share else None)
    for number in range(INTEGERS):
        columns[f"i{number}"] = random.poisson((1.5, 40, 10_000)[number], size)
    for number, count in enumerate(CATEGORIES):
        weights = 1 / np.arange(1, count + 1)
        codes = random.choice(count, size, p=weights / weights.sum())
        codes = (codes + 1) % count if changed and number == 0 else codes
        names = pa.array([f"value {code}" for code in range(count)])
        columns[f"s{number}"] = names.take(pa.array(codes))
    return columns


def floor(folder: Path) -> Callable[[], object]:
    """Read and decode each column, and sum it."""
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    def run() -> int:
        total = 0
        for side in ("reference", "current"):
            with pq.ParquetFile(folder / f"{side}.parquet") as file:
                for name in file.schema_arrow.names:
                    for group in range(file.num_row_groups):
                        column = file.read_row_group(group, columns=[name]).column(0)
                        total += pc.count(column).as_py() if name[0] == "s" else int(pc.sum(column).as_py() > 0)
        return total

    return run


def skew_ext(folder: Path) -> Callable[[], object]:
    """All of ours, a column at a time."""
    import pandas as pd  # noqa: F401, PLC0415 - pyarrow imports it when it is first given an array of numpy's
    import pyarrow.parquet as pq  # noqa: PLC0415

    from skew_ext.statistics import ParquetColumn, distribution_rows  # noqa: PLC0415

    files = [folder / f"{side}.parquet" for side in ("reference", "current")]
    names = pq.read_schema(files[0]).names

    def run() -> int:
        rows = distribution_rows((name, *(ParquetColumn(file, name) for file in files)) for name in names)
        told = {row.feature for row in rows if row.verdict != "pass"}
        assert told == {"f1", "f3", "f5", "s0"}, told
        return len(told)

    return run


def scipy(folder: Path) -> Callable[[], object]:
    """PSI, KS, chi-square and Wasserstein as one would write them in a notebook: pandas, numpy and SciPy."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    from scipy import stats  # noqa: PLC0415

    def numeric(a: Any, b: Any) -> None:
        a, b = a.dropna().to_numpy(), b.dropna().to_numpy()
        edges = np.unique(np.quantile(a, np.arange(0.1, 1, 0.1)))
        p, q = (np.bincount(np.searchsorted(edges, one), minlength=len(edges) + 1) / len(one) + 1e-6 for one in (a, b))
        float(((q - p) * np.log(q / p)).sum())
        stats.ks_2samp(a, b, method="asymp")
        stats.wasserstein_distance(a, b)

    def run() -> None:
        a, b = (pd.read_parquet(folder / f"{side}.parquet") for side in ("reference", "current"))
        for name in a.columns:
            if name[0] == "s":
                counts = pd.concat([one[name].value_counts() for one in (a, b)], axis=1).fillna(0).to_numpy()
                stats.chi2_contingency(counts.T)
            else:
                numeric(a[name], b[name])

    return run


def evidently(folder: Path) -> Callable[[], object]:
    """Evidently's drift preset, with PSI for every column."""
    import pandas as pd  # noqa: PLC0415
    from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415
    from evidently.presets import DataDriftPreset  # noqa: PLC0415

    def run() -> None:
        a, b = (pd.read_parquet(folder / f"{side}.parquet") for side in ("reference", "current"))
        numbers, texts = ([name for name in a.columns if (name[0] == "s") == text] for text in (False, True))
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
        sets = [Dataset.from_pandas(one, data_definition=definition) for one in (b, a)]
        Report([DataDriftPreset(method="psi")]).run(*sets).dict()

    return run


def nannyml(folder: Path) -> Callable[[], object]:
    """NannyML's univariate drift: KS and Jensen-Shannon, chi-square."""
    import nannyml as nml  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    def run() -> None:
        a, b = (pd.read_parquet(folder / f"{side}.parquet") for side in ("reference", "current"))
        calculator = nml.UnivariateDriftCalculator(
            column_names=list(a.columns),
            continuous_methods=["kolmogorov_smirnov", "jensen_shannon"],
            categorical_methods=["chi2", "jensen_shannon"],
            chunk_size=len(b),
        )
        calculator.fit(a)
        calculator.calculate(b).to_df()

    return run


def whylogs(folder: Path) -> Callable[[], object]:
    """Give whylogs' profiles of both sides and their drift scores: KS of sketches, chi-square."""
    import pandas as pd  # noqa: PLC0415
    import whylogs as why  # noqa: PLC0415
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores  # noqa: PLC0415

    def run() -> None:
        a, b = (pd.read_parquet(folder / f"{side}.parquet") for side in ("reference", "current"))
        before, after = (why.log(one).view() for one in (a, b))
        calculate_drift_scores(target_view=after, reference_view=before)

    return run


OURS = {"floor": floor, "skew_ext": skew_ext, "skew_ext_avx2": skew_ext, "scipy": scipy}
NO_AVX512 = {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_SKX AVX512_ICL AVX512_SPR", "PYTHONWARNINGS": "ignore"}
PEERS = {"evidently": evidently, "nannyml": nannyml, "whylogs": whylogs}


def measured(name: str, folder: Path) -> None:
    """Run one contestant in this process; print its seconds, the processor's, and its peak in MB."""
    run = (OURS | PEERS)[name](folder)
    start, before = time.perf_counter(), time.process_time()
    run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - before
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(f"{seconds} {cpu} {int(peak.split()[1]) / 1024}")


def asked(python: str, name: str, folder: Path) -> tuple[float, ...] | str:
    """Run one contestant in a process of its own; a message where it fails."""
    command = [python, __file__, "--contestant", name, "--folder", str(folder)]
    root = str(Path(__file__).resolve().parents[1])
    environment = os.environ | ({"PYTHONPATH": root} if python == sys.executable else {})
    environment |= NO_AVX512 if name == "skew_ext_avx2" else {}
    try:
        done = subprocess.run(  # noqa: PLW1510 - its exit code is looked at
            command, capture_output=True, text=True, timeout=LONGEST, env=environment
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {LONGEST} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1][:150]
    return tuple(float(figure) for figure in done.stdout.split()[-3:])


def contest(rows: int, peers: Path | None, only: list[str], rounds: int) -> None:
    """Measure all of them at one size, in turns."""
    with tempfile.TemporaryDirectory(prefix="skew-distribution-") as made:
        folder = Path(made)
        make(folder, rows)
        pythons = dict.fromkeys(OURS, sys.executable)
        if peers is not None and rows <= PEER_ROWS:
            pythons |= {name: str(peers / name / "bin" / "python") for name in PEERS}
        results: dict[str, list[tuple[float, ...]]] = {}
        for turn in range(rounds):
            for name, python in pythons.items():
                if (only and name not in {*only, "floor"}) or (turn and (name not in results or name in PEERS)):
                    continue
                found = asked(python, name, folder) if Path(python).exists() else "is not installed"
                if isinstance(found, str):
                    print(f"  {name}: {found}")
                else:
                    results.setdefault(name, []).append(found)
    print(f"\n{rows:,} + {rows:,} rows, 20 columns\n  {'':14} seconds  x floor  processor  x floor  peak MB")
    least = [statistics.median(column) for column in zip(*results["floor"], strict=True)]
    for name, found in results.items():
        seconds, cpu, peak = (statistics.median(column) for column in zip(*found, strict=True))
        figures = f"{seconds:7.2f}  {seconds / least[0]:7.2f}  {cpu:9.2f}  {cpu / least[1]:7.2f}  {peak:7.0f}"
        print(f"  {name:14} {figures}", flush=True)


def main() -> None:
    """Run the contest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of ours and the floor; a peer has one")
    parser.add_argument("--peers", type=Path, help="a folder with a virtual environment for each peer")
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        measured(options.contestant, options.folder)
        return
    for rows in options.rows:
        contest(rows, options.peers, options.only, options.rounds)


if __name__ == "__main__":
    main()
