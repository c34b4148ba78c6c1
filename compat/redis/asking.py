"""The connection to the node of a cluster that has a shard, also while its slot is moved to another node.

Meanwhile that node refuses commands for keys that it does not have, and names the other one (ASK), to which
they are sent then. Scripts need help, because both nodes refuse several keys unless they have all of them
(TRYAGAIN), also if the others are nowhere. From Redis 7 on, ASK says that the first node has none of the
keys. No command can make one there any more, so the other node may run the script with whatever keys there
are. And a topic is no key that could be elsewhere. A script whose keys are on both nodes has to wait.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from compat.redis.connection import Link
from compat.redis.encoding import Argument
from compat.redis.hosts import close_pool
from compat.redis.loops import start_apart
from compat.redis.reasons import WAIT, asked_node
from compat.redis.scripts import publishes, with_one_key
from compat.redis.unavailable import Redirected, RedisUnavailable
from compat.redis.waiting import fail

__all__ = ["ShardLink"]

SAYS_ALL_SINCE = 7
"""The major version from which on ASK says that the node has none of the keys; before, it may have some."""


class ShardLink(Link):
    """A connection to the node that has a shard, which passes on what another node is to be asked.

    ``call`` raises Redirected if the other node refuses the command too, or cannot be reached.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._calls: dict[asyncio.Future[Any], tuple[Argument, ...] | None] = {}
        """The commands without a reply; None for one that only this node may carry out."""
        self._nodes: dict[tuple[str, int], _Node] = {}

    def call(self, *arguments: Argument) -> asyncio.Future[Any]:
        future = super().call(*arguments)
        if not future.done():
            self._calls[future] = arguments
            future.add_done_callback(self._answered)
        return future

    def _answered(self, future: asyncio.Future[Any]) -> None:
        del self._calls[future]
        if self._is_retired:
            self.close_soon()

    def is_waiting(self) -> bool:
        return bool(self._calls) or super().is_waiting()

    def _refuse(self, future: asyncio.Future[Any], error: Exception) -> None:
        named, command = asked_node(error), self._calls[future]
        if named is not None and command is not None:
            self._pass_on(named, future, command)
        elif command is not None and publishes(command) and self.host.redirect_of(error) == WAIT:
            self._calls[future] = None
            self._submit(with_one_key(command), future)
        else:
            super()._refuse(future, error)

    def _pass_on(
        self, named: tuple[str, int], future: asyncio.Future[Any], command: tuple[Argument, ...]
    ) -> None:
        self.passed_on += 1
        if self.server.major >= SAYS_ALL_SINCE:
            command = with_one_key(command)
        address = (named[0] or getattr(self.connection, "host", ""), named[1])
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = _Node(self, address)
        node.ask(future, command)

    def _shut(self, reason: str) -> None:
        super()._shut(reason)
        for node in self._nodes.values():
            node.end(reason)

    async def aclose(self) -> None:
        await super().aclose()
        for node in self._nodes.values():
            await node.aclose()


class _Node:
    """The node to which a slot is moved, and a connection to it."""

    def __init__(self, home: Link, address: tuple[str, int]) -> None:
        self._home = home
        self._address = address
        self._link: Link | None = None
        self._opening: asyncio.Task[None] | None = None
        self._early: list[tuple[asyncio.Future[Any], tuple[Argument, ...]]] = []
        """What is to be asked as soon as there is a connection."""

    def ask(self, future: asyncio.Future[Any], command: tuple[Argument, ...]) -> None:
        """Send a command, and set what comes of it as that of ``future``."""
        if self._link is not None and not self._link.closed:
            self._send(self._link, future, command)
            return
        self._early.append((future, command))
        if self._opening is None:
            self._opening = start_apart(self._home.loop, self._open())

    async def _open(self) -> None:
        home, pool = self._home, self._home.host.pool_at(self._address)
        extra_s = home.patience_s - home.host.reply_timeout_s
        try:
            self._link = await Link.open(home.host, pool, home.explain, extra_patience_s=extra_s)
        except RedisUnavailable as error:
            for future, _ in self._taken():
                fail(future, Redirected(str(error), WAIT))
        else:
            for future, command in self._taken():
                self._send(self._link, future, command)
        finally:
            self._opening = None
            await close_pool(pool)

    def _taken(self) -> list[tuple[asyncio.Future[Any], tuple[Argument, ...]]]:
        """Return what waits for the connection, but for calls that were cancelled, and forget it."""
        early, self._early = self._early, []
        return [one for one in early if not one[0].done()]

    @staticmethod
    def _send(link: Link, future: asyncio.Future[Any], command: tuple[Argument, ...]) -> None:
        link.tell(b"ASKING")  # is for the next command only, and leaves in one write with it
        try:
            answer = link.call(*command)
        except Exception as error:  # noqa: BLE001 - the caller waits for the future
            fail(future, error)
        else:
            answer.add_done_callback(partial(_pass_back, future))

    def end(self, reason: str) -> None:
        """Close the connection; waiting calls get LayerUnavailable."""
        if self._opening is not None:
            self._opening.cancel()
        for future, _ in self._taken():
            fail(future, self._home.explain(self._home.host, reason))
        if self._link is not None:
            self._link.end(reason)

    async def aclose(self) -> None:
        """Wait until the connection that ``end`` has closed is."""
        if self._opening is not None:
            await asyncio.wait((self._opening,))
        if self._link is not None:
            await self._link.aclose()


def _pass_back(future: asyncio.Future[Any], answer: asyncio.Future[Any]) -> None:
    if future.done() or answer.cancelled():
        return
    error = answer.exception()
    if error is None:
        future.set_result(answer.result())
    else:
        fail(future, error)
