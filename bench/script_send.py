"""Case H: a process without a server that sends to a group over Redis.

Usage: ``python -m bench.script_send HOW PORT``; prints one JSON object. HOW is one of the keys of ``WAYS``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["WAYS"]

EVENT = {"type": "chat.message", "message": "x" * 64}
SECONDS = 2.0

Sender = Callable[[], Any]


def _redis_py(url: str) -> Sender:
    import redis

    client = redis.Redis.from_url(url)
    return lambda: client.publish("chat_h", json.dumps(EVENT))


def _channels(url: str, queue: bool) -> Sender:
    from asgiref.sync import async_to_sync
    from channels_redis.core import RedisChannelLayer
    from channels_redis.pubsub import RedisPubSubChannelLayer

    layer = RedisChannelLayer([url]) if queue else RedisPubSubChannelLayer([url])
    send = async_to_sync(layer.group_send)
    return lambda: send("chat_h", EVENT)


def _ours(url: str, queue: bool) -> Any:
    from compat.layers.redis.core import RedisChannelLayer
    from compat.layers.redis.pubsub import RedisPubSubChannelLayer

    return RedisChannelLayer([url]) if queue else RedisPubSubChannelLayer([url])


def _unchanged(url: str, queue: bool) -> Sender:
    from asgiref.sync import async_to_sync

    send = async_to_sync(_ours(url, queue).group_send)
    return lambda: send("chat_h", EVENT)


def _blocking(url: str, queue: bool) -> Sender:
    layer = _ours(url, queue)
    return lambda: layer.group_send_sync("chat_h", EVENT)


WAYS: dict[str, Callable[[str], Sender]] = {
    "redis_publish": _redis_py,
    "channels_pubsub": lambda url: _channels(url, False),
    "channels_queue": lambda url: _channels(url, True),
    "ours_pubsub": lambda url: _unchanged(url, False),
    "ours_queue": lambda url: _unchanged(url, True),
    "ours_pubsub_sync": lambda url: _blocking(url, False),
    "ours_queue_sync": lambda url: _blocking(url, True),
}
"""The ways to send: redis-py's own publish; ``async_to_sync(layer.group_send)``;
``layer.group_send_sync``.
"""


def main() -> None:
    """Send for some time, and print the rate."""
    send = WAYS[sys.argv[1]](f"redis://127.0.0.1:{sys.argv[2]}/0")
    for _ in range(20):
        send()
    done, cpu, began = 0, time.process_time(), time.perf_counter()
    while (took := time.perf_counter() - began) < SECONDS:
        send()
        done += 1
    print(json.dumps({"rate": done / took, "us": 1e6 * (time.process_time() - cpu) / done}))


if __name__ == "__main__":
    main()
