"""How well the audit names causes: its confusion matrix over faults put into real repos, and clean traffic.

Run `python benchmarks/causes_confusion.py --seeds 100`. For each seed a repo is made, served from and audited: in turn
with one cause alone, with two causes at odds (60 to 40), with every cause at once, and with nothing wrong. Prints, for
each cause, its cells, recall and precision over all of them, the cells that were confused, and the findings on clean
traffic, of which there should be none. `--online redis` serves from a Redis on REDIS_URL (its database is emptied).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skew_ext.testing import FAULTS, LOOKUPS, Confusion, FaultyRepo, confusion, total

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = 240


def worlds(seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Give the kinds of worlds of a seed: a name, and the shares of each fault."""
    random = np.random.default_rng(seed)
    faults, lookups = list(FAULTS), list(LOOKUPS)
    alone = faults[seed % len(faults)]
    yield f"{alone} alone", {alone: float(random.uniform(0.05, 0.9))}
    one, other = random.choice(faults, size=2, replace=False).tolist()
    yield "two at odds", {one: 0.3, other: 0.2}
    everything = dict.fromkeys(faults, 0.9 / len(faults))
    yield "everything", {**everything, lookups[0]: 0.1, lookups[1]: 0.1}
    yield "clean", {}


def audited(seed: int, faults: dict[str, float], online: dict[str, Any] | None) -> tuple[Confusion, int]:
    """Give the confusion matrix of one world, and the number of findings."""
    with tempfile.TemporaryDirectory(prefix="skew-confusion-") as folder:
        repo = FaultyRepo(folder, faults, seed=seed, keys=KEYS, online=online)
        repo.serve()
        report, cells = repo.audit()
        return confusion(cells, repo.truth), len(report.findings)


def online_store(kind: str) -> dict[str, Any] | None:
    """Give the settings of the online store, emptied where it is shared."""
    if kind != "redis":
        return None
    import redis  # noqa: PLC0415 - only for this store

    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.flushdb()
    where = client.connection_pool.connection_kwargs
    return {"type": "redis", "connection_string": f"{where['host']}:{where['port']},db={where.get('db', 0)}"}


def main() -> None:
    """Run the worlds of all seeds, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--online", choices=["sqlite", "redis"], default="sqlite")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    matrices: list[Confusion] = []
    by_kind: dict[str, list[Confusion]] = {}
    clean, found, began = 0, 0, time.perf_counter()
    for seed in range(options.first, options.first + options.seeds):
        for kind, faults in worlds(seed):
            matrix, findings = audited(seed, faults, online_store(options.online))
            if faults:
                matrices.append(matrix)
                by_kind.setdefault(kind.rpartition(" ")[2], []).append(matrix)
                confused = matrix.matrix.to_numpy().sum() - np.trace(matrix.matrix.to_numpy())
                if confused:
                    print(f"seed {seed}, {kind} {faults}: {confused} cells confused", flush=True)
            else:
                clean, found = clean + 1, found + findings
    everything = total(matrices)
    pd.set_option("display.width", 250, "display.max_columns", 30)
    print(everything.table().to_string(float_format=lambda share: f"{share:.4f}"))
    for kind, some in by_kind.items():
        table = total(some).table()
        worst = table[["recall", "precision"]].min()
        print(
            f"{kind}: {len(some)} audits, worst recall {worst['recall']:.4f}, worst precision {worst['precision']:.4f}"
        )
    wrong = {
        f"{true} taken for {given}": int(count)
        for true, row in everything.matrix.iterrows()
        for given, count in row.items()
        if true != given and count
    }
    print("confused:", wrong or "none")
    print(f"clean: {clean} audits, {found} findings")
    print(f"{(time.perf_counter() - began) / (len(matrices) + clean):.2f} s for each world, made, served and audited")


if __name__ == "__main__":
    main()
