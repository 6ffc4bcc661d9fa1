"""Where a Parquet log keeps what: a folder for each feature service, and in it one for each day (UTC).

A service's name is data. A folder's name is made of it so that no two services share a folder, also on a file system
that takes upper and lower case for one, and so that no name is one of the log's own.
"""

from __future__ import annotations

import hashlib
import os
import stat
import urllib.parse
from contextlib import suppress
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from skew_ext.schema import LOG_DATE, RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_SERVICE = "_by_reference"
"""The folder of lookups that were made by a list of references, not by a feature service."""
MOST_BYTES = 200
"""The longest a service's folder name may be: file systems take 255 bytes, and not all of them that many."""
_MOST_NAME = 255
_HASH_DIGITS = 32
_PLAIN = " @+=,"
"""What stands in a folder name as it is, beside letters, digits and `_.-`; all else is percent-encoded."""
_TOLD_APART = "~"
_DAY = f"{LOG_DATE}="


def folder_name(feature_service: str, *, records: bool = False) -> str:
    """Return the name of a service's folder; `records` says that it is one of `ServingLogger`'s own.

    A name of small letters stands as it is, what is no plain character percent-encoded. Any other (capitals, over
    200 bytes, one that starts with `_` or `.`) is cut, and the hash of the full name put behind it.
    """
    if records and feature_service in RESERVED:
        return feature_service
    if not feature_service:
        return NO_SERVICE
    plain = _encoded(feature_service)
    if (
        feature_service == feature_service.lower()
        and not feature_service.startswith(("_", "."))
        and _TOLD_APART not in feature_service
        and len(plain) <= MOST_BYTES
    ):
        return plain
    digest = hashlib.sha256(feature_service.encode(errors="surrogatepass")).hexdigest()[:_HASH_DIGITS]
    start = plain.replace(_TOLD_APART, "%7E")[: MOST_BYTES - len(digest) - len(_TOLD_APART)]
    # Not in the middle of an encoded byte.
    start = start[: start.index("%", len(start) - 2)] if "%" in start[-2:] else start
    return f"{'%2E' + start[1:] if start.startswith('.') else start}{_TOLD_APART}{digest}"


def earlier_folder_name(feature_service: str) -> str:
    """Return the name that the folder had before versions told case and the log's own names apart."""
    name = _encoded(feature_service) if feature_service else NO_SERVICE
    return name.replace(".", "%2E") if name.strip(".") == "" else name


def service_folder(log: Path, feature_service: str, *, records: bool = False) -> Path:
    """Return the folder that a feature service's rows are written to."""
    return log / folder_name(feature_service, records=records)


@lru_cache(maxsize=4096)
def folder_names(feature_service: str, *, records: bool = False) -> tuple[str, ...]:
    """Return the names of the folders that may hold a service's rows: today's, and the one of earlier versions."""
    names = [folder_name(feature_service, records=records), earlier_folder_name(feature_service)]
    return tuple(name for name in dict.fromkeys(names) if len(name) <= _MOST_NAME)


def service_folders(log: Path) -> list[str]:
    """Return the names of all services' folders that are there; hidden ones are the log's own."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(log) as found:
        return sorted(each.name for each in found if not each.name.startswith(".") or _holds_days(Path(each.path)))
    return []


def days(log: Path) -> Iterator[tuple[date, Path]]:
    """Return the folders of all services' days, by their names; links are not followed."""
    for service in service_folders(log):
        yield from days_of(log / service)


def days_of(folder: Path) -> Iterator[tuple[date, Path]]:
    """Return the folders of one service's days."""
    if not is_folder(folder):
        return
    for name in _names(folder):
        day = day_of(name)
        if day is not None and is_folder(folder / name):
            yield day, folder / name


def day_of(name: str) -> date | None:
    """Return the day that a folder's name says; None where it is none of a day."""
    if not name.startswith(_DAY):
        return None
    with suppress(ValueError):
        day = date.fromisoformat(name.removeprefix(_DAY))
        return day if day_folder_name(day) == name else None
    return None


def day_folder_name(day: date) -> str:
    """Return the name of a day's folder."""
    return f"{_DAY}{day.isoformat()}"


def is_folder(path: Path) -> bool:
    """Say whether a path is a folder, and no link to one."""
    with suppress(OSError):
        return stat.S_ISDIR(path.lstat().st_mode)
    return False


def _encoded(feature_service: str) -> str:
    return urllib.parse.quote(feature_service, safe=_PLAIN, errors="surrogatepass")


def _holds_days(folder: Path) -> bool:
    # Earlier versions gave a service named `.x` a folder of that name.
    return is_folder(folder) and any(name.startswith(_DAY) for name in _names(folder))


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError, PermissionError), os.scandir(folder) as found:
        return sorted(each.name for each in found)
    return []
