"""`request_context`: nested, per thread and per task; and the request ids that are made without one."""

from __future__ import annotations

import asyncio
import threading
import uuid
from datetime import datetime, timezone

from skew_ext import request_context
from skew_ext.serving.context import NOT_SET, current, new_request_id


def test_nested_blocks_add_and_leave() -> None:
    with request_context(request_id="a", model_version="v1"):
        with request_context(model_version="v2"):
            assert (current().request_id, current().model_version) == ("a", "v2")
        assert current().model_version == "v1"
    assert current() is NOT_SET


def test_a_naive_serving_time_is_utc() -> None:
    with request_context(served_at=datetime(2026, 3, 1)) as context:  # noqa: DTZ001 - the naive time is the case
        assert context.served_at == datetime(2026, 3, 1, tzinfo=timezone.utc)


def test_tasks_do_not_see_each_other() -> None:
    async def one(name: str) -> str | None:
        with request_context(request_id=name):
            await asyncio.sleep(0.001)
            return current().request_id

    async def many() -> list[str | None]:
        return list(await asyncio.gather(*(one(str(number)) for number in range(50))))

    assert asyncio.run(many()) == [str(number) for number in range(50)]


def test_threads_do_not_see_each_other() -> None:
    seen = []
    with request_context(request_id="main"):
        thread = threading.Thread(target=lambda: seen.append(current().request_id))
        thread.start()
        thread.join()
    assert seen == [None]


def test_made_ids_are_uuid7_in_order_of_time() -> None:
    first, second = uuid.UUID(new_request_id()), uuid.UUID(new_request_id())
    assert first.version == second.version == 7
    assert first.variant == uuid.RFC_4122
    assert first.int >> 80 <= second.int >> 80
