"""Many messages that become too old at once are not told any more, and do not stay in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.redis.streams.history import READ
from tests.support.layers import ON_REDIS, close, unique_prefix
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

Make = Callable[..., Any]
MANY = 2500
AT_ONCE = 250


@pytest.fixture(scope="module")
def old_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """As one before 6.2, whose XTRIM knows no ids."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--rename-command", "XTRIM", "")
    yield server.url
    server.stop()


@pytest.fixture(params=["redis_url", pytest.param("old_redis", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str:
    chosen: str = request.getfixturevalue(request.param)
    return chosen


@pytest_asyncio.fixture(params=sorted(ON_REDIS))
async def make(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Make]:
    """Makes layers that are processes of one fleet, with their ``seconds``."""
    made: list[Any] = []
    prefix = unique_prefix()

    def factory(seconds: int) -> Any:
        history = {"chat_*": {"count": 2 * MANY, "seconds": seconds}}
        made.append(ON_REDIS[request.param](hosts=[url], prefix=prefix, history=history))
        return made[-1]

    yield factory
    await close(*made)


async def say(layer: Any, first: int, last: int) -> None:
    messages = [{"type": "chat.message", "n": number} for number in range(first, last + 1)]
    for begin in range(0, len(messages), AT_ONCE):
        await asyncio.gather(*(layer.group_send("chat_x", one) for one in messages[begin : begin + AT_ONCE]))


async def aged(wire: Any) -> None:
    """Wait until by the clock of Redis what has been sent is older than a second."""
    begin = wire.time()[0]
    await until_async(lambda: wire.time()[0] > begin + 1, "it is too old")


async def test_what_is_too_old_is_not_told(make: Make, url: str) -> None:
    writer, reader = make(3600), make(1)
    await say(writer, 1, MANY)
    first = (await writer.history("chat_x", 1, since="")).position
    epoch = first.partition("-")[0]
    with redis.Redis.from_url(url) as wire:
        await aged(wire)
        for since in (None, "", f"{epoch}-1", f"{epoch}-{MANY - 1}"):
            found = await reader.history("chat_x", since=since)
            assert (list(found), found.complete) == ([], False)


async def test_many_are_removed_by_the_next_message(make: Make, url: str) -> None:
    """Those of other times to keep them, because else it is looked only now and then."""
    writer, other = make(3600), make(1)
    await say(writer, 1, MANY)
    stream = other.recordings.where("chat_x")[1][0]
    with redis.Redis.from_url(url) as wire:
        await aged(wire)
        assert wire.xlen(stream) == MANY
        await say(other, MANY + 1, MANY + 1)
        left = 1 if _trims(wire) else MANY + 1 - 1000
        assert wire.xlen(stream) == left
        await other.forget("chat_x")


def _trims(wire: Any) -> bool:
    try:
        wire.xtrim("none", minid=1)
    except redis.ResponseError:
        return False
    return True


@pytest.mark.parametrize("holes", [0, 3], ids=["whole", "with holes"])
@pytest.mark.parametrize("old", [0, 1, 2, 3, 7, 8, 9, 300])
def test_only_what_is_too_old_is_removed(url: str, old: int, holes: int) -> None:
    client: Any = redis.Redis.from_url(url)
    with client as wire:
        for young in (0, 1, 2, 100):
            stream, position = f"{unique_prefix()}:stream", f"{unique_prefix()}:position"
            now, last = wire.time()[0] * 1000, 10 + old + young
            for offset in range(11, last + 1):
                age = 1000 if offset <= 10 + old else 10
                wire.xadd(stream, {"t": now - age * 1000, "m": "x"}, id=f"{offset}-0")
            forgotten = range(12, last + 1, holes) if holes else ()
            wire.xdel(stream, "1-0", *(f"{offset}-0" for offset in forgotten))
            wire.hset(position, mapping={"epoch": "e" * 16, "offset": last})
            wire.eval(READ.text, 2, stream, position, 0, 100, "", "")
            left = [int(id.partition(b"-")[0]) for id, _ in wire.xrange(stream)]
            wire.delete(stream, position)
            assert left == [offset for offset in range(11 + old, last + 1) if offset not in forgotten]
