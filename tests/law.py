"""The law of the log, as the tests of faults check it: every row is in one place, and counted there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skew_ext import read_log
from skew_ext.shipping.shipper import Shipper
from skew_ext.shipping.stats import LogStats, log_stats
from tests.kit import HOUR, NOON, Repo, row

if TYPE_CHECKING:
    from pathlib import Path

REFERENCES = ["stats:rating", "stats:city"]


def make_repo(path: Path, **config: Any) -> Repo:
    """Make a repo with two drivers online."""
    made = Repo(path, **config)
    made.write([row(1, NOON - HOUR, 4.5, 10, "Oslo"), row(2, NOON - HOUR, 1.5, 20, "nul\0here")])
    made.materialize(NOON)
    return made


def spool(repo: Repo) -> Path:
    """Return where a repo's spool is."""
    return repo.path / "data/skew/spool"


def settled(repo: Repo) -> LogStats:
    """Drain, check the law and that the log holds each stored row once, and return the counts."""
    Shipper(spool(repo)).drain()
    counts = log_stats(spool(repo))
    assert counts.unaccounted == 0, counts
    assert counts.in_spool == 0
    rows = read_log(repo.path)
    identities = list(zip(*(rows[name].to_pylist() for name in ("__writer", "__seq", "__row")), strict=True))
    assert len(set(identities)) == len(identities) == counts.stored
    return counts
