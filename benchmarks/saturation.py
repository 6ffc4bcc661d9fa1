"""Throughput of a saturated serving process, every lookup logged and shipped, against Feast's own provider.

    python benchmarks/saturation.py [--rounds 12] [--seconds 1.0]

One process asks as fast as it can; the shipper is a process of its own that stores to Parquet all the while. Blocks
with and without logging alternate, so that the machine's speed cancels out of the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from capture_overhead import make_store
from feast import FeatureStore

from skew_ext.shipping.stats import log_stats


def lookups_per_second(store: FeatureStore, references: list[str], entities: int, seconds: float) -> float:
    """Ask for `seconds`, and give the lookups per second."""
    rows = [{"entity": number} for number in range(entities)]
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        store.get_online_features(references, rows)
        count += 1
    return count / passed


def measure(entities: int, features: int, rounds: int, seconds: float) -> tuple[float, float, float]:
    """Give lookups per second bare and logged, and the share of lookups that were stored or wait."""
    references = [f"view:f{number}" for number in range(features)]
    with tempfile.TemporaryDirectory() as name:
        logged_store = make_store(Path(name), features)
        bare_store = FeatureStore(config=logged_store.config.model_copy(update={"provider": "local"}))
        logged_store.get_online_features(references, [{"entity": 1}])
        spool = Path(name) / "data/skew/spool"
        shipper = subprocess.Popen([sys.executable, "-W", "ignore", "-m", "skew_ext.shipping", str(spool)])
        time.sleep(5)  # its imports are over before the clock starts
        rates: dict[str, list[float]] = {"bare": [], "logged": []}
        for _ in range(rounds):
            # Two stores used in turn share one cache of Feast's; a first lookup outside the block fills it again.
            for label, store in (("bare", bare_store), ("logged", logged_store)):
                store.get_online_features(references, [{"entity": 1}])
                rates[label].append(lookups_per_second(store, references, entities, seconds))
        counts = log_stats(spool)
        shipper.terminate()
        shipper.wait()
    kept = (counts.stored + counts.in_spool) / counts.accepted
    return statistics.median(rates["bare"]), statistics.median(rates["logged"]), kept


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    sys.stdout.write(f"{'lookup':>10} {'bare /s':>9} {'logged /s':>10} {'ratio':>7} {'kept':>7}\n")
    for entities, features in ((1, 20), (100, 50)):
        bare, logged, kept = measure(entities, features, options.rounds, options.seconds)
        shape = f"{entities} x {features}"
        sys.stdout.write(f"{shape:>10} {bare:9.0f} {logged:10.0f} {logged / bare:7.1%} {kept:7.1%}\n")


if __name__ == "__main__":
    main()
