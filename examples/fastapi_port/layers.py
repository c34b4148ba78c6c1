"""The settings of this application, for whoever runs a part of it: the server, a worker, a script.

In memory by default. With REDIS_URL the same aliases are layers on Redis, and processes share them: pub/sub
where only those who listen now are to hear, queues where what is sent waits for a slow reader.
"""

from __future__ import annotations

import os
from typing import Any

from compat.settings import configure

__all__ = ["ALLOWED_HOSTS", "REDIS_URL", "set_up"]

ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
REDIS_URL = os.environ.get("REDIS_URL")
MEMORY = {"BACKEND": "compat.layers.InMemoryChannelLayer"}


def set_up() -> None:
    """Configure the layers; to be called before the first consumer, event or endpoint needs one."""
    configure(
        # Pages of these hosts may open sockets here, pages of other sites may not.
        ALLOWED_HOSTS=ALLOWED_HOSTS,
        CHANNEL_LAYERS={
            "default": queue("hallway"),
            "chat": pubsub("chat"),
            "queue": queue("queue", expiry=900),
            "notifications": pubsub("notify"),
            "analytics": queue("analytics", expiry=3600, capacity=5000),
        },
    )


def pubsub(prefix: str) -> dict[str, Any]:
    return layer("compat.layers.redis.pubsub.RedisPubSubChannelLayer", prefix=prefix)


def queue(prefix: str, **options: Any) -> dict[str, Any]:
    return layer("compat.layers.redis.core.RedisChannelLayer", prefix=prefix, **options)


def layer(backend: str, **options: Any) -> dict[str, Any]:
    """An entry of CHANNEL_LAYERS; layers with different prefixes do not see each other's groups."""
    return {"BACKEND": backend, "CONFIG": {"hosts": [REDIS_URL], **options}} if REDIS_URL else MEMORY
