"""Has the client got what was sent to it? The question of an async and of a sync consumer."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import Any

from compat.engine.contracts import Resumed
from compat.engine.threads import require_own_thread
from compat.types import Scope

__all__ = ["KEY", "MARK", "delivered", "delivered_in_thread"]

KEY = "compat.resumable"
"""The resumable connection of a scope."""

MARK = "compat.mark"
"""A message in the queue of what a sync consumer has sent: its ``place`` is set to where that is now."""


async def delivered(scope: Scope, within_s: float | None) -> bool:
    """Return True when the client has all that was sent so far."""
    resumed: Resumed | None = scope.get(KEY)
    return resumed is not None and await resumed.delivered(within_s)


def delivered_in_thread(consumer: Any, within_s: float | None) -> bool:
    """Return True when the client has all that a sync consumer has sent so far; call it in a thread.

    What its handler has sent waits in a queue, hence the mark. Raises RuntimeError on an event loop.
    """
    resumed: Resumed | None = consumer.scope.get(KEY)
    if resumed is None:
        return False
    require_own_thread("delivered")
    place: concurrent.futures.Future[int] = concurrent.futures.Future()
    consumer.base_send({"type": MARK, "place": place})
    try:
        count = place.result(within_s)
    except concurrent.futures.TimeoutError:
        return False
    asking = asyncio.run_coroutine_threadsafe(resumed.delivered(within_s, count), consumer._socket.loop)
    return asking.result()
