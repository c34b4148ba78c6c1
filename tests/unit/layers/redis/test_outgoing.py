"""When commands leave: alone at once, in a storm together."""

from __future__ import annotations

import asyncio
import time

import pytest

from compat.redis.connection import Link
from compat.redis.outgoing import Outgoing
from tests.support.redis_server import RedisServer
from tests.support.waiting import turns
from tests.unit.layers.redis.test_connection import with_limit

FOREVER_S = 3600.0


async def taken(outgoing: Outgoing, *commands: bytes) -> list[bytes]:
    for command in commands:
        outgoing.add(command)
    return await asyncio.wait_for(outgoing.batch(), 20)


async def test_what_comes_alone_leaves_at_once() -> None:
    outgoing = Outgoing(FOREVER_S)
    for command in (b"1", b"2", b"3"):
        assert await taken(outgoing, command) == [command]


async def test_nothing_is_gathered_by_default() -> None:
    outgoing = Outgoing()
    for commands in ((b"1", b"2"), (b"3", b"4"), (b"5",)):
        assert await taken(outgoing, *commands) == [*commands]


@pytest.mark.parametrize("following", [1, 2, 3])
async def test_what_follows_several_leaves_together(following: int) -> None:
    outgoing = Outgoing(0.002)
    await taken(outgoing, b"1", b"2")
    next_batch = asyncio.create_task(outgoing.batch())
    for number in range(following):  # in one turn of the loop, in which no timer fires
        outgoing.add(b"%d" % number)
    assert await asyncio.wait_for(next_batch, 20) == [b"%d" % number for number in range(following)]


async def test_what_is_gathered_has_to_wait() -> None:
    outgoing = Outgoing(FOREVER_S)
    await taken(outgoing, b"1", b"2")
    next_batch = asyncio.create_task(outgoing.batch())
    outgoing.add(b"3")
    await turns()
    assert not next_batch.done()
    next_batch.cancel()
    outgoing.close()


async def test_after_the_pause_what_comes_alone_leaves_at_once() -> None:
    outgoing = Outgoing(0.002)
    await taken(outgoing, b"1", b"2")
    assert await taken(outgoing, b"3") == [b"3"]
    waiting = asyncio.create_task(outgoing.batch())
    outgoing.add(b"4")
    await turns(2)
    assert waiting.done() and waiting.result() == [b"4"]


async def test_a_clock_that_is_frozen_meanwhile_holds_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    outgoing = Outgoing(FOREVER_S)
    await taken(outgoing, b"1", b"2")
    waiting = asyncio.create_task(outgoing.batch())
    with monkeypatch.context() as frozen:
        now = time.monotonic()
        frozen.setattr(time, "monotonic", lambda: now)
        outgoing.add(b"3")
        await turns(2)
        assert waiting.done() and waiting.result() == [b"3"]


async def test_subscriptions_of_a_storm_share_writes(redis_server: RedisServer) -> None:
    async with with_limit(redis_server.url, on_message=lambda topic, body: None) as link:
        assert await writes_of_a_storm(link, b"SUBSCRIBE") < 50
    async with with_limit(redis_server.url) as link:
        assert await writes_of_a_storm(link, b"ECHO") == 100


async def writes_of_a_storm(link: Link, command: bytes) -> int:
    """Call two commands in each of a hundred turns of the loop, and return how many writes they took."""
    await link.call(b"PING")
    write, sizes = link.connection.send_packed_command, []

    async def counted(batch: list[bytes], check_health: bool) -> None:
        sizes.append(len(batch))
        await write(batch, check_health)

    link.connection.send_packed_command = counted  # type: ignore[assignment]
    calls = []
    for number in range(100):
        calls += [link.call(command, f"{number}.{side}") for side in range(2)]
        await turns(3)
    await asyncio.wait_for(asyncio.gather(*calls), 20)
    assert sum(sizes) == 200
    return len(sizes)
