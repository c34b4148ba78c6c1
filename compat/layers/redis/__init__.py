"""Channel layers over Redis: the queue layer (``core``), pub/sub (``pubsub``) and streams (``streams``).

The first two use the wire format of channels_redis 4.3. The Redis client is imported with the first layer
that is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat import lazy

if TYPE_CHECKING:
    from compat.layers.redis.core import RedisChannelLayer
    from compat.layers.redis.pubsub import RedisPubSubChannelLayer
    from compat.layers.redis.streams import RedisStreamsChannelLayer

__all__ = ["RedisChannelLayer", "RedisPubSubChannelLayer", "RedisStreamsChannelLayer"]

_modules = lazy.submodules(__name__, "core", "pubsub", "serializers", "utils")


def __getattr__(name: str) -> Any:
    if name == "RedisChannelLayer":
        from compat.layers.redis.core import RedisChannelLayer

        return RedisChannelLayer
    if name == "RedisPubSubChannelLayer":
        from compat.layers.redis.pubsub import RedisPubSubChannelLayer

        return RedisPubSubChannelLayer
    if name == "RedisStreamsChannelLayer":
        from compat.layers.redis.streams import RedisStreamsChannelLayer

        return RedisStreamsChannelLayer
    return _modules(name)
