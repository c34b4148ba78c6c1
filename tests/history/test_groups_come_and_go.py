"""Groups with a history that come and go leave nothing: neither in Redis nor in the process."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
import redis

from compat.clock import steady
from compat.layers import InMemoryChannelLayer, memory_history, tail
from compat.layers.redis import pubsub
from compat.layers.redis.station import Station
from tests.support.choices import slow_but
from tests.support.footprint import footprint
from tests.support.layers import ON_REDIS, close, member
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

KEPT_S = 1
AT_ONCE = 200
KEPT_OBJECTS = 3_000
WITHIN_S = 60.0
BRIEF: dict[str, Any] = {
    "history": {"chat_*": {"count": 5, "seconds": KEPT_S, "on_join": 5}},
    "expiry": 1,
    "group_expiry": 1,
}
MANY = [2_000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]


async def groups(layer: Any, first: int, count: int) -> None:
    """So many, each with a member for a moment, and with messages."""

    async def one(number: int) -> None:
        name = f"chat_{number}"
        inbox = await member(layer, name)
        for _ in range(2):
            await layer.group_send(name, {"type": "chat.message", "n": number})
        await layer.detach(inbox.channel)

    for begin in range(first, first + count, AT_ONCE):
        await asyncio.gather(*(one(number) for number in range(begin, begin + AT_ONCE)))


@pytest.mark.parametrize("count", MANY)
@pytest.mark.parametrize("kind", slow_but(("streams",), sorted(ON_REDIS)))
async def test_groups_on_redis(
    kind: str, count: int, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubsub, "POSITION_S", 1)
    layer = ON_REDIS[kind](hosts=[redis_server.url], **BRIEF)
    with contextlib.closing(redis.Redis.from_url(redis_server.url)) as wire:
        await groups(layer, 0, 400)
        before = footprint().objects
        await groups(layer, 400, count)
        (station,) = layer._stations.all()
        assert isinstance(station, Station)
        kept: Any = station.kept  # type: ignore[attr-defined]
        assert not kept.groups and not kept.follower._topics
        assert footprint().objects - before < KEPT_OBJECTS
        await close(layer)
        await until_async(lambda: wire.dbsize() == 0, "no key is left", deadline_s=WITHIN_S)


@pytest.mark.parametrize("count", MANY)
async def test_groups_in_memory(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said in one group makes room: first the messages of the others go, then their positions."""
    ahead = 0.0
    for module in (memory_history, tail):
        monkeypatch.setattr(module, "steady", lambda: steady() + ahead)
    layer = InMemoryChannelLayer(**BRIEF)
    await groups(layer, 0, count)
    before = await layer.position("chat_7")
    kept = [one.tail for of_rule in layer.histories._groups.values() for one in of_rule.values()]
    assert len(kept) == count

    ahead += 2 * KEPT_S
    for _ in range(count):
        await layer.group_send("chat_now", {"type": "chat.message"})
    assert not any(one.entries for one in kept)
    assert await layer.position("chat_7") == before

    ahead += memory_history.LONGER_S
    for _ in range(count):
        await layer.group_send("chat_now", {"type": "chat.message"})
    (left,) = layer.histories._groups.values()
    assert list(left) == ["chat_now"]
