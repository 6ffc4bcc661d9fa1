"""Letting the old days of a Parquet log go, each row of them counted once, whenever a kill comes.

A day's folder is renamed first, so that no reading sees a part of it. Then its rows are counted, by whose they are,
into the log's own account (`.pruned.json`), which says too which folders it has counted. Then they are deleted. What a
kill left at any of these steps, the next pruning finds under its name, and counts only if the account has not got it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import shutil
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from skew_ext.log.folders import day_of, days, is_folder, service_folders
from skew_ext.log.keeping import days_to_go
from skew_ext.log.parquet_files import Access, appearing, listed, temporary_of
from skew_ext.log.parquet_scan import rows_by_owner
from skew_ext.log.upkeep import Upkeep
from skew_ext.schema import LOG_DATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger("skew_ext.log")
ACCOUNT, LOCK = ".pruned.json", ".prune.lock"
_LEAVING = ".leaving"
_EARLIER = f".{LOG_DATE}="
"""What an earlier version called a folder that it was about to delete: `.__log_date=D.<process>`."""


@dataclass(frozen=True)
class Limits:
    """What a log keeps."""

    keep_days: int | None = None
    max_bytes: int | None = None
    trust_clock: bool = False


@dataclass
class Pruned:
    """The rows of one writer of the log that were ever pruned: by reason, and by their day."""

    reasons: Counter[str] = field(default_factory=Counter)
    days: Counter[date] = field(default_factory=Counter)


@dataclass
class _Account:
    """The rows that were pruned, by writer, and the folders that are counted and not yet deleted."""

    owners: dict[str, Pruned] = field(default_factory=dict)
    counted: list[str] = field(default_factory=list)


def prune(log: Path, today: date, limits: Limits, access: Access, *, dry_run: bool = False) -> Upkeep:
    """Delete the days that `limits` do not keep, and what an earlier pruning left; with `dry_run`, only count rows.

    Raises
    ------
    OSError
        It cannot be done now.
    """
    done = Upkeep()
    going = _going(log, today, limits, done)
    if dry_run:
        for day, folder, reason in going:
            _count(done, reason, rows_by_owner(folder, day))
        return done
    half_written = temporary_of(log / ACCOUNT)
    if not going and not any(_leaving(log)) and not half_written.exists():
        return done
    with _lock(log, access) as held:
        if not held:
            logger.info("another process is pruning %s", log)
            return done
        half_written.unlink(missing_ok=True)
        _finish(log, access, done)
        for day, folder, reason in going:
            name = f"{_LEAVING}.{reason}.{day.isoformat()}.{secrets.token_hex(8)}"
            try:
                folder.rename(folder.with_name(name))
            except OSError as error:
                logger.warning("cannot delete %s now: %s", folder, error)
        _finish(log, access, done)
    return done


def pruned_rows(log: Path, owner: str) -> Pruned:
    """Return what of one writer's rows was ever pruned."""
    return _load(log).owners.get(owner, Pruned())


def _going(log: Path, today: date, limits: Limits, done: Upkeep) -> list[tuple[date, Path, str]]:
    """Return the days' folders that are to go, and why."""
    if limits.keep_days is None and limits.max_bytes is None:
        return []
    found = [(day, folder, sizes) for day, folder in sorted(days(log)) if (sizes := _sizes(folder))]
    present = sorted({day for day, *_ in found})
    while present and not any(rows_by_owner(folder, day).total() for day, folder, _ in found if day == present[-1]):
        present.pop()  # what a copy or a foreign file says of the newest day is not what rows say
    if not present:
        return []
    keeping = days_to_go(present, today, limits.keep_days, trust_clock=limits.trust_clock)
    done.refused = keeping.refused
    old = set(keeping.going)
    going = [(day, folder, "age") for day, folder, _ in found if day in old]
    kept = [(day, folder, sum(sizes)) for day, folder, sizes in found if day not in old]
    total = sum(size for *_, size in kept)
    for day, folder, size in kept:
        if limits.max_bytes is None or total <= limits.max_bytes or day >= min(today, present[-1]):
            break
        going.append((day, folder, "size"))
        total -= size
    return going


def _finish(log: Path, access: Access, done: Upkeep) -> None:
    """Count the folders that are leaving and are not counted yet, and delete them all."""
    account = _load(log)
    leaving = dict(_leaving(log))
    fresh = [name for name in leaving if name not in account.counted]
    for name in fresh:
        reason, day = _named(leaving[name].name)
        counted = rows_by_owner(leaving[name], day)
        _count(done, reason, counted)
        for owner, rows in counted.items():
            of = account.owners.setdefault(owner, Pruned())
            of.reasons[reason] += rows
            of.days[day] += rows
    account.counted = sorted(leaving)
    if fresh:
        _save(log, account, access)
    for folder in leaving.values():
        _delete(folder)
    if leaving:
        account.counted = [name for name, folder in leaving.items() if folder.exists()]
        _save(log, account, access)


def _delete(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        logger.warning("cannot delete %s now: %s", folder, error)


def _count(done: Upkeep, reason: str, counted: Counter[str]) -> None:
    done.pruned[reason] = done.pruned.get(reason, 0) + counted.total()


def _leaving(log: Path) -> Iterator[tuple[str, Path]]:
    """Return the folders that are leaving, by their place in the log."""
    for service in service_folders(log):
        folder = log / service
        if not is_folder(folder):
            continue
        with suppress(FileNotFoundError, PermissionError), os.scandir(folder) as entries:
            for each in entries:
                if each.name.startswith((f"{_LEAVING}.", _EARLIER)) and each.is_dir(follow_symlinks=False):
                    yield f"{service}/{each.name}", folder / each.name


def _named(name: str) -> tuple[str, date]:
    """Return the reason and the day that the name of a folder on its way says."""
    if name.startswith(_EARLIER):
        return "age", day_of(name[1:].rpartition(".")[0]) or date.min
    _, _, reason, day, *_ = name.split(".")
    return reason, date.fromisoformat(day)


def _sizes(folder: Path) -> list[int]:
    with suppress(FileNotFoundError):
        return [stamp.size for _, stamp in listed(folder) if stamp is not None]
    return []


def _load(log: Path) -> _Account:
    try:
        told = json.loads((log / ACCOUNT).read_text(encoding="utf-8"))
        owners = {
            str(owner): Pruned(
                Counter({str(reason): int(rows) for reason, rows in of["reasons"].items()}),
                Counter({date.fromisoformat(day): int(rows) for day, rows in of["days"].items()}),
            )
            for owner, of in told["owners"].items()
        }
        return _Account(owners, [str(name) for name in told["counted"]])
    except FileNotFoundError:
        return _Account()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        aside = log / f"{ACCOUNT}.damaged"
        logger.warning("%s is damaged (%s): moved to %s; a new account is begun", log / ACCOUNT, error, aside)
        with suppress(OSError):
            (log / ACCOUNT).replace(aside)
        return _Account()


def _save(log: Path, account: _Account, access: Access) -> None:
    owners = {
        owner: {"reasons": dict(of.reasons), "days": {day.isoformat(): rows for day, rows in of.days.items()}}
        for owner, of in account.owners.items()
    }
    content = json.dumps({"format": 1, "owners": owners, "counted": account.counted}, indent=1)
    with appearing(log / ACCOUNT, access) as file:
        file.write(content.encode())


@contextmanager
def _lock(log: Path, access: Access) -> Iterator[bool]:
    """Hold the log's lock for pruning; False where another process does."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(log / LOCK, flags, access.file)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)
