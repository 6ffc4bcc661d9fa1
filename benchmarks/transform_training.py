"""What a shared transform costs per training row, beside the same arithmetic by hand in Feast's two modes.

    python benchmarks/transform_training.py [--rows 1000000] [--rounds 7]

First the transformation step of a historical retrieval alone, on the table that the DuckDB store gives (Feast's own
code for each mode, the views out of the registry): by SkewProvider's Arrow columns, and by the Python lists of plain
Feast. Then whole retrievals through SkewProvider, sources alone and with each view. Rounds alternate; medians of the
thread's CPU time for the step, of wall time for the retrieval, which DuckDB makes in threads of its own.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureStore
from transform_arithmetic import INPUTS, OUTPUTS, views

from benchmarks.embedded import write_config
from skew_ext.transform.on_demand import on_arrow_columns

MODES = ("pandas", "python", "shared")
NOON = pd.Timestamp("2026-03-01T12:00:00Z").as_unit("us")


def make_store(folder: Path, rows: int) -> FeatureStore:
    """Make a store whose source has `rows` rows and 20 features, with the three on-demand views."""
    write_config(folder)
    store = FeatureStore(repo_path=str(folder))
    store.apply(views(folder, rows, 16))
    return FeatureStore(repo_path=str(folder))


def alternating(ways: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Give the median seconds of each way; one round warms up."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = clock()
            way()
            if turn:
                taken[name].append(clock() - start)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def step(store: FeatureStore, table: pa.Table, rounds: int) -> dict[str, float]:
    """Give the seconds of the transformation step alone."""
    by_mode = {mode: store.get_on_demand_feature_view(f"by_{mode}") for mode in MODES}
    ways = {
        "pandas mode, by hand": by_mode["pandas"],
        "python mode, by hand": by_mode["python"],
        "shared, plain Feast": by_mode["shared"],
        "shared, SkewProvider": on_arrow_columns(by_mode["shared"]),
    }
    calls = {name: partial(view.transform_arrow, table) for name, view in ways.items()}
    results = {name: call().select(OUTPUTS).to_pandas() for name, call in calls.items()}
    expected = results["python mode, by hand"]
    for name, result in results.items():
        np.testing.assert_allclose(result.astype("float64"), expected.astype("float64"), rtol=1e-15, err_msg=name)
    return alternating(calls, rounds, time.thread_time)


def retrievals(store: FeatureStore, rows: int, rounds: int) -> dict[str, float]:
    """Give the seconds of whole retrievals."""
    asked = pd.DataFrame({"entity": np.arange(rows), "event_timestamp": NOON})
    sources = [f"measured:{name}" for name in INPUTS]

    def retrieve(features: list[str]) -> pa.Table:
        return store.get_historical_features(asked.copy(), features).to_arrow()

    ways = {"sources alone": partial(retrieve, sources)}
    for mode in MODES:
        ways[f"with by_{mode}"] = partial(retrieve, [*sources, *(f"by_{mode}:{name}" for name in OUTPUTS)])
    return alternating(ways, rounds, time.perf_counter)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        store = make_store(Path(name), options.rows)
        sources = [f"measured:{name}" for name in INPUTS]
        asked = pd.DataFrame({"entity": np.arange(options.rows), "event_timestamp": NOON})
        table = store.get_historical_features(asked, sources).to_arrow()
        _tell("the step", step(store, table, options.rounds), options.rows, "pandas mode, by hand")
        _tell(
            "a retrieval", retrievals(store, options.rows, max(3, options.rounds // 2)), options.rows, "with by_pandas"
        )


def _tell(what: str, seconds: dict[str, float], rows: int, peer: str) -> None:
    sys.stdout.write(f"\n{what:>22} {'seconds':>8} {'ns a row':>9} {'to pandas':>10}\n")
    for name, taken in seconds.items():
        sys.stdout.write(f"{name:>22} {taken:8.3f} {taken / rows * 1e9:9.0f} {taken / seconds[peer]:10.2f}\n")


if __name__ == "__main__":
    main()
