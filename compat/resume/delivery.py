"""``delivered()`` for async and for sync consumers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from typing import Any

from compat.clock import steady
from compat.engine.contracts import FRAMES_BEFORE, RESUMABLE_KEY, Resumed
from compat.engine.threads import require_own_thread
from compat.exceptions import ClientDisconnected
from compat.types import Message

__all__ = ["ASKS_COUNT", "answer_count", "delivered", "delivered_in_thread"]

ASKS_COUNT = "compat.asks_count"
"""The type of a message among the frames of a sync consumer, which asks how many frames are before it."""


def answer_count(message: Message, count: int) -> None:
    """Answer a message of the type ``ASKS_COUNT``; do nothing if its thread does not wait any more."""
    with contextlib.suppress(concurrent.futures.InvalidStateError):
        message[FRAMES_BEFORE].set_result(count)


async def delivered(consumer: Any, within_s: float | None) -> bool:
    """Return True when the client has all that an async consumer has sent so far."""
    resumed = _resumed(consumer)
    return resumed is not None and await resumed.delivered(within_s)


def delivered_in_thread(consumer: Any, within_s: float | None) -> bool:
    """Return True when the client has all that a sync consumer has sent so far; call it in a thread.

    What its handler has sent may wait in a queue, so the count is asked for by a message in that queue.
    Raises RuntimeError on an event loop.
    """
    resumed = _resumed(consumer)
    if resumed is None:
        return False
    require_own_thread("delivered")
    until = None if within_s is None else steady() + within_s
    answer: concurrent.futures.Future[int] = concurrent.futures.Future()
    try:
        consumer.base_send({"type": ASKS_COUNT, FRAMES_BEFORE: answer})
        count = answer.result(within_s)
    except (concurrent.futures.TimeoutError, concurrent.futures.CancelledError, ClientDisconnected):
        return False
    left = None if until is None else max(0.0, until - steady())
    asking = asyncio.run_coroutine_threadsafe(resumed.delivered(left, count), consumer._compat_socket.loop)
    return asking.result()


def _resumed(consumer: Any) -> Resumed | None:
    """Return the consumer's connection; None if there is none, or if a frame of it has been dropped."""
    resumed: Resumed | None = consumer.scope.get(RESUMABLE_KEY)
    return None if resumed is None or consumer._compat_socket.dropped else resumed
