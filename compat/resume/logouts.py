"""A logout ends the connections of its session that wait for their client, in every process.

Who has logged out cannot come back: a return is for the same user. A connection that has its client stays
open, as with Channels, but waits for nobody when its socket ends.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import hashlib
import logging
import os
from typing import Any

from compat.forks import new_lock
from compat.layers import channel_layers
from compat.layers.memory import InMemoryChannelLayer
from compat.metrics import Throttle
from compat.redis.loops import background
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
EXIT_S = 2.0
"""How long the end of a process waits for the logouts that are being told."""


def mark_of(session_key: str) -> str:
    """Return what stands for a session: its key is as good as a password, and is told to nobody."""
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
    """End what waits for the user of a session that is no more; call it in any thread.

    Only for one that has existed, because each process hears of it. Waits for nothing, and raises nothing:
    other processes are told in the background. What cannot be told is logged, and such a connection ends
    when its time is over.
    """
    try:
        mark = mark_of(session_key)
        registry.log_out((mark,))
        _teller.put(mark)
    except Exception as error:  # noqa: BLE001 - a logout must not fail, whatever is wrong with the layers
        _teller.failed(1, error)


class _Teller:
    """Tells the other processes on the background loop: together what has come while it told of others."""

    def __init__(self) -> None:
        self._reset()
        self._lock = new_lock()
        self._throttle = Throttle()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)
        atexit.register(self._wait)

    def _reset(self) -> None:
        self._waiting: dict[str, None] = {}
        self._telling: concurrent.futures.Future[None] | None = None

    def put(self, mark: str) -> None:
        """Tell of a logout soon, if there are layers that others hear."""
        if not _others():
            return
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                raise RuntimeError("too many wait to be told")
            self._waiting[mark] = None
            if self._telling is None or self._telling.done():
                self._telling = background.submit(self._tell())

    async def _tell(self) -> None:
        while True:
            with self._lock:
                marks = list(self._waiting)[:MOST_AT_ONCE]
                for mark in marks:
                    del self._waiting[mark]
                if not marks:
                    self._telling = None
                    return
            await asyncio.gather(*(self._tell_over(layer, marks) for layer in _others()))

    async def _tell_over(self, layer: Any, marks: list[str]) -> None:
        try:
            await layer.group_send(HOMES, {"type": LOGGED_OUT, "sessions": marks})
        except Exception as error:  # noqa: BLE001 - any layer
            self.failed(len(marks), error)

    def failed(self, count: int, error: Exception) -> None:
        """Log that others do not know of so many logouts."""
        due = self._throttle.due(type(error), count)
        if due:
            log.warning(
                "other processes were not told of %d logouts: what waits there for these users ends when its "
                "time is over (%s)",
                *(due, error),
            )

    def _wait(self) -> None:
        telling = self._telling
        if telling is not None:
            concurrent.futures.wait((telling,), EXIT_S)


def _others() -> list[Any]:
    """Return the layers over which other processes hear."""
    found = []
    for alias in channel_layers:
        with contextlib.suppress(Exception):  # who uses a layer that cannot be made is told
            layer = channel_layers[alias]
            if not isinstance(layer, InMemoryChannelLayer):
                found.append(layer)
    return found


_teller = _Teller()
