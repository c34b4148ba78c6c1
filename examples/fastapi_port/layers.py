"""The settings of this application, for the server, workers and scripts.

Layers are in memory by default. With REDIS_URL they are on Redis, where processes share them: pub/sub for
messages to current listeners, queues for messages that wait for slow readers.
"""

from __future__ import annotations

import os
from typing import Any

from compat.settings import configure

from chat.rooms import EVERYBODY

__all__ = ["ALLOWED_HOSTS", "REDIS_URL", "set_up"]

ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
REDIS_URL = os.environ.get("REDIS_URL")
MEMORY = "compat.layers.InMemoryChannelLayer"
# Who comes into a room is sent what was said before.
HISTORY = {"room.*": {"count": 200, "types": ["member.said"], "on_join": 50}}
# Pages may watch who is there. A consumer of a room puts its "member" into the scope; visitors of the lobby
# are not tracked.
PEOPLE = {
    "key": lambda scope: scope["member"]["id"] if "member" in scope else None,
    "meta": lambda scope: scope["member"],
    "public": True,
}
PRESENCE = {"room.*": PEOPLE, EVERYBODY: PEOPLE}


def set_up() -> None:
    """Configure the layers; call this before a consumer, event or endpoint uses one."""
    configure(
        # Only pages of these hosts may open websockets.
        ALLOWED_HOSTS=ALLOWED_HOSTS,
        CHANNEL_LAYERS={
            "default": queue("hallway", history=HISTORY, presence=PRESENCE),
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
    """Return an entry of CHANNEL_LAYERS; layers with different prefixes have separate groups."""
    if REDIS_URL:
        return {"BACKEND": backend, "CONFIG": {"hosts": [REDIS_URL], **options}}
    kept = {name: value for name, value in options.items() if name in ("history", "presence")}
    return {"BACKEND": MEMORY, "CONFIG": kept}
