"""A connection that blocks: it waits for messages of one host, and is opened again when Redis is back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from compat.clock import wall
from compat.exceptions import LayerUnavailable
from compat.redis.backoff import Backoff
from compat.redis.connection import Link, RedisUnavailable
from compat.redis.scripts import Script
from compat.redis.shards import Shards
from compat.redis.waiting import sleep

__all__ = ["Outages", "Reader"]


class Outages(Protocol):
    """Is told when a host is lost, and when it is back."""

    def lost(self, index: int, error: RedisUnavailable, who: object, since: float) -> None: ...

    def back(self, index: int, who: object) -> None: ...


class Reader:
    """A connection to one host that is used for blocking commands, kept open until ``aclose``."""

    scripts: Sequence[Script] = ()

    def __init__(self, shards: Shards, index: int, outages: Outages, block_s: float) -> None:
        self.shards = shards
        self.index = index
        self.outages = outages
        self.block_s = block_s
        """How long one blocking command lasts at most."""
        self.error: RedisUnavailable | None = None
        """Why there is no connection now, once an attempt has failed."""
        self.sure_until = 0.0
        """Whatever was sent before this time (of the wall clock) has arrived, or was in an earlier outage."""
        self._backoff = Backoff()
        self._is_open = False
        self._waiting: list[asyncio.Future[None]] = []
        self._client_id: int | None = None
        self._blocked = False
        self._changes = 0
        self._interrupting: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless it runs already."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def serve(self, link: Link) -> None:
        """Read until the link breaks."""
        raise NotImplementedError

    async def open(self) -> Link:
        """Connect, and do what comes before ``serve``."""
        host, pool = self.shards.hosts[self.index], self.shards.pool(self.index)
        link = await Link.open(
            host, pool, self.shards.explain, extra_patience_s=self.block_s, scripts=self.scripts
        )
        try:
            await self._identify(link)
        except BaseException:
            link.close()
            raise
        return link

    async def reachable(self) -> None:
        """Return once there is a connection; raises LayerUnavailable when an attempt to make one fails."""
        if self.error is not None:
            raise self.shards.explain(self.shards.hosts[self.index], self.error.reason)
        if not self._is_open:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    def connected(self) -> None:
        """A connection is open; whether it can be used is not known yet."""

    def proven(self, asked: float) -> None:
        """To be called by ``serve`` when Redis does what it was asked for at that time: an outage is over."""
        if not self._is_open:
            self.error, self._is_open = None, True
            self._backoff.reset()
            self.sure_until = asked
            self._answer(None)
            self.outages.back(self.index, self)

    def failed(self, error: RedisUnavailable) -> None:
        """There is no connection: it broke, or an attempt to make one has failed."""

    def _answer(self, error: RedisUnavailable | None) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(self.shards.explain(self.shards.hosts[self.index], error.reason))

    async def _run(self) -> None:
        backoff = self._backoff
        while True:
            link: Link | None = None
            try:
                link = await self.open()
                self.shards.opened(self.index)
                self.connected()
                await self.serve(link)
            except RedisUnavailable as error:
                self.error, self._is_open = error, False
                self.outages.lost(self.index, error, self, self.sure_until or wall())
                self.failed(error)
                self._answer(error)
            finally:
                if link is not None:
                    link.close()
            await self.shards.pause(self.index, backoff.next_s())

    async def _identify(self, link: Link) -> None:
        """Learn this connection's id, and end the one before it, should Redis not know yet that it is gone.

        A connection that only one side believes in would be given the next message, and lose it.
        """
        if self._client_id is not None:
            link.tell(b"CLIENT", b"KILL", b"ID", self._client_id)
        try:
            self._client_id = await link.call(b"CLIENT", b"ID")
        except LayerUnavailable:
            self._client_id = None  # this user may not ask; then changes of the queues wait for block_s
            if link.closed:
                raise

    def block(self, link: Link, queues: Sequence[str]) -> asyncio.Future[Any]:
        """The next message of any of the queues as ``[queue, member, score]``, or None after a while."""
        self._blocked = True
        reply = link.call(b"BZPOPMIN", *queues, f"{self.block_s:g}")
        reply.add_done_callback(self._unblocked)
        return reply

    def _unblocked(self, reply: asyncio.Future[Any]) -> None:
        self._blocked = False
        self._changes += 1

    def interrupt(self) -> None:
        """Let ``block`` return: the queues that it should wait for have changed."""
        if self._blocked and self._client_id is not None and self._interrupting is None:
            self._interrupting = asyncio.get_running_loop().create_task(self._interrupt())

    async def _interrupt(self) -> None:
        turn, pause_s = self._changes, 0.001
        try:
            # The command may overtake the one that it is to end, on its way through another connection.
            while self._blocked and self._changes == turn:
                if await self.shards.call(self.index, b"CLIENT", b"UNBLOCK", self._client_id or 0):
                    return
                await sleep(pause_s)
                pause_s = min(2 * pause_s, 0.1)
        except LayerUnavailable:
            pass  # the reader's own connection will notice
        finally:
            self._interrupting = None

    async def aclose(self) -> None:
        """Stop reading."""
        tasks = [task for task in (self._task, self._interrupting) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
