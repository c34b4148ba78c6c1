"""Cases S: layers at scale, in one process without sockets, so that the figures are those of the layers.

Usage: ``python -m bench.script_scale CASE HOW PORTS``; prints one JSON object. HOW is one of ``WAYS[CASE]``;
PORTS are those of the Redis servers, with commas between.

Two cores do not show what four Redis servers gain: they share the load's core. So S-shards counts what each
of them has to do for a message.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

__all__ = ["WAYS", "servers_of"]

EVENT = {"type": "chat.message", "message": "x" * 64}
SECONDS = 3.0
MEMBERS, SENDS_TO_MANY = 10_000, 50
GROUPS, CHANNELS, SENDS_TO_FEW = 100_000, 1_000, 2_000
AT_ONCE = 500

Result = dict[str, float]


def layer_of(how: str, urls: list[str]) -> Any:
    """Return a layer: ``ours_memory``, ``ours_pubsub``, ``channels_queue``…"""
    package, _, kind = how.partition("_")
    if package == "channels":
        from channels_redis.core import RedisChannelLayer as Queue
        from channels_redis.pubsub import RedisPubSubChannelLayer as PubSub

        return {"queue": Queue, "pubsub": PubSub}[kind](urls)
    if kind == "memory":
        from compat.layers import InMemoryChannelLayer

        return InMemoryChannelLayer()
    from compat.layers import redis as ours

    classes = {
        "pubsub": ours.RedisPubSubChannelLayer,
        "queue": ours.RedisChannelLayer,
        "streams": ours.RedisStreamsChannelLayer,
    }
    return classes[kind](urls)


async def member(layer: Any) -> str:
    """Return a new channel; on a layer of ours it has an inbox, as that of a consumer."""
    channel: str = await layer.new_channel()
    if hasattr(layer, "attach"):
        from compat.engine.inbox import Inbox

        layer.attach(channel, Inbox(asyncio.get_running_loop()))
    return channel


class Servers:
    """What Redis servers have done since the last ``read()``."""

    def __init__(self, urls: list[str]) -> None:
        import redis  # the command line has none

        self.clients = [redis.Redis.from_url(url) for url in urls]
        self.before = [self._now(client) for client in self.clients]

    def read(self) -> list[dict[str, float]]:
        """Return for each server its CPU in seconds, its commands and its bytes."""
        now = [self._now(client) for client in self.clients]
        found = [
            {name: value - before[name] for name, value in after.items()}
            for before, after in zip(self.before, now, strict=True)
        ]
        self.before = now
        return found

    def _now(self, client: Any) -> dict[str, float]:
        info = client.info()
        return {
            "cpu_s": info["used_cpu_user"] + info["used_cpu_sys"],
            "commands": info["total_commands_processed"],
            "bytes": info["total_net_input_bytes"] + info["total_net_output_bytes"],
            "memory": info["used_memory"],
        }


async def in_parts(calls: list[Awaitable[Any]], at_once: int = AT_ONCE) -> None:
    """Await calls, some at once."""
    for start in range(0, len(calls), at_once):
        await asyncio.gather(*calls[start : start + at_once])


async def delivered(layer: Any, count: int) -> None:
    """Wait until a layer of ours has delivered so many messages."""
    while hasattr(layer, "attach") and layer.metrics.delivered < count:  # noqa: ASYNC110 - busy on purpose
        await asyncio.sleep(0)


async def shards(how: str, urls: list[str]) -> Result:
    """64 groups of one member over several servers; all are sent to at once."""
    layer = layer_of(how, urls)
    names = [f"room{number}" for number in range(64)]
    for name in names:
        await layer.group_add(name, await member(layer))
    for _ in range(3):
        await asyncio.gather(*(layer.group_send(name, EVENT) for name in names))
    servers, sent = Servers(urls), 0
    cpu, began = time.process_time(), time.perf_counter()
    while (took := time.perf_counter() - began) < SECONDS:
        await asyncio.gather(*(layer.group_send(name, EVENT) for name in names))
        sent += len(names)
        for box in [box for station in layer._stations.all() for box in station.boxes.values()]:
            box.own().clear()
    us = 1e6 * (time.process_time() - cpu) / sent
    each = servers.read()
    return {
        "us": us,
        "rate": sent / took,
        "redis_us": 1e6 * sum(one["cpu_s"] for one in each) / sent,
        "busiest_us": 1e6 * max(one["cpu_s"] for one in each) / sent,
        "busiest_commands": max(one["commands"] for one in each) / sent,
        "busiest_bytes": max(one["bytes"] for one in each) / sent,
    }


async def members(how: str, urls: list[str]) -> Result:
    """One group of 10,000; what a send costs until it is in all inboxes (with channels_redis: in Redis)."""
    layer = layer_of(how, urls)
    channels = [await member(layer) for _ in range(MEMBERS)]
    await in_parts([layer.group_add("room", channel) for channel in channels], at_once=20)
    await layer.group_send("room", EVENT)
    await delivered(layer, MEMBERS)
    servers = Servers(urls)
    cpu, began = time.process_time(), time.perf_counter()
    for number in range(SENDS_TO_MANY):
        await layer.group_send("room", EVENT)
        await delivered(layer, MEMBERS * (number + 2))
    took, used = time.perf_counter() - began, time.process_time() - cpu
    (one,) = servers.read() if urls else [{"cpu_s": 0.0, "bytes": 0.0}]
    return {
        "us": 1e6 * used / SENDS_TO_MANY / MEMBERS,
        "rate": SENDS_TO_MANY / took,
        "redis_us": 1e6 * one["cpu_s"] / SENDS_TO_MANY,
        "bytes": one["bytes"] / SENDS_TO_MANY,
    }


async def groups(how: str, urls: list[str]) -> Result:
    """100,000 groups; 1,000 channels are in 100 of them each."""
    layer = layer_of(how, urls)
    channels = [await member(layer) for _ in range(CHANNELS)]
    servers, before = Servers(urls), rss()
    cpu = time.process_time()
    await in_parts([layer.group_add(f"room{n}", channels[n % CHANNELS]) for n in range(GROUPS)])
    joined_us = 1e6 * (time.process_time() - cpu) / GROUPS
    (joining,) = servers.read() if urls else [{"cpu_s": 0.0, "memory": 0.0}]
    grown = rss() - before
    chance = random.Random(1)
    chosen = [f"room{chance.randrange(GROUPS)}" for _ in range(SENDS_TO_FEW)]
    cpu = time.process_time()
    await in_parts([layer.group_send(name, EVENT) for name in chosen])
    await delivered(layer, SENDS_TO_FEW)
    us = 1e6 * (time.process_time() - cpu) / SENDS_TO_FEW
    (sending,) = servers.read() if urls else [{"cpu_s": 0.0}]
    return {
        "us": us,
        "redis_us": 1e6 * sending["cpu_s"] / SENDS_TO_FEW,
        "join_us": joined_us,
        "join_redis_us": 1e6 * joining["cpu_s"] / GROUPS,
        "group_bytes": grown / GROUPS,
        "redis_bytes": joining["memory"] / GROUPS,
    }


def rss() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


LAYERS = ("ours_pubsub", "ours_queue", "ours_streams")
WAYS: dict[str, tuple[str, ...]] = {
    "S-shards": tuple(f"{layer}_{count}" for layer in LAYERS for count in (1, 2, 4)),
    "S-members": ("ours_memory", *LAYERS, "channels_pubsub", "channels_queue"),
    "S-groups": ("ours_memory", *LAYERS),
}
"""Case: the layers; in S-shards with the number of servers."""


def servers_of(how: str) -> int:
    """Return the number of servers that one of ``WAYS["S-shards"]`` names."""
    return int(how.rpartition("_")[2])


def main() -> None:
    """Run one case, and print its figures."""
    case, how, ports = sys.argv[1:]
    run: Callable[[str, list[str]], Any] = {"S-shards": shards, "S-members": members, "S-groups": groups}[
        case
    ]
    layer = how.rpartition("_")[0] if case == "S-shards" else how
    urls = [] if layer == "ours_memory" else [f"redis://127.0.0.1:{port}/0" for port in ports.split(",")]
    print(json.dumps(asyncio.run(run(layer, urls))))


if __name__ == "__main__":
    main()
