"""Channel layers over Redis: the queue layer (``core``) and the pub/sub layer (``pubsub``).

Both use the wire format of channels_redis 4.3. The Redis client is imported with the first layer that is
used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compat.layers.redis.core import RedisChannelLayer
    from compat.layers.redis.pubsub import RedisPubSubChannelLayer

__all__ = ["RedisChannelLayer", "RedisPubSubChannelLayer"]


def __getattr__(name: str) -> Any:
    if name == "RedisChannelLayer":
        from compat.layers.redis.core import RedisChannelLayer

        return RedisChannelLayer
    if name == "RedisPubSubChannelLayer":
        from compat.layers.redis.pubsub import RedisPubSubChannelLayer

        return RedisPubSubChannelLayer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
