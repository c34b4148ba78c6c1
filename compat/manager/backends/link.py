"""The registry's connections to Redis: one per event loop, opened when needed and closed with the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from compat.manager.backends.messaging import backend_errors
from compat.redis.cluster import make_hosts, tags_of
from compat.redis.encoding import Argument
from compat.redis.hosts import Host
from compat.redis.hosts_option import decode_hosts
from compat.redis.loops import PerLoop, background
from compat.redis.reasons import kind_of, told
from compat.redis.scripts import Script
from compat.redis.shards import Shards
from compat.redis.unavailable import RedisUnavailable

__all__ = ["RegistryLink"]

START = "Start redis-server there, or name one that runs in REDIS_URL; BACKEND_TYPE=memory does without"


class LinkOnLoop:
    """The registry's connection on one event loop."""

    def __init__(self, link: RegistryLink) -> None:
        self.link = link
        self.shards = Shards([link.host], link.explain, lambda index, reason: link.lost())

    async def aclose(self) -> None:
        await self.link.closing()
        await self.shards.aclose()


class RegistryLink:
    """Runs commands and scripts in one Redis, from any event loop; BackendError if it cannot be reached.

    ``host``: a URL, or another form of an entry in a Redis layer's ``hosts``. All keys begin with ``prefix``,
    in a cluster with a tag, so that they are on one node. ``lost()`` is called when a
    connection breaks, because Redis may have lost its data. ``closing()`` is awaited before the connection of
    an event loop is closed.
    """

    def __init__(
        self, host: Any, prefix: str, lost: Callable[[], None], closing: Callable[[], Awaitable[None]]
    ) -> None:
        hosts = make_hosts(decode_hosts([host]))
        self.host = hosts[0]
        self.prefix = "".join([prefix, *(f"{{{tag}}}" for tag in tags_of(hosts)[:1]), ":registry:"])
        self.lost = lost
        self.closing = closing
        self._links: PerLoop[LinkOnLoop] = PerLoop(lambda loop: LinkOnLoop(self))

    def explain(self, host: Host, reason: str) -> RedisUnavailable:
        """Return the error for a Redis that cannot be used now."""
        return kind_of(reason)(
            f"the connection manager cannot use Redis at {host.where}: {told(reason, START)}",
            reason,
        )

    async def run(self, script: Script, *arguments: Argument, key: str = "connections") -> Any:
        """Run a script with the prefix as its first argument, and return its reply.

        ``key``: where a cluster looks for the script's keys while it moves them; all that it needs, or any.
        """
        link = self._links.here()
        if link is None:
            return await background.run(self.run(script, *arguments, key=key))
        with backend_errors("registry"):
            return await link.shards.run(0, script, [self.prefix + key], self.prefix, *arguments)

    async def call(self, *arguments: Argument) -> Any:
        """Send a command and return its reply."""
        link = self._links.here()
        if link is None:
            return await background.run(self.call(*arguments))
        with backend_errors("registry"):
            return await link.shards.call(0, *arguments)

    async def calls(self, *commands: Sequence[Argument]) -> list[Any]:
        """Send several commands in one write, and return their replies."""
        link = self._links.here()
        if link is None:
            return await background.run(self.calls(*commands))
        with backend_errors("registry"):
            return await link.shards.calls(0, commands)

    async def aclose(self) -> None:
        """Close the connection of this event loop; it reopens when needed."""
        link = self._links.drop(asyncio.get_running_loop())
        if link is not None:
            await link.aclose()
