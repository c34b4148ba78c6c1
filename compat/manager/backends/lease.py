"""``Lease``: tells the registry that this server is alive, and cleans up after dead servers.

Only this server knows its connections for certain. It writes them to the registry again whenever they may be
missing there: after its lease had run out (other servers may have cleaned up), after an outage, after a call
that failed half-way, and long before the keys expire.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from compat.manager.backends.records import Record
from compat.manager.exceptions import BackendError
from compat.redis.backoff import Backoff
from compat.redis.loops import start_apart

if TYPE_CHECKING:
    from compat.manager.backends.upkeep import RegistryUpkeep

__all__ = ["Lease"]

log = logging.getLogger("compat.manager")

REPORT_EVERY_S = 5.0
"""Seconds between two reports of a server's statistics for ``status()``."""
FIRST_PAUSE_S = 0.1


class Lease:
    """The lease of one process, which a task renews on the event loop of its connections."""

    def __init__(
        self, backend: RegistryUpkeep, lease_s: float, refresh_s: float, longest_pause_s: float
    ) -> None:
        self.backend = backend
        self.lease_s = lease_s
        self.refresh_s = refresh_s
        """Seconds after which every connection is written again."""
        self.longest_pause_s = longest_pause_s
        """The longest pause between two attempts during an outage."""
        self.local: Callable[[], Iterable[tuple[Record, Sequence[str]]]] | None = None
        """Yields this process's connections; None before ``tell``, and then none are written."""
        self.left: Callable[[], Iterable[tuple[str, str]]] = tuple
        """Yields memberships that have ended, and that a failed call may have left."""
        self.holds: Callable[[str], bool] = bool
        self.report: Callable[[], dict[str, Any]] = dict
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        """The process that has started the task: in a forked one nothing runs it."""
        self._wake: asyncio.Event | None = None
        self._stale = True
        """True if the registry may differ from ``local()``."""
        self._refreshed = 0.0
        self._renewed = 0.0

    def tell(
        self,
        local: Callable[[], Iterable[tuple[Record, Sequence[str]]]],
        holds: Callable[[str], bool],
        report: Callable[[], dict[str, Any]],
    ) -> None:
        """Store the functions of ``BaseBackend.tell``."""
        self.local, self.holds, self.report = local, holds, report

    def tell_left(self, left: Callable[[], Iterable[tuple[str, str]]]) -> None:
        """Store the function of ``BaseBackend.tell_left``."""
        self.left = left

    def start(self) -> None:
        """Start the task on this event loop, unless it runs already on a loop that is not closed."""
        loop = asyncio.get_running_loop()
        if self._task is not None and not self._task.done() and self._loop is not None:
            if self._pid == os.getpid() and (self._loop is loop or self._loop.is_running()):
                return
        self._loop, self._pid, self._wake = loop, os.getpid(), asyncio.Event()
        self._task = start_apart(loop, self._keep())

    def owe(self) -> None:
        """Write every connection to the registry again, as soon as possible."""
        self._stale = True
        loop, wake = self._loop, self._wake
        if loop is None or wake is None or loop.is_closed():
            return
        if asyncio._get_running_loop() is loop:
            wake.set()
        else:
            loop.call_soon_threadsafe(wake.set)

    async def renew(self) -> float:
        """Renew the lease and do what is due; return the seconds until the next time.

        BackendError without Redis.
        """
        backend = self.backend
        next_ms, *dead = await self._renew()
        await backend.write_report(json.dumps(self.report()))
        now = asyncio.get_running_loop().time()
        if self._stale or now - self._refreshed >= self.refresh_s:
            self._stale = False
            try:
                if self.local is not None:
                    await backend.enter_all(self.local, self.holds, self._stay)
                await backend.leave_all(self.left, self._stay)
            except BaseException:
                self._stale = True
                raise
            self._refreshed = now
        for server in dead:
            await backend.sweep(server.decode(), between=self._stay)
        await backend.forget_strays()
        if self._stale:
            return FIRST_PAUSE_S
        due = min(self.lease_s / 3, REPORT_EVERY_S, self.refresh_s)
        return due if next_ms < 0 else max(min(due, next_ms / 1000 + 0.01), 0.05)

    async def _renew(self) -> list[Any]:
        """Renew the lease; return what renew.lua says of the other servers."""
        self._renewed = asyncio.get_running_loop().time()
        running, *others = await self.backend.renew()
        if not running:
            self._stale = True
        return others

    async def _stay(self) -> None:
        """Renew the lease if a third of it has passed: the others would remove what is just being written."""
        if asyncio.get_running_loop().time() - self._renewed >= self.lease_s / 3:
            await self._renew()

    async def _keep(self) -> None:
        wake = self._wake
        assert wake is not None
        backoff, failures = Backoff(FIRST_PAUSE_S, self.longest_pause_s), 0
        while True:
            wake.clear()
            try:
                due = await self.renew()
            except BackendError as error:
                self._stale = True
                wake.clear()  # set as the connection broke: the pause would be none
                due = backoff.next_s()
                failures += 1
                if failures == 1:
                    log.warning("%s. The registry is told again when it answers", error)
            else:
                if failures:
                    log.warning("the registry is back after %d failed attempts", failures)
                backoff.reset()
                failures = 0
            try:
                await asyncio.wait_for(wake.wait(), due)
            except asyncio.TimeoutError:
                pass

    async def leave_loop(self) -> None:
        """Stop the task if it runs on this event loop, which is about to be closed."""
        if self._loop is asyncio.get_running_loop():
            await self.stop()

    async def stop(self) -> None:
        """Stop the task; for the registry this server stays alive until the lease ends, or ``cleanup()``."""
        task, loop = self._task, self._loop
        self._task = self._loop = self._wake = None
        if task is None or task.done() or loop is None or loop.is_closed():
            return
        if loop is asyncio.get_running_loop():
            task.cancel()
            if task is not asyncio.current_task():
                await asyncio.wait((task,))
        else:
            loop.call_soon_threadsafe(task.cancel)
