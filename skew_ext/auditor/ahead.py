"""Making the next items of an iterator while the present one is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


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


def made_ahead(make: Callable[[Item], Made], items: Iterator[Item], threads: int) -> Iterator[Made]:
    """Give what is made of each item, in their order; so many are made at once, while the one before is in use.

    The items are asked for in the thread of the caller.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="skew-made") as pool:
        upcoming: deque[Future[Made]] = deque(pool.submit(make, item) for item in islice(items, threads))
        while upcoming:
            made = upcoming.popleft().result()
            upcoming.extend(pool.submit(make, item) for item in islice(items, 1))
            yield made
            del made
