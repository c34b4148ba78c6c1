"""The names of ``channels_redis.utils``, for projects and tests that import them; no layer here uses them."""

from __future__ import annotations

import types
from asyncio import AbstractEventLoop
from typing import Any

from compat.layers.redis.hosts import create_pool, decode_hosts
from compat.layers.redis.keys import shard_of

__all__ = ["create_pool", "decode_hosts"]

_consistent_hash = shard_of
"""``_consistent_hash(value, ring_size)``: the index of the host for a name."""


async def _close_redis(connection: Any) -> None:
    """Close a redis-py client and its pool."""
    close = getattr(connection, "aclose", None) or connection.close  # redis-py 4 has close() alone
    await close(close_connection_pool=True)


def _wrap_close(proxy: Any, loop: AbstractEventLoop) -> None:
    """Make ``loop.close()`` flush ``proxy._layers[loop]`` first, and forget it."""
    original = loop.close

    def close(_: AbstractEventLoop) -> None:
        layer = proxy._layers.pop(loop, None)
        if layer is not None:
            loop.run_until_complete(layer.flush())
        loop.close = original  # type: ignore[method-assign]
        original()

    loop.close = types.MethodType(close, loop)  # type: ignore[method-assign]
