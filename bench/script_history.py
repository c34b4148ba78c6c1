"""Case history: what a history of 50 messages costs a send, and what it costs those who join.

Usage: ``python -m bench.script_history HOW PORT``; prints one JSON object. HOW is one of ``WAYS``.

Redis spends most of a single command on reading it and writing the answer; so there are two figures for it,
of sends one after the other and of 64 at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bench.script_scale import EVENT, Result, Servers

__all__ = ["WAYS"]

SECONDS = 1.5
AT_ONCE = 64
KEPT = 50
NEWCOMERS = 1_000
HISTORY = {"history": {"*": {"count": KEPT, "seconds": 3600, "on_join": KEPT}}}

WAYS = (
    "redis_publish",
    *(
        f"ours_{layer}{kept}"
        for layer in ("memory", "pubsub", "queue", "streams")
        for kept in ("", "_history")
    ),
)
"""``redis_publish``: redis-py's own, in a pipeline, to one subscriber."""


def layer_of(how: str, url: str) -> Any:
    """Return the layer of one of ``WAYS``."""
    from compat.layers import InMemoryChannelLayer, redis

    _, kind, *kept = how.split("_")
    config = HISTORY if kept else {}
    if kind == "memory":
        return InMemoryChannelLayer(**config)
    classes = {
        "pubsub": redis.RedisPubSubChannelLayer,
        "queue": redis.RedisChannelLayer,
        "streams": redis.RedisStreamsChannelLayer,
    }
    return classes[kind]([url], **config)


async def sends(send: Callable[[int], Awaitable[Any]], servers: Servers) -> dict[str, float]:
    """Send so many at once for some time; return the CPU in µs of this process and of Redis for a send."""
    figures: dict[str, float] = {}
    for name, at_once in (("redis_us", AT_ONCE), ("redis_alone_us", 1)):
        await send(at_once)
        servers.read()
        done, cpu, began = 0, time.process_time(), time.perf_counter()
        while time.perf_counter() - began < SECONDS:
            await send(at_once)
            done += at_once
        if at_once > 1:
            figures["us"] = 1e6 * (time.process_time() - cpu) / done
        figures[name] = 1e6 * sum(one["cpu_s"] for one in servers.read()) / done
    return figures


async def publish(url: str) -> Result:
    """Measure redis-py."""
    from redis.asyncio import Redis

    async with Redis.from_url(url) as client, client.pubsub() as subscriber:
        await subscriber.subscribe("room")
        body = json.dumps(EVENT)

        async def send(count: int) -> None:
            pipeline = client.pipeline(transaction=False)
            for _ in range(count):
                pipeline.publish("room", body)
            await pipeline.execute()
            for _ in range(count):
                await subscriber.get_message(timeout=5)

        return await sends(send, Servers([url]))


async def layer(how: str, url: str) -> Result:
    """Measure a group of one member, and then ``NEWCOMERS`` who join a group of ``KEPT`` messages."""
    from compat.engine.inbox import Inbox

    layer = layer_of(how, url)

    async def reader() -> tuple[str, Inbox]:
        channel, inbox = await layer.new_channel(), Inbox(asyncio.get_running_loop())
        layer.attach(channel, inbox)
        return channel, inbox

    async def arrived(inboxes: list[Inbox], count: int) -> None:
        while any(len(inbox.events) < count for inbox in inboxes):  # noqa: ASYNC110 - busy on purpose
            await asyncio.sleep(0)

    channel, inbox = await reader()
    await layer.group_add("room", channel)

    async def send(count: int) -> None:
        await asyncio.gather(*(layer.group_send("room", EVENT) for _ in range(count)))
        await arrived([inbox], count)
        inbox.own().clear()

    servers = Servers([] if "memory" in how else [url])
    figures = await sends(send, servers)
    for _ in range(KEPT):
        await layer.group_send("full", EVENT)
    newcomers = [await reader() for _ in range(NEWCOMERS)]
    servers.read()
    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(layer.group_add("full", channel) for channel, _ in newcomers))
    await arrived([inbox for _, inbox in newcomers], KEPT if how.endswith("_history") else 0)
    return figures | {
        "join_us": 1e6 * (time.process_time() - cpu) / NEWCOMERS,
        "joins_s": time.perf_counter() - began,
        "join_redis_us": 1e6 * sum(one["cpu_s"] for one in servers.read()) / NEWCOMERS,
    }


def main() -> None:
    """Run one way, and print its figures."""
    how, port = sys.argv[1:]
    url = f"redis://127.0.0.1:{port}/0"
    print(json.dumps(asyncio.run(publish(url) if how == "redis_publish" else layer(how, url))))


if __name__ == "__main__":
    main()
