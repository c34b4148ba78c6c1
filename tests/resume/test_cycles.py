"""S14: cut and back again by the thousand: what the server and Redis have is what they had before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.resume.place import Place, name, placed
from tests.support.layers import unique_prefix
from tests.support.resuming import Resuming

CLIENTS = 10
WARM_UP = 100
KEPT_OBJECTS = 300
KEPT_BYTES = 3 << 20
ROUNDS = 3


@pytest.fixture(scope="module")
def prefix() -> str:
    return unique_prefix()


@pytest.fixture(scope="module", params=["memory", "queue"])
def place(
    request: pytest.FixtureRequest, redis_url: str, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    env = {}
    if request.param == "queue":
        env = {
            "RESUME_LAYER": "compat.layers.redis.core.RedisChannelLayer",
            "RESUME_REDIS": redis_url,
            "RESUME_PREFIX": prefix,
        }
    with placed(tmp_path_factory.mktemp("cycles"), **env) as place:
        yield place
        place.no_failure()


async def cycles(client: Resuming, count: int) -> None:
    """Say something, be cut with an answer on its way, come back, and get it."""
    for number in range(count):
        await client.send(f"echo {number}")
        if number % 3 == 0:
            assert await client.numbers(1) == [number]
        client.cut(reset=number % 2 == 0)
        assert await client.back() == "all"
        if number % 3:
            assert await client.numbers(1) == [number]


async def settled(place: Place, clients: list[Resuming]) -> dict[str, Any]:
    """What the server has when all are there, and nothing of what was replaced is left."""
    for client in clients:
        await client.ack()
        await client.pong()
    before: dict[str, Any] = await place.ask("numbers")
    while True:
        now: dict[str, Any] = await place.ask("numbers")
        if (now["tasks"], now["descriptors"]) == (before["tasks"], before["descriptors"]):
            return now
        before = now


@pytest.mark.parametrize(
    "count", [300, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
async def test_S14_cut_and_back_by_the_thousand(
    place: Place, prefix: str, redis_url: str, count: int
) -> None:
    names = [name("cycles") for _ in range(CLIENTS)]
    clients = [await place.open(("async", "sync")[n % 2], who) for n, who in enumerate(names)]
    await asyncio.gather(*(cycles(client, WARM_UP // CLIENTS) for client in clients))
    with redis.Redis.from_url(redis_url) as wire:
        rounds = []
        for _ in range(ROUNDS):  # a task of a link that ends may be there at one look
            before, keys = await settled(place, clients), set(wire.scan_iter(f"*{prefix}*"))
            await asyncio.gather(*(cycles(client, count // CLIENTS) for client in clients))
            after = await settled(place, clients)
            rounds.append((before, after))
            assert len(set(wire.scan_iter(f"*{prefix}*"))) <= len(keys)
            if (
                after["tasks"] <= before["tasks"]
                and after["descriptors"] <= before["descriptors"]
                and after["objects"] - before["objects"] < KEPT_OBJECTS
                and after["memory"] - before["memory"] < KEPT_BYTES
            ):
                break
        else:
            raise AssertionError(f"it grows with each {count} cycles: {rounds}")
    for client, who in zip(clients, names, strict=True):
        assert len(place.notes("connect", who)) == 1
        await client.leave()
    for who in names:
        await place.code(who)
    assert (await place.resumable())["live"] == 0
