"""A logout ends the connections of its session that wait for their client, in every process.

A user who has logged out cannot come back, because a return is for the same user. A connection whose client
is here stays open, as with Channels, but is not parked when its socket ends.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import hashlib
import logging
from typing import Any

from compat.layers import channel_layers
from compat.layers.memory import InMemoryChannelLayer
from compat.metrics import Throttle
from compat.redis.loops import PerLoop, background
from compat.resume.registry import registry

__all__ = ["HOMES", "LOGGED_OUT", "belong", "logged_out", "mark_of"]

log = logging.getLogger("compat.resume")

HOMES = "compat.homes"
"""The group of the mailboxes of all processes that have resumable connections."""
LOGGED_OUT = "compat.logged_out"
"""The type of the message that goes there."""
AGAIN_S, BELONGS_S = 2.0, 60.0
"""Seconds after which a mailbox joins the group again: if it could not, and if it could (layers forget)."""
MARK_BYTES = 16
MOST_AT_ONCE, MOST_WAITING = 1000, 10_000
"""How many logouts are told in one message, and how many wait while Redis does not answer."""
PAUSE_S = 0.1
"""Seconds between two messages: a mailbox holds a hundred, and its process may be slow."""
TELL_S, EXIT_S = 5.0, 2.0
"""How long telling over a layer may take, and how long the end of a process waits for it."""


def mark_of(session_key: str) -> str:
    """Return a hash that stands for a session, because its key is as good as a password."""
    return hashlib.sha256(session_key.encode("utf-8", "surrogatepass")).hexdigest()[: 2 * MARK_BYTES]


async def belong(layer: Any, mailbox: str) -> None:
    """Keep the mailbox of this process in the group of all of them, until cancelled."""
    from compat.layers.moving import MovingChannelLayer  # which few processes need

    while True:
        pause_s = BELONGS_S
        try:
            await layer.group_add(HOMES, mailbox)
            if isinstance(layer, MovingChannelLayer):
                return  # which would leave both layers if one of them is away
        except Exception as error:  # noqa: BLE001 - any layer
            log.debug("a mailbox is not in the group of all: %r", error)
            pause_s = AGAIN_S
        await asyncio.sleep(pause_s)


def logged_out(session_key: str) -> None:
    """End the parks of a session that has ended; may be called in any thread.

    Call it only for a session that has existed, because all processes are told. It does not block or raise:
    other processes are told in the background. If they cannot be told, that is logged, and their parks end
    when their time is over.
    """
    try:
        mark = mark_of(session_key)
        registry.log_out((mark,))
        for layer in _others():
            background.loop.call_soon_threadsafe(_tell, layer, mark)
    except Exception as error:  # noqa: BLE001 - a logout must not fail, whatever is wrong with the layers
        _failed(1, error)


class _Teller:
    """Tells other processes of logouts, on the background loop: over each layer, and many in one message."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[Any, list[str]] = {}
        """The sessions that other processes have to be told, by layer."""
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, layer: Any, mark: str) -> None:
        """Tell of a logout soon, together with those that come meanwhile."""
        waiting = self._waiting.get(layer)
        if waiting is None:
            self._waiting[layer] = [mark]
            task = self._loop.create_task(self._tell(layer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(waiting) < MOST_WAITING:
            waiting.append(mark)
        else:
            _failed(1, RuntimeError("too many wait to be told"))

    async def _tell(self, layer: Any) -> None:
        waiting = self._waiting[layer]
        while waiting:
            marks = waiting[:MOST_AT_ONCE]
            try:
                message = {"type": LOGGED_OUT, "sessions": marks}
                await asyncio.wait_for(layer.group_send(HOMES, message), TELL_S)
            except asyncio.TimeoutError:
                _failed(len(marks), RuntimeError(f"no answer within {TELL_S:g} s"))
            except Exception as error:  # noqa: BLE001 - any layer
                _failed(len(marks), error)
            del waiting[: len(marks)]
            await asyncio.sleep(PAUSE_S)  # what comes meanwhile is told together
        self._waiting.pop(layer, None)

    async def aclose(self) -> None:
        """Wait until other processes have been told, for ``EXIT_S`` at most."""
        if self._tasks:
            _, late = await asyncio.wait(tuple(self._tasks), timeout=EXIT_S)
            for task in late:
                task.cancel()
        if left := sum(map(len, self._waiting.values())):
            self._waiting.clear()
            _failed(left, RuntimeError("the process has ended"))


_tellers: PerLoop[_Teller] = PerLoop(_Teller)
_throttle = Throttle()


def _tell(layer: Any, mark: str) -> None:
    _tellers.get(asyncio.get_running_loop()).tell(layer, mark)


@atexit.register  # runs before that of the background loop, which closes its connections
def _tell_the_rest() -> None:
    if background.is_running:
        with contextlib.suppress(Exception):
            background.call(_close_teller(), EXIT_S + 1)


async def _close_teller() -> None:
    await _tellers.get(asyncio.get_running_loop()).aclose()


def _failed(count: int, error: Exception) -> None:
    """Log that other processes were not told of ``count`` logouts."""
    if due := _throttle.due(type(error), count):
        log.warning(
            "other processes were not told of %d logouts: what waits there for these users ends when its "
            "time is over (%s)",
            *(due, error),
        )


def _others() -> list[Any]:
    """Return the layers that other processes may share."""
    found = []
    for alias in channel_layers:
        with contextlib.suppress(Exception):  # who uses a layer that cannot be made is told
            layer = channel_layers[alias]
            if not isinstance(layer, InMemoryChannelLayer):
                found.append(layer)
    return found
