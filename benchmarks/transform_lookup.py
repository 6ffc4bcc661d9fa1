"""What a shared transform costs per lookup, beside the same arithmetic by hand in Feast's python and pandas modes.

    python benchmarks/transform_lookup.py [--rounds 60] [--block 50]

Online lookups on SQLite, for 1 and for 100 entities: the sources alone, and each on-demand view; from a source view of
4 features, all of them inputs, and from one of 20, as views are that serve more than one purpose. Blocks of the four
alternate, and it is the thread's CPU time that is taken, so that what else the machine does cancels out of what each
adds. Then what the transform itself takes of that, and what the comparison of fingerprints takes, which runs on each
lookup.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import timeit
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from feast import FeatureStore
from transform_arithmetic import INPUTS, OUTPUTS, shared, views

from benchmarks.embedded import write_config
from skew_ext.serving.guard import TransformGuard
from skew_ext.serving.resolution import resolve

LABELS = ("sources alone", "by_python", "by_pandas", "by_shared")
SHAPES = (1, 100)
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def make_store(folder: Path, unused: int) -> FeatureStore:
    """Make a store of 200 entities with the three on-demand views, materialized into SQLite."""
    write_config(folder, provider="local")
    store = FeatureStore(repo_path=str(folder))
    store.apply(views(folder, 200, unused))
    store.materialize(NOON - timedelta(hours=1), NOON + timedelta(hours=1))
    return FeatureStore(repo_path=str(folder))


def references(label: str) -> list[str]:
    """Give what to look up; the sources are always asked for, so that only the on-demand view differs."""
    sources = [f"measured:{name}" for name in INPUTS]
    return sources if label == LABELS[0] else [*sources, *(f"{label}:{name}" for name in OUTPUTS)]


def lookups(store: FeatureStore, entities: int, rounds: int, block: int) -> dict[str, list[float]]:
    """Give seconds per lookup of each round, by label."""
    rows = [{"entity": number} for number in range(entities)]
    asked = {label: references(label) for label in LABELS}
    taken: dict[str, list[float]] = {label: [] for label in LABELS}
    for turn in range(rounds + 1):
        for label, features in asked.items():
            start = time.thread_time()
            for _ in range(block):
                store.get_online_features(features, rows)
            if turn:  # the first warms up
                taken[label].append((time.thread_time() - start) / block)
    return taken


def added(taken: dict[str, list[float]], label: str) -> float:
    """Give the median of what a view adds to the lookup of its round, in microseconds."""
    pairs = zip(taken[label], taken[LABELS[0]], strict=True)
    return statistics.median(one - alone for one, alone in pairs) * 1e6


def quickest(call: Callable[[], object], number: int = 2000) -> float:
    """Give the microseconds that a call takes, undisturbed."""
    return min(timeit.repeat(call, timer=time.thread_time, number=number, repeat=7)) / number * 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--block", type=int, default=50)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sys.stdout.write(f"{'source':>8} {'entities':>8} {'':>14} {'lookup, us':>10} {'adds, us':>9} {'to python':>10}\n")
    for unused in (0, 16):
        with tempfile.TemporaryDirectory() as name:
            store = make_store(Path(name), unused)
            for entities in SHAPES:
                taken = lookups(store, entities, options.rounds, max(1, options.block // entities))
                _tell(len(INPUTS) + unused, entities, taken)
    with tempfile.TemporaryDirectory() as name:
        _parts(make_store(Path(name), 0))


def _tell(features: int, entities: int, taken: dict[str, list[float]]) -> None:
    for label in LABELS:
        told = f"{added(taken, label):9.0f} {added(taken, label) / added(taken, 'by_python'):10.2f}"
        median = statistics.median(taken[label]) * 1e6
        shown = told if label != LABELS[0] else ""
        sys.stdout.write(f"{features:>8} {entities:>8} {label:>14} {median:10.0f} {shown}\n")


def _parts(store: FeatureStore) -> None:
    columns = {name: [7.5] for name in INPUTS}
    by_hand = store.get_on_demand_feature_view("by_python").feature_transformation
    schema = resolve(references("by_shared"), store.registry, "bench", full_feature_names=False)
    guard = TransformGuard("warn")
    sys.stdout.write(
        f"\nof one row, us: the shared transform {quickest(lambda: shared.on_demand(columns, {})):.1f}, "
        f"python by hand {quickest(lambda: by_hand.udf(columns)):.1f}, "  # type: ignore[union-attr]
        f"the comparison of fingerprints {quickest(lambda: guard.check(schema)):.2f}\n"
    )


if __name__ == "__main__":
    main()
