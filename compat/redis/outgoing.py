"""The commands that a connection to Redis has to write, and when they leave."""

from __future__ import annotations

import asyncio

from compat.clock import Timer, call_later, timers_run

__all__ = ["GATHER_S", "Outgoing"]

GATHER_S = 0.002
"""The seconds for which a subscriber gathers commands.

In a storm of connects each client subscribes by itself, and its write and the reply cost two system calls and
two task switches. With this pause such a connect takes a quarter less CPU time; see docs/performance.md.
"""


class Outgoing:
    """Commands of any tasks of one event loop; those of one turn of the loop leave together.

    After a batch of several commands the next one is gathered for ``gather_s`` seconds. While commands come
    one by one, such as those of a client that connects when nobody else does, none of them waits.
    """

    def __init__(self, gather_s: float = 0.0) -> None:
        self._gather_s = gather_s
        self._commands: list[bytes] = []
        self._wake = asyncio.Event()
        self._gathering: Timer | None = None

    def add(self, command: bytes) -> None:
        """Add a packed command; commands leave in the order in which they are added."""
        self._commands.append(command)
        if self._gathering is None or not timers_run():  # a frozen clock would never end the pause
            self._wake.set()

    async def batch(self) -> list[bytes]:
        """Wait for commands and return all of them. Call this in one task only."""
        await self._wake.wait()
        self._wake.clear()
        batch, self._commands = self._commands, []
        self.close()
        if self._gather_s and len(batch) > 1:
            self._gathering = call_later(asyncio.get_running_loop(), self._gather_s, self._gathered)
        return batch

    def _gathered(self) -> None:
        self._gathering = None
        if self._commands:
            self._wake.set()

    def close(self) -> None:
        """End the pause. What has not been taken stays."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
