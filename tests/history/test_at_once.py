"""Sends of one moment to one group with a history share a run of its script, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.engine.inbox import Inbox
from compat.exceptions import LayerUnavailable, MessageTooLarge
from compat.redis.commands import MOST_BYTES, MOST_CALLS, Joined, Share
from compat.redis.streams.history import APPEND
from tests.support.layers import ON_REDIS, close, member, unique_prefix
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

Make = Callable[..., Any]


@pytest.fixture(params=["pubsub", "streams"])
def kind(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def prefixed() -> str:
    return unique_prefix()


@pytest_asyncio.fixture
async def layer(kind: str, redis_server: RedisServer) -> AsyncIterator[Any]:
    history = {"*": {"count": 1000, "seconds": 60}}
    prefix = unique_prefix()
    made = ON_REDIS[kind]([redis_server.url], prefix=prefix, capacity=5000, history=history)
    yield made
    await close(made)


def runs(server: RedisServer) -> int:
    """How often a script has counted the offset of a history on."""
    with redis.Redis(port=server.port) as wire:
        return int(wire.info("commandstats").get("cmdstat_hincrby", {"calls": 0})["calls"])


def sends(layer: Any, bodies: list[Any]) -> list[Any]:
    return [layer.group_send("room", {"type": "x", "body": body}) for body in bodies]


async def come(inbox: Inbox, bodies: list[Any]) -> None:
    def came() -> list[Any]:
        return [message["body"] for _, message, _ in inbox.events]

    await until_async(lambda: len(came()) >= len(bodies), f"{len(bodies)} messages")
    assert came() == bodies, "each once, and in order"


@pytest.mark.parametrize("count", [1, 2, 3, MOST_CALLS, MOST_CALLS + 1, 3 * MOST_CALLS + 2])
async def test_so_many_sends_at_once_are_all_kept_in_order(
    layer: Any, redis_server: RedisServer, count: int
) -> None:
    inbox = await member(layer, "room")
    before, bodies = runs(redis_server), list(range(count))
    await asyncio.gather(*sends(layer, bodies))
    await come(inbox, bodies)
    assert runs(redis_server) - before == -(-count // MOST_CALLS)
    kept = await layer.history("room", count=count)
    assert [message["body"] for message in kept] == bodies
    await layer.group_send("room", {"type": "x", "body": "the next"})
    await come(inbox, [*bodies, "the next"])


@pytest.mark.parametrize("count", [1, 2, 3, 4, MOST_CALLS, MOST_CALLS + 1])
async def test_no_more_are_kept_of_many_at_once(
    kind: str, redis_server: RedisServer, prefixed: str, count: int
) -> None:
    layer = ON_REDIS[kind]([redis_server.url], prefix=prefixed, history={"*": {"count": 3, "seconds": 60}})
    await asyncio.gather(*sends(layer, list(range(count))))
    assert [message["body"] for message in await layer.history("room")] == list(range(count))[-3:]
    with redis.Redis(port=redis_server.port) as wire:
        (stream,) = (key for key in wire.keys(f"{prefixed}*") if wire.type(key) == b"stream")
        assert wire.xlen(stream) == min(count, 3)
    await close(layer)


@pytest.mark.parametrize(("parts", "expected"), [(1, 1), (2, 1), (3, 2), (4, 2)])
async def test_what_they_bring_is_bounded(
    layer: Any, redis_server: RedisServer, parts: int, expected: int
) -> None:
    inbox = await member(layer, "room")
    before, bodies = runs(redis_server), [f"{part}" + "x" * (MOST_BYTES // 5 * 2) for part in range(parts)]
    await asyncio.gather(*sends(layer, bodies))
    await come(inbox, bodies)
    assert runs(redis_server) - before == expected


async def test_groups_do_not_share(layer: Any, redis_server: RedisServer) -> None:
    first, second = await member(layer, "one"), await member(layer, "two")
    before = runs(redis_server)
    both = [layer.group_send(group, {"type": "x", "body": group}) for group in ("one", "two") * 3]
    await asyncio.gather(*both)
    await come(first, ["one"] * 3)
    await come(second, ["two"] * 3)
    assert runs(redis_server) - before == 2


async def test_a_message_that_is_too_long_fails_alone(layer: Any, redis_server: RedisServer) -> None:
    with redis.Redis(port=redis_server.port) as wire:
        wire.config_set("proto-max-bulk-len", 1 << 20)
    inbox = await member(layer, "room")
    bodies = ["a", "x" * (1 << 20), "b", "c"]
    results = await asyncio.gather(*sends(layer, bodies), return_exceptions=True)
    assert [isinstance(result, MessageTooLarge) for result in results] == [False, True, False, False]
    await come(inbox, ["a", "b", "c"])


async def test_a_cancelled_sender_leaves_the_others(layer: Any) -> None:
    inbox = await member(layer, "room")
    tasks = [asyncio.ensure_future(send) for send in sends(layer, ["a", "b", "c"])]
    await asyncio.sleep(0)
    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, BaseException) for result in results] == [True, False, False]
    await come(inbox, ["b", "c"])


async def test_each_sender_is_told_of_an_outage(layer: Any, redis_server: RedisServer) -> None:
    await member(layer, "room")
    redis_server.kill()
    results = await asyncio.gather(*sends(layer, ["a", "b", "c"]), return_exceptions=True)
    assert all(isinstance(result, LayerUnavailable) for result in results), results
    redis_server.start()


def call(joined: Joined, own: str, once: Callable[[], str] = str) -> asyncio.Future[Any]:
    return joined.call(0, Share(APPEND, ["key"], ["same"], once, [own], list))


@pytest.mark.parametrize("answers", [[1], [1, 2, 3], None])
async def test_nobody_waits_for_ever_for_answers_that_are_too_few(answers: Any) -> None:
    async def run(*arguments: Any) -> Any:
        return answers

    joined = Joined(run)
    waiting = [call(joined, "a"), call(joined, "b")]
    done, left = await asyncio.wait(waiting, timeout=5)
    assert not left and len(done) == 2


async def test_an_argument_that_cannot_be_made_fails_one_caller() -> None:
    async def run(*arguments: Any) -> Any:
        return ["answer"]

    def fails() -> str:
        raise OSError("no random numbers")

    joined = Joined(run)
    with pytest.raises(OSError, match="random"):
        call(joined, "a", fails)
    assert await asyncio.wait_for(call(joined, "b"), 5) == "answer"


@pytest.mark.parametrize("cancelled_at", [1, 2, 3])
async def test_the_end_of_an_event_loop_fails_the_callers(cancelled_at: int) -> None:
    """They are not cancelled themselves, also if they are served one by one after a long message."""
    runs = 0

    async def run(*arguments: Any) -> Any:
        nonlocal runs
        runs += 1
        if runs == cancelled_at:
            await asyncio.get_running_loop().create_future()
        if runs == 1:
            raise MessageTooLarge("one of them")
        return ["answer"]

    joined = Joined(run)
    waiting = [call(joined, "a"), call(joined, "b"), call(joined, "c")]
    await until_async(lambda: runs == cancelled_at, "it is served")
    for task in joined._running:
        task.cancel()
    _, left = await asyncio.wait(waiting, timeout=5)
    assert not left
    served = max(cancelled_at - 2, 0)
    assert [future.result() for future in waiting[:served]] == ["answer"] * served
    for future in waiting[served:]:
        with pytest.raises(LayerUnavailable, match="were closed meanwhile"):
            future.result()


async def test_a_cancelled_caller_is_not_served_after_a_long_message() -> None:
    sent: list[Any] = []

    async def run(index: int, script: Any, keys: Any, same: str, once: str, *own: Any) -> Any:
        if len(own) > 1:
            waiting[1].cancel()
            raise MessageTooLarge("one of them")
        sent.extend(own)
        return ["answer"]

    joined = Joined(run)
    waiting = [call(joined, own) for own in "abc"]
    await asyncio.wait(waiting)
    assert sent == ["a", "c"]
