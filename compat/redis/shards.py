"""The command connections of one layer on one event loop: one for each host, opened when needed."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import methodcaller
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import ResponseError

from compat.clock import steady
from compat.exceptions import LayerUnavailable
from compat.redis.asking import ShardLink
from compat.redis.backoff import Backoff
from compat.redis.commands import Joined
from compat.redis.connection import Explain, Link, answered, ask_all
from compat.redis.encoding import Argument
from compat.redis.following import Following
from compat.redis.hosts import Host, close_pool
from compat.redis.loops import start_apart
from compat.redis.reasons import MOVED, WAIT
from compat.redis.scripts import Script
from compat.redis.servers import Server
from compat.redis.unavailable import Redirected, RedisUnavailable
from compat.redis.waiting import settle, shared, sleep, wait_for_result

__all__ = ["Shards"]

FAIL_FAST_S = 1.0
"""Seconds, at most, for which calls fail at once after a failed attempt to connect that took as long."""

NOT_SOONER_S = 0.05
"""The same at least, for a shard of a cluster: an attempt asks all nodes, and all who wait make some."""

ONE_OUTAGE_S = 60.0
"""Seconds without an attempt to connect after which a failed one belongs to another outage."""


class Shards:
    """Runs commands on hosts by index; all tasks of the event loop share one connection per host.

    ``on_end(index, reason)`` is called when a connection breaks, and with ``MOVED`` when another node of a
    cluster has a shard, which may lack the last writes; ``on_open(index, server)`` when one has been opened.
    ``scripts`` are loaded into Redis with each new connection. ``role_every_s``: see ``Link``. Any call may
    raise LayerUnavailable.

    A call to a shard of a cluster is repeated while the cluster says that it has not been carried out,
    because the slot moves or its master has died; for as long as a reply may take.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        explain: Explain,
        on_end: Callable[[int, str], None],
        scripts: Sequence[Script] = (),
        station: Any = None,
        *,
        on_open: Callable[[int, Server], None] | None = None,
        role_every_s: float = math.inf,
    ) -> None:
        self.hosts = hosts
        self.station = station
        """The layer's station on this loop, or None."""
        self.explain = explain
        self._on_end = on_end
        self._on_open = on_open
        self._scripts = scripts
        self._role_every_s = role_every_s
        self._loop = asyncio.get_running_loop()
        self._pools: list[ConnectionPool | None] = [None] * len(hosts)
        self._links: list[Link | None] = [None] * len(hosts)
        self._nodes: dict[int, Server] = {}
        """What has answered last for each shard of a cluster."""
        self._opening: dict[int, asyncio.Task[Link | str]] = {}
        self._failed: dict[int, tuple[float, str]] = {}
        self._lost: dict[int, tuple[float, float]] = {}
        """When the first and the last attempt failed of those to connect to a host that failed in a row."""
        self._clients: dict[int, Redis] = {}
        self._posts: set[asyncio.Task[None]] = set()
        self._told: dict[int, list[Sequence[Argument]]] = {}
        """The commands that wait for others to the same host, which are being sent."""
        self._pausing: dict[int, set[asyncio.Future[None]]] = {}
        self.following = Following(self.pool, self.opened)
        """Every connection to a host, those of readers too."""
        self.share = Joined(self.run).call

    def pool(self, index: int) -> ConnectionPool:
        """Return the redis-py pool of a host, which makes connections but does not keep them."""
        pool = self._pools[index]
        if pool is None:
            pool = self._pools[index] = self.hosts[index].pool()
        return pool

    def client(self, index: int) -> Redis:
        """Return a redis-py client of a host, for commands of the application."""
        client = self._clients.get(index)
        if client is None:
            client = self._clients[index] = Redis(connection_pool=self.pool(index))
        return client

    def clients(self) -> dict[int, Redis]:
        """Return the clients that ``client`` has made, by host index."""
        return dict(self._clients)

    def is_open(self, index: int) -> bool:
        """Return True while there is a connection to this host."""
        return self.server(index) is not None

    def server(self, index: int) -> Server | None:
        """Return what the server behind the commands' connection has said of itself; None without one."""
        link = self._links[index]
        return None if link is None or link.closed else link.server

    async def pause(self, index: int, seconds: float) -> None:
        """Wait before the next attempt to connect to a host; return early if another attempt succeeds."""
        future: asyncio.Future[None] = self._loop.create_future()
        pausing = self._pausing.setdefault(index, set())
        pausing.add(future)
        try:
            await wait_for_result(future, seconds)
        finally:
            pausing.discard(future)

    def opened(self, index: int) -> None:
        """Record that a connection to a host has been opened, and end all waits in ``pause``."""
        self._failed.pop(index, None)
        for future in self._pausing.pop(index, ()):
            settle(future)

    async def connect(self, index: int, **options: Any) -> Link:
        """Open a connection to a host, with the options of ``Link.open``; raise LayerUnavailable.

        If the sentinels name another master meanwhile, or later, the connection ends.
        """
        host = self.hosts[index]
        kind = ShardLink if host.is_shard else Link
        link = await self.following.connect(
            index, lambda: kind.open(host, self.pool(index), self.explain, **options)
        )
        if self._on_open is not None:
            self._on_open(index, link.server)
        return link

    async def link(self, index: int) -> Link:
        """Return the connection to a host, a new one if needed; concurrent callers share one attempt."""
        link = self._links[index]
        if link is not None and not link.closed:
            return link
        until, reason = self._failed.get(index, (0.0, ""))
        if steady() < until:
            raise self.explain(self.hosts[index], reason)
        opening = self._opening.get(index)
        if opening is None:
            opening = self._opening[index] = start_apart(self._loop, self._open(index))
            # Not in _open, whose first step a cancelled task need not reach.
            opening.add_done_callback(lambda _: self._opening.pop(index))
        opened = await shared(opening)
        if isinstance(opened, str):
            raise self.explain(self.hosts[index], opened)
        return opened

    async def call(self, index: int, *arguments: Argument) -> Any:
        """Send a command and return its reply."""
        link = self._links[index]
        if link is None or link.closed:
            link = await self._patient_link(index)
        try:
            return await link.call(*arguments)
        except Redirected as refused:
            return await self._again(index, link, refused, methodcaller("call", *arguments))

    async def run(self, index: int, script: Script, keys: list[str], *arguments: Argument) -> Any:
        """Run a script and return its reply."""
        link = self._links[index]
        if link is None or link.closed:
            link = await self._patient_link(index)
        try:
            return await script.run(link.call, keys, *arguments)
        except Redirected as refused:
            return await self._again(
                index, link, refused, lambda link: script.run(link.call, keys, *arguments)
            )

    async def calls(self, index: int, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Send several commands in one write and return their replies; raise the first error at the end."""
        link = await self._patient_link(index)
        answers = await answered(link, commands)
        replies = []
        for answer, command in zip(answers, commands, strict=True):
            refused = answer.exception()
            if isinstance(refused, Redirected):
                replies.append(await self._again(index, link, refused, methodcaller("call", *command)))
            else:
                replies.append(answer.result())
        return replies

    async def calls_now(self, index: int, make: Callable[[], Sequence[Sequence[Argument]]]) -> None:
        """Send the commands that ``make()`` returns by ``ask_now``; raise the first error at the end."""
        await self.ask_now(index, partial(ask_all, make))

    async def ask_now(self, index: int, ask: Callable[[Link], Awaitable[Any]]) -> Any:
        """Return what ``ask(link)`` does, which sends in one write what is true then.

        It is called when that can be sent, also again: who waits for a connection, or repeats commands in a
        cluster, may be overtaken.
        """
        link = await self._patient_link(index)
        try:
            return await ask(link)
        except Redirected as refused:
            return await self._again(index, link, refused, ask)

    async def _patient_link(self, index: int) -> Link:
        """Return the connection to a host; wait for the new master of a shard that has just lost its own."""
        host, pauses = self.hosts[index], Backoff()
        if not host.is_shard:
            return await self.link(index)
        while True:
            try:
                return await self.link(index)
            except RedisUnavailable:
                now = steady()
                first, last = self._lost.get(index, (now, now))
                if now > last + ONE_OUTAGE_S:
                    first = now
                self._lost[index] = first, now
                if now > first + host.reply_timeout_s:
                    raise
            await sleep(pauses.next_s())

    async def _again(
        self, index: int, link: Link, refused: Redirected, ask: Callable[[Link], Awaitable[Any]]
    ) -> Any:
        """Repeat a command that a node of a cluster has refused, there or at another node."""
        until = steady() + self.hosts[index].reply_timeout_s
        pauses = Backoff()
        while steady() < until:
            if refused.reason != WAIT:
                self.retire(index, link)
            await sleep(pauses.next_s())
            try:
                link = await self._patient_link(index)
                return await ask(link)
            except Redirected as again:
                refused = again
        raise self.explain(self.hosts[index], refused.reason)

    def retire(self, index: int, link: Link | None = None) -> None:
        """Use a connection (by default the current one) no more, because the shard is elsewhere now."""
        current = self._links[index]
        if current is not None and link in (None, current):
            self._links[index] = None
            current.close_soon()

    def tell(self, index: int, *commands: Sequence[Argument]) -> None:
        """Send commands in order and ignore their replies; open a connection if there is none.

        A shard that moves may refuse one: it is repeated, and those behind it too, which must bear that.
        """
        link, waiting = self._links[index], self._told.get(index)
        if waiting is not None:
            waiting.extend(commands)
        elif link is not None and not link.closed and not self.hosts[index].is_shard:
            for command in commands:
                link.tell(*command)
        else:
            self._told[index] = list(commands)
            task = self._loop.create_task(self._tell_all(index))
            self._posts.add(task)
            task.add_done_callback(partial(self._has_told, index))

    async def _tell_all(self, index: int) -> None:
        """Send what has been told to a host, and what is told meanwhile."""
        while commands := self._told[index]:
            self._told[index] = []
            with contextlib.suppress(LayerUnavailable):  # the caller of ``tell`` expects no error
                await self._tell_in_order(index, commands)

    def _has_told(self, index: int, task: asyncio.Task[None]) -> None:
        self._posts.discard(task)
        commands = self._told.pop(index)
        if commands and not task.cancelled():
            self.tell(index, *commands)

    async def _tell_in_order(self, index: int, commands: list[Sequence[Argument]]) -> None:
        while commands:
            link = await self._patient_link(index)
            answers = await answered(link, commands)
            errors = [answer.exception() for answer in answers]
            refused = next((n for n, error in enumerate(errors) if isinstance(error, Redirected)), None)
            if refused is None:
                return
            error, ask = errors[refused], methodcaller("call", *commands[refused])
            assert isinstance(error, Redirected)
            with contextlib.suppress(ResponseError):
                await self._again(index, link, error, ask)
            commands = commands[refused + 1 :]

    async def _open(self, index: int) -> Link | str:
        began = steady()
        try:
            link = await self.connect(
                index,
                on_end=lambda reason: self._on_end(index, reason),
                scripts=self._scripts,
                role_every_s=self._role_every_s,
            )
        except RedisUnavailable as error:
            failed, least = steady(), NOT_SOONER_S if self.hosts[index].is_shard else 0.0
            self._failed[index] = (failed + max(least, min(FAIL_FAST_S, failed - began)), error.reason)
            return error.reason  # each waiting caller raises a new exception with it
        self._links[index] = link
        self._lost.pop(index, None)
        self.opened(index)
        if self.hosts[index].is_shard:
            before, self._nodes[index] = self._nodes.get(index), link.server
            if before is not None and (before.run_id is None or link.server.is_other(before.run_id)):
                self._on_end(index, MOVED)
        return link

    async def aclose(self) -> None:
        """Send the commands of ``tell`` that still wait, and close every connection."""
        if self._posts:
            await asyncio.wait(self._posts, timeout=FAIL_FAST_S)
        self.following.close()
        ending = (*self._opening.values(), *self._posts)
        for task in ending:
            task.cancel()
        for index, link in enumerate(self._links):
            if link is not None:
                self._links[index] = None
                await link.aclose()
        self._clients.clear()
        for index, pool in enumerate(self._pools):
            if pool is not None:
                self._pools[index] = None
                await close_pool(pool)
        if ending:
            await asyncio.wait(ending)
