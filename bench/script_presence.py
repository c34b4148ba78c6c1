"""Case presence: what it costs to be present in a group of 5,000 people on two servers, and to be told of it.

Usage: ``python -m bench.script_presence HOW PORT``; prints one JSON object. HOW is one of ``WAYS``.

The two servers are two layers of this process, each with half of the people; one person of each is told who
comes and leaves. So the CPU of a join is that of the joining server and of the two that hear of it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bench.script_scale import Result, Servers

__all__ = ["WAYS"]

PEOPLE, FIFTHS = 5_000, 5
CHURN_PER_S, CHURN_S = 1_000, 5
TICK_S = 0.02
RULES = {"presence": {"*": {"key": "channel"}}}
WAYS = ("ours_memory", "ours_pubsub", "ours_queue", "ours_streams")


class Server:
    """One layer, and the people who are present on it, by their keys."""

    numbers = itertools.count()

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.channels: dict[str, str] = {}
        self.heard: dict[str, Any] = {}
        """Who is here, from what its watcher is told."""

    async def enter(self, *, hears: bool = False) -> str:
        """Let one more person come; return the key."""
        from compat.engine.inbox import Inbox

        channel, inbox = await self.layer.new_channel(), Inbox(asyncio.get_running_loop())
        self.layer.attach(channel, inbox)
        self.layer.attend(channel, {}, hears=False)
        await self.layer.group_add("room", channel)
        key = f"person{next(self.numbers)}"
        await self.layer.track("room", channel, key)
        if hears:
            await self.layer.show("room", channel, self._take)
        self.channels[key] = channel
        return key

    def _take(self, text: str) -> None:
        told = json.loads(text)
        if "people" in told:
            self.heard = {}
        self.heard |= told.get("people") or told["joins"]
        for key in told.get("leaves", ()):
            self.heard.pop(key, None)

    async def leave(self, key: str) -> None:
        await self.layer.untrack("room", self.channels.pop(key))


def layer_of(how: str, url: str) -> Any:
    """Return one more layer of one of ``WAYS``."""
    from compat.layers import InMemoryChannelLayer, redis

    classes = {
        "pubsub": redis.RedisPubSubChannelLayer,
        "queue": redis.RedisChannelLayer,
        "streams": redis.RedisStreamsChannelLayer,
    }
    kind = how.removeprefix("ours_")
    return InMemoryChannelLayer(**RULES) if kind == "memory" else classes[kind]([url], **RULES)


async def agreed(servers: list[Server]) -> float:
    """Wait until both watchers have heard of exactly those who are here; return the seconds that it took."""
    began = time.perf_counter()
    here = {key for server in servers for key in server.channels}

    def differ() -> bool:
        return any(len(server.heard) != len(here) or set(server.heard) != here for server in servers)

    while differ():  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.005)
    return time.perf_counter() - began


async def timed(redis: Servers, count: int, do: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    """Return the CPU in µs of this process and of Redis for one of ``count``."""
    redis.read()
    cpu = time.process_time()
    await do()
    used = time.process_time() - cpu
    return 1e6 * used / count, 1e6 * sum(one["cpu_s"] for one in redis.read()) / count


async def churn(servers: list[Server]) -> None:
    """Let so many come and as many leave in a second, for some seconds."""
    clock = asyncio.get_running_loop().time
    began, done = clock(), 0
    while done < CHURN_PER_S * CHURN_S:
        due = min(CHURN_PER_S * CHURN_S, int((clock() - began) * CHURN_PER_S)) - done
        some = [servers[number % len(servers)] for number in range(due)]
        oldest = [list(itertools.islice(server.channels, 1, due + 1)) for server in servers]
        await asyncio.gather(*(server.enter() for server in some))
        leaving = [(server, oldest[number % len(servers)]) for number, server in enumerate(some)]
        await asyncio.gather(*(server.leave(keys.pop()) for server, keys in leaving))
        done += due
        await asyncio.sleep(TICK_S)


async def measure(how: str, url: str) -> Result:
    """Fill a group, read it, and let people come and go."""
    layers = [layer_of(how, url) for _ in range(1 if how == "ours_memory" else 2)]
    servers, redis = [Server(layer) for layer in layers], Servers([] if "memory" in how else [url])
    for server in servers:
        await server.enter(hears=True)

    async def fill() -> None:
        for _ in range(PEOPLE // FIFTHS // 100):
            await asyncio.gather(*(servers[number % len(servers)].enter() for number in range(100)))
        await agreed(servers)

    async def read() -> None:
        for _ in range(20):
            people = await servers[0].layer.presence("room")
            assert len(people) == PEOPLE + len(servers)

    joins = [await timed(redis, PEOPLE // FIFTHS, fill) for _ in range(FIFTHS)]
    listed, _ = await timed(redis, 20, read)
    churned, churned_redis = await timed(redis, CHURN_PER_S * CHURN_S, lambda: churn(servers))
    return {
        "join_us": sum(own for own, _ in joins) / FIFTHS,
        "growth": joins[-1][0] / joins[0][0],
        "join_redis_us": sum(of_redis for _, of_redis in joins) / FIFTHS,
        "list_ms": listed / 1000,
        "churn_us": churned,
        "churn_redis_us": churned_redis,
        "agree_s": await agreed(servers),
    }


def main() -> None:
    """Run one way, and print its figures."""
    how, port = sys.argv[1:]
    print(json.dumps(asyncio.run(measure(how, f"redis://127.0.0.1:{port}/0"))))


if __name__ == "__main__":
    main()
