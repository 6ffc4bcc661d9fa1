"""Items made ahead: their order, how many at once, and errors that come to whoever takes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from skew_ext.auditor.ahead import ahead, made_ahead


def test_what_is_made_comes_in_the_order_of_the_items() -> None:
    def slower_first(item: int) -> int:
        time.sleep(0.02 if item % 2 == 0 else 0)
        return item * item

    assert list(made_ahead(slower_first, iter(range(9)), 2)) == [item * item for item in range(9)]
    assert list(made_ahead(slower_first, iter([]), 2)) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_so_many_are_made_at_once_and_no_more(threads: int) -> None:
    together = threading.Barrier(threads)
    running: set[int] = set()
    most = []

    def make(item: int) -> int:
        running.add(item)
        most.append(len(running))
        together.wait(timeout=30)  # breaks where fewer come
        running.discard(item)
        return item

    assert list(made_ahead(make, iter(range(3 * threads)), threads)) == list(range(3 * threads))
    assert max(most) == threads


def test_an_error_comes_when_its_item_is_due() -> None:
    def make(item: int) -> int:
        return 6 // item

    made = made_ahead(make, iter([3, 2, 0, 1]), 2)
    assert [next(made), next(made)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(made)

    def items() -> Iterator[int]:
        yield 1
        raise LookupError

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(LookupError):
        next(taken)
    with pytest.raises(LookupError):
        list(made_ahead(make, ahead(items()), 2))
