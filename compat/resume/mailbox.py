"""The mailbox of a process on a channel layer, into which other processes write."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from compat.clock import steady
from compat.redis.loops import start_apart
from compat.resume.logouts import belong
from compat.resume.peer import DEAD_S
from compat.types import Message

__all__ = ["NOT_UNDERSTOOD", "ProcessMailbox"]

log = logging.getLogger("compat.resume")

OPENED = "compat.relay.opened"
OPEN_S, OPEN_ATTEMPTS = 2.0, 40
AGAIN_S = 1.0
"""Seconds after which a mailbox that could not be opened, or read, is again."""
NOT_UNDERSTOOD = "what another process has sent cannot be understood"


class ProcessMailbox:
    """One channel of ``layer``, on one event loop; ``take`` is called with each message.

    ``opened`` is called once it is open.
    """

    def __init__(
        self,
        layer: Any,
        take: Callable[[Message], None],
        opened: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.layer = layer
        self.take = take
        self.opened = opened
        self.loop = asyncio.get_running_loop()
        self.channel = ""
        """Its name; empty until it is open."""
        self.opening: asyncio.Task[None] | None = None
        self.tried = asyncio.Event()
        """Set once the first attempt to open it has ended: no other one is waited for."""
        self.closed_since: float | None = None
        """The time of the first failed attempt to open it; None if there was none, or it is open."""
        self.listens = asyncio.Event()
        """Set once a message to it has arrived."""
        self.reading: asyncio.Task[None] | None = None
        self.belonging: asyncio.Task[None] | None = None
        """Keeps it in the group of all processes."""

    async def open(self) -> str:
        """Return its channel, after opening it at the first call; "" while the layer is away."""
        if not self.channel:
            if self.opening is None:
                self.opening = start_apart(self.loop, self._open())  # and so what it starts
            await self.tried.wait()
        return self.channel

    def may_open(self) -> bool:
        """Return True if it is not open, and the layer has not been away for long."""
        waits = self.closed_since is None or steady() - self.closed_since < DEAD_S
        return not self.channel and waits

    async def _open(self) -> None:
        """Open it, in as many attempts as that takes; it has a name as soon as messages to it arrive."""
        channel = ""
        try:
            while not self.channel:
                try:
                    channel = channel or self._begin(await self.layer.new_channel())
                    await self._wait_until_heard(channel)
                except Exception as error:  # noqa: BLE001 - any layer
                    if self.closed_since is None:
                        log.warning("resumable connections are found in this process only: %s", error)
                        self.closed_since = steady()
                    self.tried.set()
                    await asyncio.sleep(AGAIN_S)
                else:
                    self.channel, self.closed_since = channel, None
        finally:
            self.tried.set()
        if self.opened is not None:
            await self.opened()

    def _begin(self, channel: str) -> str:
        self.reading = self.loop.create_task(self._read(channel))
        self.belonging = self.loop.create_task(belong(self.layer, channel))
        return channel

    async def _wait_until_heard(self, channel: str) -> None:
        for _ in range(OPEN_ATTEMPTS):  # over pub/sub the first ones may come before the subscription
            await self.layer.send(channel, {"type": OPENED})
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.listens.wait(), OPEN_S / OPEN_ATTEMPTS)
                return
        raise TimeoutError(f"its mailbox has not opened within {OPEN_S:g} s")

    async def _read(self, channel: str) -> None:
        while True:
            try:
                message = await self.layer.receive(channel)
            except Exception as error:  # noqa: BLE001 - any layer; its clients come back
                log.debug("the mailbox cannot be read: %r", error)
                await asyncio.sleep(AGAIN_S)
                continue
            try:
                if message.get("type") == OPENED:
                    self.listens.set()
                else:
                    self.take(message)
            except Exception:  # the message may be of another version; the next ones have to be read
                log.exception(NOT_UNDERSTOOD)
