"""Making the next item of an iterator while the present one is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Give the items, each made in a thread of its own while the one before is in use; at most one waits.

    Worth it where making and using let go of the interpreter: reading files, queries, numpy and Arrow.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="skew-ahead") as pool:
        upcoming = pool.submit(next, items, end)
        while (item := upcoming.result()) is not end:
            upcoming = pool.submit(next, items, end)
            yield item  # type: ignore[misc] # what is not `end` came from `items`
