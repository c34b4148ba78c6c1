"""Another Redis takes over, without the last messages: what is sent after that comes all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.engine.inbox import Inbox
from compat.exceptions import LayerUnavailable
from compat.redis.streams.marks import KNOWN
from tests.support.layers import ON_REDIS, close, member, unique_prefix
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async, until_awaited

Make = Callable[..., Any]
WITHIN_S = 30.0
GROUP = "chat_x"


@pytest.fixture(params=sorted(ON_REDIS))
def kind(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest_asyncio.fixture
async def make(kind: str) -> AsyncIterator[Make]:
    """Makes layers that are processes of one fleet."""
    made: list[Any] = []
    prefix = unique_prefix()

    def factory(url: str, **options: Any) -> Any:
        config = {"hosts": [url], "prefix": prefix, "capacity": 5000, "on_reset": "redis.reset"}
        made.append(ON_REDIS[kind](**{**config, "history": {"chat_*": {"count": 1000}}, **options}))
        return made[-1]

    yield factory
    await close(*made)


class Failover:
    """A Redis that will be killed, and comes back without what was sent after ``save()``.

    The reader reaches it through a proxy.
    """

    def __init__(self, server: RedisServer, proxy: Proxy) -> None:
        self.server, self.proxy = server, proxy

    def save(self) -> None:
        """What there is now is there after the failover too."""
        with redis.Redis(port=self.server.port) as wire:
            wire.save()

    async def go_back(self, reader: Any) -> None:
        """Cut the reader off, and lose the last messages."""
        self.proxy.refuse()
        await asyncio.to_thread(self.proxy.cut)
        await until_async(lambda: reader.metrics.is_away(), "it is cut off", deadline_s=WITHIN_S)
        await asyncio.to_thread(self.server.restart)


@contextmanager
def failover(tmp_path: Path) -> Iterator[Failover]:
    server = RedisServer(tmp_path)
    try:
        with Proxy(server.port) as proxy:
            yield Failover(server, proxy)
    finally:
        server.stop()


async def say(layer: Any, first: int, last: int, **also: Any) -> None:
    for number in range(first, last + 1):
        message = {"type": "chat.message", "n": number, **also}
        for _ in range(100):
            try:
                await layer.group_send(GROUP, message)
                break
            except LayerUnavailable:  # its connection was to the Redis that was killed
                await asyncio.sleep(0.02)


def seen(inbox: Inbox) -> list[Any]:
    """The numbers of the messages, and the types of the others."""
    return [event[1].get("n", event[1]["type"]) for event in inbox.events]


async def until_last(inbox: Inbox, number: int) -> None:
    await until_async(lambda: number in seen(inbox), f"{number} comes", deadline_s=WITHIN_S)


async def epoch_of(layer: Any) -> str:
    position: str = (await layer.history(GROUP)).position
    return position[:16]


async def until_renewed(layer: Any, epoch: str) -> None:
    """Wait until the history has another epoch."""

    async def is_renewed() -> bool:
        return await epoch_of(layer) != epoch

    await until_awaited(is_renewed, True)


async def lose_half(redis_: Failover, reader: Any, sender: Any, inbox: Inbox) -> str:
    """Send 1 to 10, of which 1 to 5 are there after the failover; return the epoch that they had."""
    await say(sender, 1, 5)
    await until_last(inbox, 5)
    redis_.save()
    await say(sender, 6, 10)
    await until_last(inbox, 10)
    epoch = await epoch_of(sender)
    await redis_.go_back(reader)
    return epoch


@pytest.mark.parametrize("new", [2, 10])  # the new history is shorter than the lost one, or longer
@pytest.mark.parametrize("by_another", [False, True])
async def test_what_is_sent_after_a_takeover(make: Make, tmp_path: Path, new: int, by_another: bool) -> None:
    """Also if another process has noticed first that messages are lost, and has begun another epoch."""
    with failover(tmp_path) as redis_:
        reader, sender = make(f"{redis_.proxy.url}?socket_timeout=1"), make(redis_.server.url)
        inbox = await member(reader, GROUP)
        other = await member(sender, GROUP) if by_another else None
        epoch = await lose_half(redis_, reader, sender, inbox)
        await say(sender, 101, 100 + new)
        if other is not None:
            await until_last(other, 100 + new)
            await until_renewed(sender, epoch)
        redis_.proxy.accept()
        await until_last(inbox, 100 + new)
        await say(sender, 201, 203)
        await until_last(inbox, 203)
        expected = [*range(1, 11), "redis.reset", *range(101, 101 + new), 201, 202, 203]
        assert seen(inbox) == expected, "each once, in order, and it is told before what comes later"
        assert reader.metrics.dropped == {"reset": 1}
        told = [event[1] for event in inbox.events if event[1]["type"] == "redis.reset"]
        assert told == [{"type": "redis.reset", "group": GROUP}]
        newcomer = await member(reader)
        await reader.group_add(GROUP, newcomer.channel, last=1000)
        await until_async(
            lambda: seen(newcomer) == [*range(1, 6), *range(101, 101 + new), 201, 202, 203],
            "what there is, once",
            deadline_s=WITHIN_S,
        )


@pytest.mark.parametrize("lost", [True, False])
async def test_a_second_takeover_without_the_epoch_that_the_first_has_begun(
    make: Make, tmp_path: Path, lost: bool
) -> None:
    """As of a Redis that dies twice, and has the same snapshot both times."""
    with failover(tmp_path) as redis_:
        reader, sender = make(f"{redis_.proxy.url}?socket_timeout=1"), make(redis_.server.url)
        inbox = await member(reader, GROUP)
        epoch = await lose_half(redis_, reader, sender, inbox)
        await say(sender, 101, 102)
        if not lost:  # but for the epoch
            redis_.save()
        redis_.proxy.accept()
        await until_last(inbox, 102)
        await until_renewed(sender, epoch)
        if lost:
            await say(sender, 103, 103)
            await until_last(inbox, 103)
        second = await member(sender, GROUP)
        renewed = await epoch_of(sender)
        await redis_.go_back(reader)
        await say(sender, 201, 203)
        redis_.proxy.accept()
        for box in inbox, second:
            await until_last(box, 203)
        await until_renewed(sender, epoch)
        assert await epoch_of(sender) != renewed
        await say(sender, 301, 301)
        for box in inbox, second:
            await until_last(box, 301)
        before = [*range(1, 11), "redis.reset", 101, 102]
        again = ["redis.reset"] if lost else []
        assert seen(second) == [*again, 201, 202, 203, 301]
        assert seen(inbox) == [*before, *([103] if lost else []), *again, 201, 202, 203, 301]


async def test_who_joins_when_the_epoch_is_newer_than_the_last_message(make: Make, tmp_path: Path) -> None:
    """Nothing has been sent since a process noticed the takeover, so none has heard of the new epoch."""
    with failover(tmp_path) as redis_:
        reader, sender = make(f"{redis_.proxy.url}?socket_timeout=1"), make(redis_.server.url)
        inbox = await member(reader, GROUP)
        epoch = await lose_half(redis_, reader, sender, inbox)
        await say(sender, 101, 102)
        redis_.proxy.accept()
        await until_last(inbox, 102)
        await until_renewed(sender, epoch)
        newcomer = await member(reader)
        await reader.group_add(GROUP, newcomer.channel, last=1000)
        assert seen(newcomer) == [*range(1, 6), 101, 102]
        await say(sender, 201, 201)
        for box in inbox, newcomer:
            await until_last(box, 201)
            assert seen(box)[-2:] == [102, 201]
        assert seen(inbox).count("redis.reset") == 1


async def test_long_messages_do_not_come_again_after_a_takeover(make: Make, tmp_path: Path) -> None:
    """What is known of them is too much for one reply of Redis."""
    text = "x" * 200_000
    with failover(tmp_path) as redis_:
        reader, sender = make(f"{redis_.proxy.url}?socket_timeout=1"), make(redis_.server.url)
        inbox = await member(reader, GROUP)
        await say(sender, 1, 20, text=text)
        await until_last(inbox, 20)
        redis_.save()
        await say(sender, 21, 22, text=text)
        await until_last(inbox, 22)
        await redis_.go_back(reader)
        await say(sender, 101, 110, text=text)
        redis_.proxy.accept()
        await until_last(inbox, 110)
        assert seen(inbox) == [*range(1, 23), "redis.reset", *range(101, 111)]


async def test_what_was_there_before_somebody_joined_is_not_new(make: Make, tmp_path: Path) -> None:
    """Nothing that came since then is there any more: it gets what was sent since then."""
    with failover(tmp_path) as redis_:
        reader, sender = make(f"{redis_.proxy.url}?socket_timeout=1"), make(redis_.server.url)
        await say(sender, 1, 3)
        redis_.save()
        await say(sender, 4, 5)
        inbox = await member(reader, GROUP)
        await say(sender, 6, 6)
        await until_last(inbox, 6)
        await redis_.go_back(reader)
        await say(sender, 101, 108)
        redis_.proxy.accept()
        await until_last(inbox, 108)
        assert seen(inbox) == [6, "redis.reset", *range(101, 109)]


async def test_more_is_lost_than_a_process_remembers(make: Make, tmp_path: Path) -> None:
    """What it has had may come again then, and what is new comes."""
    with failover(tmp_path) as redis_:
        reader, sender = make(f"{redis_.proxy.url}?socket_timeout=1"), make(redis_.server.url)
        inbox = await member(reader, GROUP)
        await say(sender, 1, 5)
        redis_.save()
        await say(sender, 6, 20 + KNOWN)
        await until_last(inbox, 20 + KNOWN)
        await redis_.go_back(reader)
        await say(sender, 1001, 1003)
        redis_.proxy.accept()
        await until_last(inbox, 1003)
        before = [*range(1, 21 + KNOWN), "redis.reset"]
        assert seen(inbox)[: len(before)] == before
        assert seen(inbox)[len(before) :] == [*range(1, 6), 1001, 1002, 1003]


async def test_after_more_messages_than_a_process_remembers(make: Make, tmp_path: Path) -> None:
    """What it has had long ago does not come again."""
    with failover(tmp_path) as redis_:
        reader, sender = make(f"{redis_.proxy.url}?socket_timeout=1"), make(redis_.server.url)
        inbox = await member(reader, GROUP)
        await say(sender, 1, 20 + KNOWN)
        await until_last(inbox, 20 + KNOWN)
        redis_.save()
        await say(sender, 501, 505)
        await until_last(inbox, 505)
        await redis_.go_back(reader)
        await say(sender, 1001, 1008)
        redis_.proxy.accept()
        await until_last(inbox, 1008)
        assert seen(inbox) == [
            *range(1, 21 + KNOWN),
            *range(501, 506),
            "redis.reset",
            *range(1001, 1009),
        ]
