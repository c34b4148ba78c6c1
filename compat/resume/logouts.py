"""A logout ends the connections of its session that wait for their client, in every process.

Who has logged out cannot come back: a return is for the same user. A connection that has its client stays
open, as with Channels, but waits for nobody when its socket ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from typing import Any

from compat.layers import channel_layers
from compat.layers.memory import InMemoryChannelLayer
from compat.metrics import Throttle
from compat.redis.loops import background, is_throwaway, start_apart
from compat.resume.registry import registry

__all__ = ["HOMES", "LOGGED_OUT", "belong", "logged_out", "mark_of"]

log = logging.getLogger("compat.resume")

HOMES = "compat.homes"
"""The group of the mailboxes of all processes that have resumable connections."""
LOGGED_OUT = "compat.logged_out"
"""The type of the message that goes there."""
BELONGS_S = 60.0
"""Seconds after which a mailbox joins the group again: layers forget members, and may be away."""
MARK_BYTES = 16

_throttle = Throttle()
_telling: set[asyncio.Task[None]] = set()


def mark_of(session_key: str) -> str:
    """Return what stands for a session: its key is as good as a password, and is told to nobody."""
    return hashlib.sha256(session_key.encode()).hexdigest()[: 2 * MARK_BYTES]


async def belong(layer: Any, mailbox: str) -> None:
    """Keep the mailbox of this process in the group of all of them, until cancelled."""
    while True:
        try:
            await layer.group_add(HOMES, mailbox)
        except Exception as error:  # noqa: BLE001 - any layer
            log.debug("a mailbox is not in the group of all: %r", error)
        await asyncio.sleep(BELONGS_S)


def logged_out(session_key: str) -> None:
    """End what waits for the user of a session that is no more; call it in any thread.

    Only for one that has existed, because each process hears of it. Waits for nothing: other processes are
    told in the background. What cannot be told is logged, and such a connection ends when its time is over.
    """
    mark = mark_of(session_key)
    registry.log_out(mark)
    for alias in channel_layers:
        with contextlib.suppress(Exception):  # who uses a layer that cannot be made is told
            _start(channel_layers[alias], mark)


def _start(layer: Any, mark: str) -> None:
    if isinstance(layer, InMemoryChannelLayer):
        return
    loop = asyncio._get_running_loop()
    if loop is None or is_throwaway(loop):
        background.submit(_tell(layer, mark))
        return
    task = start_apart(loop, _tell(layer, mark))
    _telling.add(task)
    task.add_done_callback(_telling.discard)


async def _tell(layer: Any, mark: str) -> None:
    try:
        await layer.group_send(HOMES, {"type": LOGGED_OUT, "session": mark})
    except Exception as error:  # noqa: BLE001 - any layer; a logout must not fail
        count = _throttle.due(type(error))
        if count:
            log.warning(
                "other processes were not told of %d logouts: what waits there for these users ends when its "
                "time is over (%s)",
                *(count, error),
            )
