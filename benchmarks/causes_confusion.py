"""How well the audit names causes: its confusion matrix over faults put into real repos, and clean traffic.

Run `python benchmarks/causes_confusion.py --seeds 200`. For each seed repos are made, served from and audited: the
worlds of `skew_ext.testing.drawn_worlds`. Prints, for each cause, its cells, recall and precision over all of them, and
the worlds it is in; the cells that were confused; and the findings on clean traffic, of which there should be none.

`--online redis` serves from a Redis on REDIS_URL (databases 0 to 15 are emptied), `--offline postgres` has the sources
in a database on DATABASE_URL, and `--json FILE` adds what was found to a file, from which `--seeds 0` prints.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
import traceback
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from skew_ext.testing import HALF, SERVICE, Confusion, FaultyRepo, PostgresSources, confusion, drawn_worlds, total
from skew_ext.testing.drawn import KEYS

if TYPE_CHECKING:
    from skew_ext.testing import World

FRESH_AFTER = 5
"""Seeds that one process takes, so that what stores keep in memory is given back."""
FEW = 4
"""So many faults are told by name."""


def audited(world: World, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Give what came of one world: its confusion matrix by pairs, and its findings where it is clean."""
    pairs: Counter[tuple[str, str]] = Counter()
    findings: list[str] = []
    with tempfile.TemporaryDirectory(prefix="skew-confusion-") as folder:
        more = {"online": online_store(options.online), "sources": sources(options.offline), **world.options}
        repo = FaultyRepo(folder, world.faults, seed=seed, **more)
        repo.serve()
        for service in (SERVICE, HALF) if world.options.get("two_services") else (SERVICE,):
            report, cells = repo.audit(service)
            matrix = confusion(cells, repo.truth_of(service)).matrix
            pairs.update({(str(true), str(found)): int(matrix.loc[true, found]) for true in matrix for found in matrix})
            findings += [] if world.faults else [finding.message for finding in report.findings]
    wrong = {f"{true} taken for {found}": count for (true, found), count in pairs.items() if true != found and count}
    if wrong or findings:
        faults = " and ".join(world.faults) if len(world.faults) <= FEW else "many"
        print(f"seed {seed}, {world.kind} ({faults}): {wrong} {findings}", flush=True)
    cells_of = [[true, found, count] for (true, found), count in pairs.items() if count]
    return {
        "seed": seed,
        "kind": world.kind,
        "cells": cells_of,
        "findings": len(findings),
        "faulty": bool(world.faults),
    }


def of_seed(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Give what came of a seed's worlds."""
    warnings.simplefilter("ignore")
    kinds = drawn_worlds(
        seed, keys=options.keys, redis=options.online == "redis", postgres=options.offline == "postgres"
    )
    return [whatever_came_of(world, seed, options) for world in kinds]


def whatever_came_of(world: World, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Give what came of one world, a failure included: the others go on."""
    try:
        return audited(world, seed, options)
    except Exception:  # noqa: BLE001 - it is told
        print(f"seed {seed}, {world.kind}: failed\n{traceback.format_exc(limit=-3)}", flush=True)
        return {"seed": seed, "kind": "FAILED", "cells": [], "findings": 1, "faulty": False}


def online_store(kind: str) -> dict[str, Any] | None:
    """Give the settings of the online store, emptied where it is shared: each process has a database of its own."""
    if kind != "redis":
        return None
    import redis  # noqa: PLC0415 - only for this store

    where = redis.Redis.from_url(os.environ["REDIS_URL"]).connection_pool.connection_kwargs
    number = _worker()
    redis.Redis(host=where["host"], port=where["port"], db=number).flushdb()
    return {"type": "redis", "connection_string": f"{where['host']}:{where['port']},db={number}"}


def sources(kind: str) -> PostgresSources | None:
    """Give where the sources are: a database of each process's own in PostgreSQL, or, for DuckDB, files."""
    if kind != "postgres":
        return None
    import psycopg  # noqa: PLC0415 - only for this store

    name = f"confusion{_worker()}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
        login = connection.info
        known = {"host": login.host, "port": login.port, "user": login.user, "password": login.password}
    return PostgresSources({**known, "database": name, "db_schema": "public", "sslmode": "disable"})


def _worker() -> int:
    identity = multiprocessing.current_process()._identity  # noqa: SLF001 - a number of its own for each process
    return identity[0] % 16 if identity else 0


def tell(results: list[dict[str, Any]]) -> None:
    """Print what came of the worlds."""
    faulty = [one for one in results if one["faulty"]]
    worlds = Counter(true for one in faulty for true in {true for true, _, _ in one["cells"]})
    matrices = [_matrix(one["cells"]) for one in faulty if one["cells"]]
    if matrices:
        everything = total(matrices)
        table = everything.table()
        table.insert(0, "worlds", [worlds[str(cause)] for cause in table.index])
        print(table.to_string(float_format=lambda share: f"{share:.4f}"))
    for kind in dict.fromkeys(one["kind"] for one in faulty):
        some = [_matrix(one["cells"]) for one in faulty if one["kind"] == kind and one["cells"]]
        counted = total(some).table() if some else pd.DataFrame({"cells": [], "recall": [], "precision": []})
        worst = counted[["recall", "precision"]].min()
        print(f"{kind}: {len(some)} worlds, worst recall {worst['recall']:.4f}, precision {worst['precision']:.4f}")
    confused: Counter[str] = Counter()
    for one in faulty:
        confused.update({f"{true} taken for {found}": count for true, found, count in one["cells"] if true != found})
    print("confused:", dict(confused) or "none")
    clean = [one for one in results if not one["faulty"]]
    print(f"clean: {len(clean)} worlds, {sum(one['findings'] for one in clean)} findings; faulty: {len(faulty)} worlds")


def _matrix(cells: list[tuple[str, str, int]]) -> Confusion:
    names = sorted({name for true, found, _ in cells for name in (true, found)})
    matrix = pd.DataFrame(0, index=pd.Index(names, name="true"), columns=pd.Index(names, name="found"))
    for true, found, count in cells:
        matrix.loc[true, found] = count
    return Confusion(matrix)


def main() -> None:
    """Run the worlds of all seeds, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keys", type=int, default=KEYS)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--online", choices=["sqlite", "redis"], default="sqlite")
    parser.add_argument("--offline", choices=["duckdb", "postgres"], default="duckdb")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    known: list[dict[str, Any]] = []
    if options.json and options.json.exists():
        known = [json.loads(line) for line in options.json.read_text(encoding="utf-8").splitlines()]
    seeds, began, results = range(options.first, options.first + options.seeds), time.perf_counter(), list(known)
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=FRESH_AFTER) as pool:
        for found in pool.imap_unordered(partial(of_seed, options=options), seeds):
            results += found
            if options.json:
                with options.json.open("a", encoding="utf-8") as file:
                    file.writelines(f"{json.dumps(one)}\n" for one in found)
    tell(results)
    made = len(results) - len(known)
    print(
        f"{options.jobs * (time.perf_counter() - began) / max(made, 1):.2f} s for each world, made, served and audited"
    )


if __name__ == "__main__":
    main()
