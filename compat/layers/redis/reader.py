"""Connections that block: one per host waits for messages, and comes back by itself when Redis does.

``Reader`` is the endless part: connect, serve, note an outage, wait a little, connect. ``QueueReader`` serves
the queues that belong to one process (and event loop): everything that arrives is handed on at once, many
messages at a round trip, and nothing twice.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from redis.exceptions import NoScriptError

from compat.exceptions import LayerUnavailable
from compat.layers.redis.clock import wall
from compat.layers.redis.connection import Link, RedisUnavailable
from compat.layers.redis.scripts import TAKE, Script
from compat.layers.redis.shards import Shards
from compat.layers.redis.waiting import sleep

__all__ = ["Backoff", "Outages", "QueueReader", "Reader"]

BATCH = 128
"""Messages taken in one round trip."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.03, 1.0


class Backoff:
    """Pauses between attempts: doubling, with jitter, so that a fleet does not come back in step."""

    def __init__(self) -> None:
        self._next_s = FIRST_PAUSE_S

    def reset(self) -> None:
        self._next_s = FIRST_PAUSE_S

    def next_s(self) -> float:
        """How long to wait now, in seconds."""
        pause, self._next_s = self._next_s, min(2 * self._next_s, LONGEST_PAUSE_S)
        return pause * random.uniform(0.5, 1.0)


class Outages(Protocol):
    """Who is told when a host is lost, and when it is back."""

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

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that does what it is asked for."""
        return self._is_open

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


class QueueReader(Reader):
    """Reads the queues of one process on one host: ``on_message(member, score)`` for each, oldest first.

    It returns None, or what to await before the next message is handed over.

    What a round trip took stays in flight in Redis until it has arrived here. After a reconnect it is put
    back and taken again; what had arrived is recognised and left out.
    """

    scripts = (TAKE,)

    def __init__(
        self,
        shards: Shards,
        index: int,
        outages: Outages,
        block_s: float,
        expiry_s: int,
        inflight: Callable[[str], str],
        on_message: Callable[[bytes, float], Awaitable[None] | None],
    ) -> None:
        super().__init__(shards, index, outages, block_s)
        self.expiry_s = expiry_s
        self.inflight = inflight
        self.on_message = on_message
        self.queues: list[str] = []
        self._by_text = False
        """Redis does not know the script, and is to get its text."""
        self._arrived: dict[str, frozenset[bytes]] = {}
        """What the last round trip took from each queue."""

    def listen(self, queue: str, *, at_once: bool = True) -> None:
        """Read this queue as well: from now on, or from when the wait for the others is over."""
        if queue not in self.queues:
            self.queues.append(queue)
            if at_once:
                self.interrupt()
        self.start()

    async def serve(self, link: Link) -> None:
        known = dict(self._arrived)
        put_back = set(self.queues)  # their messages in flight are to be taken again
        while True:
            queues, asked = tuple(self.queues), wall()
            takes = [self._take(link, queue, queue in put_back) for queue in queues]
            blocked = self.block(link, queues)  # in the same write: no round trip is spent on an empty queue
            emptied = True
            for queue, take in zip(queues, takes, strict=True):
                try:
                    taken = await take
                except NoScriptError:  # the text goes with the next; the blocking pop goes on meanwhile
                    self._by_text, emptied = True, False
                    self.proven(asked)
                    continue
                emptied = emptied and len(taken) < 2 * BATCH
                self.proven(asked)
                put_back.discard(queue)
                await self._arrive(queue, taken, known)
                if 0 < len(taken) < 2 * BATCH:
                    # The next take would; but it may be block_s away, and these have arrived.
                    self.shards.tell(self.index, (b"ZREM", self.inflight(queue), *taken[::2]))
            if emptied:
                self.sure_until = asked
            hit = await blocked
            if hit is not None:
                await self._hand_over(hit[1], float(hit[2]))

    def _take(self, link: Link, queue: str, put_back: bool) -> asyncio.Future[list[bytes]]:
        script = (b"EVAL", TAKE.text) if self._by_text else (b"EVALSHA", TAKE.digest)
        self._by_text = False
        keys = (queue, self.inflight(queue))
        return link.call(*script, 2, *keys, BATCH, self.expiry_s, b"1" if put_back else b"0")

    async def _arrive(self, queue: str, taken: list[bytes], known: dict[str, frozenset[bytes]]) -> None:
        before = known.get(queue)
        self._arrived[queue] = frozenset(taken[::2])
        for member, score in zip(taken[::2], taken[1::2], strict=True):
            if before is None or member not in before:
                await self._hand_over(member, float(score))
        if before is not None and len(taken) < 2 * BATCH:
            del known[queue]  # the queue is empty: all that was put back has come

    async def _hand_over(self, member: bytes, score: float) -> None:
        pause = self.on_message(member, score)
        if pause is not None:
            await pause
