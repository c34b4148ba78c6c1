"""The names of ``channels_redis.utils``, for code and tests that import them from there.

The functions are defined elsewhere: hosts in ``compat.redis.hosts_option``, pools in ``compat.redis.hosts``,
the choice of a host in ``keys``, and the end of event loops in ``compat.redis.loops``.
"""

from __future__ import annotations

import asyncio
from typing import Any

from compat.layers.redis.keys import shard_of
from compat.redis.hosts import plain_pool as create_pool
from compat.redis.hosts_option import decode_hosts
from compat.redis.loops import at_close

__all__ = ["create_pool", "decode_hosts"]

_consistent_hash = shard_of


async def _close_redis(connection: Any) -> None:
    """Close a redis-py client and its pool."""
    await connection.aclose(close_connection_pool=True)


def _wrap_close(proxy: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Remove the entry of ``loop`` from ``proxy._layers`` when the loop is closed, and flush it."""

    async def flush(loop: asyncio.AbstractEventLoop) -> None:
        layer = proxy._layers.pop(loop, None)
        if layer is not None:
            await layer.flush()

    at_close(loop, flush)
