"""The registry's connections to Redis: one per event loop, opened when it is needed, closed with the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from compat.layers.redis.connection import Argument, RedisUnavailable
from compat.layers.redis.hosts import Host, decode_hosts
from compat.layers.redis.loops import PerLoop, background, is_throwaway
from compat.layers.redis.scripts import Script
from compat.layers.redis.shards import Shards
from compat.manager.backends.messaging import backend_errors

__all__ = ["RegistryLink"]


class Station:
    """What there is on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, link: RegistryLink) -> None:
        self.loop = loop
        self.link = link
        self.shards = Shards([link.host], link.explain, lambda index, reason: link.lost())

    async def aclose(self) -> None:
        await self.link.closing()
        await self.shards.aclose()


class RegistryLink:
    """Commands and scripts for one Redis, from any event loop; BackendError when it cannot be reached.

    ``host``: a URL, or anything else that ``hosts`` of a Redis layer takes. ``lost()`` is called when a
    connection breaks: Redis may have been restarted empty. ``closing()`` is awaited before what is open on an
    event loop is closed.
    """

    def __init__(
        self, host: Any, prefix: str, lost: Callable[[], None], closing: Callable[[], Awaitable[None]]
    ) -> None:
        self.host = Host(decode_hosts([host])[0], 0)
        self.prefix = prefix
        self.lost = lost
        self.closing = closing
        self._stations: PerLoop[Station] = PerLoop(lambda loop: Station(loop, self))

    def explain(self, host: Host, reason: str) -> RedisUnavailable:
        """The error for a Redis that cannot be used now."""
        return RedisUnavailable(
            f"the connection manager cannot use Redis at {host.where}: {reason}. Start redis-server there, "
            "or name one that runs in REDIS_URL; BACKEND_TYPE=memory does without",
            reason,
        )

    async def run(self, script: Script, *arguments: Argument) -> Any:
        """The reply of a script, whose first argument is the prefix."""
        loop = asyncio.get_running_loop()
        if is_throwaway(loop):
            return await background.run(self.run(script, *arguments))
        shards = self._stations.get(loop).shards
        with backend_errors("registry"):
            return await shards.run(0, script, [f"{self.prefix}connections"], self.prefix, *arguments)

    async def call(self, *arguments: Argument) -> Any:
        """The reply to a command."""
        loop = asyncio.get_running_loop()
        if is_throwaway(loop):
            return await background.run(self.call(*arguments))
        with backend_errors("registry"):
            return await self._stations.get(loop).shards.call(0, *arguments)

    async def aclose(self) -> None:
        """Close the connections of this event loop; they are opened again when they are needed."""
        station = self._stations.drop(asyncio.get_running_loop())
        if station is not None:
            await station.aclose()
