"""A connection for blocking reads from one host, which reopens when Redis is back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from compat.clock import steady, wall
from compat.exceptions import LayerUnavailable
from compat.redis.backoff import Backoff
from compat.redis.connection import Link
from compat.redis.encoding import Argument
from compat.redis.loops import start_apart
from compat.redis.reasons import MOVED, WAIT
from compat.redis.scripts import Script
from compat.redis.shards import Shards
from compat.redis.unavailable import RedisUnavailable
from compat.redis.waiting import CLOSED, sleep

__all__ = ["Outages", "Reader"]

log = logging.getLogger("compat.layers")


class Outages(Protocol):
    """Records that a host is lost, and that it is back (``OutageLog``)."""

    def lost(self, index: int, error: RedisUnavailable, who: object, since: float) -> None: ...

    def back(self, index: int, who: object) -> None: ...


class Reader:
    """A connection to one host for blocking commands, which is kept open until ``aclose``."""

    scripts: Sequence[Script] = ()

    def __init__(self, shards: Shards, index: int, outages: Outages, block_s: float) -> None:
        self.shards = shards
        self.index = index
        self.outages = outages
        self.block_s = block_s
        """Seconds that one blocking command lasts at most."""
        self.error: RedisUnavailable | None = None
        """Why there is no connection, once an attempt has failed; else None."""
        self.sure_until = 0.0
        """Messages sent before this time (wall clock) have arrived, or were lost in an earlier outage."""
        self._backoff = Backoff()
        self._is_open = False
        self._moving: float | None = None
        """When the shard began to move to another node of a cluster, by ``steady()``."""
        self._waiting: list[asyncio.Future[None]] = []
        self._client_id: int | None = None
        self._run_id: str | None = None
        """Of the server that has given ``_client_id``."""
        self._blocked = False
        self._changes = 0
        """The number of blocking reads that have ended."""
        self._unwanted = -1
        """The value of ``_changes`` during the read that is to end."""
        self._interrupting: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to read, unless the reader runs already."""
        if self._task is None or self._task.done():
            self._task = start_apart(asyncio.get_running_loop(), self._run())

    async def serve(self, link: Link) -> None:
        """Read from ``link`` until it breaks."""
        raise NotImplementedError

    async def open(self) -> Link:
        """Connect, prepare the connection for ``serve``, and return it."""
        link = await self.shards.connect(self.index, extra_patience_s=self.block_s, scripts=self.scripts)
        try:
            await self._identify(link)
        except BaseException:
            link.close()
            raise
        return link

    async def reachable(self) -> None:
        """Wait until there is a connection; raise LayerUnavailable if an attempt to connect fails."""
        if self.error is not None:
            raise self.shards.explain(self.shards.hosts[self.index], self.error.reason)
        if not self._is_open:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    def connected(self) -> None:
        """Called when a connection is open; whether commands work is not known yet."""

    def proven(self, asked: float) -> None:
        """End an outage; ``serve`` calls this when Redis has answered a command that was sent at ``asked``.

        ``asked`` is a time of the wall clock.
        """
        if not self._is_open:
            self.error, self._is_open, self._moving = None, True, None
            self._backoff.reset()
            self.sure_until = asked
            self._answer()
            self.outages.back(self.index, self)

    def failed(self, error: RedisUnavailable) -> None:
        """Called when the connection has broken, or an attempt to connect has failed."""

    def redirected(self, error: RedisUnavailable) -> None:
        """Called when a cluster moves the shard elsewhere; callers of ``reachable`` wait meanwhile."""

    def _is_moving(self, error: RedisUnavailable) -> bool:
        """Return True for an error because a cluster moves the shard, unless that has lasted for too long."""
        if error.reason not in (MOVED, WAIT):
            return False
        if self._moving is None:
            self._moving = steady()
        return steady() < self._moving + self.shards.hosts[self.index].reply_timeout_s

    def _answer(self, failure: Callable[[], LayerUnavailable] | None = None) -> None:
        """End the waits in ``reachable``; each raises what ``failure()`` returns."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if future.done():
                continue
            if failure is None:
                future.set_result(None)
            else:
                future.set_exception(failure())

    async def _run(self) -> None:
        backoff = self._backoff
        while True:
            link: Link | None = None
            try:
                link = await self.open()
                self.shards.opened(self.index)
                self.connected()
                await self.serve(link)
            except Exception as caught:  # noqa: BLE001 - whatever a message does, the reader goes on
                error = caught if isinstance(caught, RedisUnavailable) else self._puzzled(caught)
                error.__traceback__ = None  # its frames have the connection, and futures that have the error
                self._is_open = False
                if self._is_moving(error):
                    self.shards.retire(self.index)
                    self.redirected(error)
                else:
                    self.error = error
                    self.outages.lost(self.index, error, self, self.sure_until or wall())
                    self.failed(error)
                    host = self.shards.hosts[self.index]
                    self._answer(partial(self.shards.explain, host, error.reason))
            finally:
                if link is not None:
                    link.close()
            await self.shards.pause(self.index, backoff.next_s())

    def _puzzled(self, error: Exception) -> RedisUnavailable:
        """Log an error that is not an outage, and return it as one."""
        host = self.shards.hosts[self.index]
        log.error("the reader of Redis at %s failed, and connects again", host.where, exc_info=error)
        return self.shards.explain(host, f"its reader failed: {type(error).__name__}: {error}")

    async def _identify(self, link: Link) -> None:
        """Get this connection's id, and kill the connection before it, in case Redis still believes it is
        open.

        Otherwise Redis would give the next message to the old connection, and it would be lost. In another
        run of Redis, or on another server, the old id may be that of a stranger.
        """
        run_id = link.server.run_id
        if self._client_id is not None and run_id is not None and run_id == self._run_id:
            link.tell(b"CLIENT", b"KILL", b"ID", self._client_id)
        self._run_id = run_id
        try:
            self._client_id = await link.call(b"CLIENT", b"ID")
        except LayerUnavailable:
            self._client_id = None  # not permitted; then new queues are read after block_s
            if link.closed:
                raise

    def block(self, link: Link, queues: Sequence[str]) -> asyncio.Future[Any]:
        """Return a future for the next message as ``[queue, member, score]``, or for None after block_s."""
        return self.blocking(link, b"BZPOPMIN", *queues, f"{self.block_s:g}")

    def blocking(self, link: Link, *command: Argument) -> asyncio.Future[Any]:
        """Send a command that waits for at most block_s, and return a future for the reply."""
        self._blocked = True
        reply = link.call(*command)
        reply.add_done_callback(self._unblocked)
        return reply

    def _unblocked(self, reply: asyncio.Future[Any]) -> None:
        self._blocked = False
        self._changes += 1

    def interrupt(self) -> None:
        """End the blocking read, because the queues to read have changed."""
        if self._blocked and self._client_id is not None:
            self._unwanted = self._changes
            if self._interrupting is None:
                self._interrupting = asyncio.get_running_loop().create_task(self._interrupt())

    async def _interrupt(self) -> None:
        pause_s = 0.001
        try:
            # Repeat it: this command uses another connection, and may arrive before the blocking command. And
            # while it is on its way, the next read may have begun, and be unwanted too.
            while self._blocked and self._changes == self._unwanted:
                link = await self.shards.link(self.index)
                if link.server.is_other(self._run_id):
                    break  # the commands go to another server now, where the id is that of a stranger
                unwanted = self._unwanted
                await link.call(b"CLIENT", b"UNBLOCK", self._client_id or 0)
                await sleep(pause_s)
                pause_s = min(2 * pause_s, 0.1) if unwanted == self._unwanted else 0.001
        except LayerUnavailable:
            pass  # the reader's own connection will notice the outage
        finally:
            self._interrupting = None

    async def aclose(self) -> None:
        """Stop reading."""
        self._answer(partial(LayerUnavailable, CLOSED))
        tasks = [task for task in (self._task, self._interrupting) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._interrupting = None  # a task that was cancelled before its first step does not do it
