"""S14: cut and back again by the thousand: what the server and Redis have is what they had before."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.resume.place import Place, name, placed
from tests.support.layers import unique_prefix
from tests.support.resuming import Resuming

CLIENTS = 10
WARM_UP = 100
WATCHED = {"tasks": 1, "descriptors": 1, "objects": 300, "memory": 3 << 20}
"""The server's counts, each with how much more is too much."""
LOOKS = 5
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


async def settled(place: Place, clients: list[Resuming]) -> dict[str, int]:
    """The least that the server has when all are there: at one look a task may be there that ends.

    A link that was replaced, the page that looks, and a beat of the layer each have one.
    """
    for client in clients:
        await client.ack()
        await client.pong()
    least: dict[str, int] = {}
    same = 0
    while same < LOOKS:
        now: dict[str, Any] = await place.ask("numbers")
        known, least = least, {key: min(now[key], least.get(key, now[key])) for key in WATCHED}
        same = same + 1 if least == known else 0
    return least


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
        for _ in range(ROUNDS):
            before, keys = await settled(place, clients), set(wire.scan_iter(f"*{prefix}*"))
            kinds = Counter(await place.ask("names"))
            await asyncio.gather(*(cycles(client, count // CLIENTS) for client in clients))
            after = await settled(place, clients)
            assert len(set(wire.scan_iter(f"*{prefix}*"))) <= len(keys)
            if all(after[key] - before[key] < limit for key, limit in WATCHED.items()):
                break
            kinds = Counter(await place.ask("names")) - kinds
            rounds.append(f"{before} became {after}; more there are of {kinds.most_common(20)}")
        else:
            raise AssertionError(f"it grows with each {count} cycles:\n" + "\n".join(rounds))
    for client, who in zip(clients, names, strict=True):
        assert len(place.notes("connect", who)) == 1
        await client.leave()
    for who in names:
        await place.code(who)
    assert (await place.resumable())["live"] == 0
