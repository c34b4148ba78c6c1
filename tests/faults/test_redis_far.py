"""Redis at the other end of a long line: many messages in one round trip, none kept from other workers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from compat.layers.redis import RedisChannelLayer, plain_channels
from compat.layers.redis.plain_channels import HELD_S, MOST_AHEAD
from compat.layers.redis.scripts import POP, TAKE
from tests.support.layers import close, unique_prefix
from tests.support.proxy import Proxy
from tests.support.waiting import until_async

Make = Callable[..., RedisChannelLayer]
WITHIN_S = 30.0
ONE_WAY_S = 0.025


@pytest.fixture
def far(redis_port: int) -> Iterator[Proxy]:
    """A line to Redis of which each round trip takes 50 ms."""
    with Proxy(redis_port) as proxy:
        proxy.delay_s = ONE_WAY_S
        yield proxy


@pytest_asyncio.fixture
async def make(redis_url: str) -> AsyncIterator[Make]:
    """Makes layers; what they have open is closed at the end."""
    made: list[RedisChannelLayer] = []
    prefix = unique_prefix()

    def factory(url: str = redis_url, **options: Any) -> RedisChannelLayer:
        made.append(RedisChannelLayer(hosts=[url], prefix=prefix, capacity=10_000, **options))
        return made[-1]

    yield factory
    await close(*made)


async def listening(receiver: RedisChannelLayer, sender: RedisChannelLayer) -> tuple[str, Inbox]:
    """Return a channel of ``receiver`` whose messages come, and its inbox."""
    channel, inbox = await receiver.new_channel(), inbox_of(asyncio.get_running_loop())
    receiver.attach(channel, inbox)
    await receiver.group_add("room", channel)
    await sender.group_send("room", {"type": "first"})
    await asyncio.wait_for(inbox.get(), WITHIN_S)
    return channel, inbox


async def cut_off(receiver: RedisChannelLayer, sender: RedisChannelLayer, proxy: Proxy) -> tuple[str, Inbox]:
    """Return what ``listening`` does; then ``receiver`` has no connection until ``proxy.accept()``."""
    channel, inbox = await listening(receiver, sender)
    proxy.refuse()
    await asyncio.to_thread(proxy.cut)
    await until_async(receiver.metrics.is_away, "it is cut off", deadline_s=WITHIN_S)
    # Else it hands the first message to a reader that is gone: the loss that the documentation names.
    with redis.Redis(port=proxy.target) as known:
        await until_async(
            lambda: known.info("clients")["blocked_clients"] == 0, "Redis knows it", deadline_s=WITHIN_S
        )
    return channel, inbox


async def send(sender: RedisChannelLayer, channel: str, count: int, size: int) -> None:
    """Send ``count`` messages of ``size`` bytes, which are numbered from 0."""
    for start in range(0, count, 100):
        part = [
            {"type": "x", "n": number, "text": "x" * size} for number in range(count)[start : start + 100]
        ]
        await asyncio.gather(*(sender.send(channel, message) for message in part))


def numbers(inbox: Inbox) -> list[int]:
    return [event[1]["n"] for event in inbox.events]


def counted(proxy: Proxy, script: Any) -> Callable[[], int]:
    """Count the calls of a script through the proxy from now on."""
    calls = 0

    def count(data: bytes, to_server: bool) -> bytes:
        nonlocal calls
        calls += data.count(script.digest) if to_server else 0
        return data

    proxy.before = count
    return lambda: calls


@pytest.mark.parametrize("size, most", [(10, 12), (20_000, 45)], ids=["small", "large"])
async def test_faults_redis_13_a_backlog_is_read_in_large_parts(
    make: Make, far: Proxy, size: int, most: int
) -> None:
    """4,000 messages: up to 1,024 in one round trip, fewer of those that are large."""
    sender, receiver = make(), make(far.url)
    channel, inbox = await listening(receiver, sender)
    far.hold()
    await send(sender, channel, 4000, size)
    calls = counted(far, TAKE)
    far.release()
    for number in range(4000):
        assert (await asyncio.wait_for(inbox.get(), WITHIN_S))["n"] == number
    assert calls() < most


async def test_a_backlog_of_long_messages_comes_over_a_slow_line(
    make: Make, redis_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it at once would take longer than the reader waits."""
    monkeypatch.setattr(RedisChannelLayer, "brpop_timeout", 1)
    with Proxy(redis_port) as proxy:
        sender, receiver = make(), make(f"{proxy.url}?socket_timeout=1")
        channel, inbox = await cut_off(receiver, sender, proxy)
        await send(sender, channel, 140, 80_000)
        proxy.bytes_per_s = 3_000_000
        proxy.accept()
        await until_async(lambda: numbers(inbox)[-1:] == [139], "the last one comes", deadline_s=WITHIN_S)
    assert numbers(inbox) == list(range(140))


async def backlog(
    make: Make, redis_port: int, count: int, size: int, before: Callable[[bytes, bool], bytes | None]
) -> list[int]:
    """What comes of a backlog of ``count`` messages over a proxy with this ``before``."""
    with Proxy(redis_port) as proxy:
        sender, receiver = make(), make(proxy.url)
        channel, inbox = await cut_off(receiver, sender, proxy)
        await send(sender, channel, count, size)
        proxy.before = before
        proxy.accept()
        await until_async(
            lambda: numbers(inbox)[-1:] == [count - 1], "the last one comes", deadline_s=WITHIN_S
        )
    return numbers(inbox)


async def test_no_part_of_a_backlog_is_lost_with_a_reply(make: Make, redis_port: int) -> None:
    broken = False

    def break_once(data: bytes, to_server: bool) -> bytes | None:
        nonlocal broken
        if to_server or broken or b"x" * 100 not in data:
            return data
        broken = True
        return None

    arrived = await backlog(make, redis_port, 300, 100, break_once)
    assert broken and arrived == list(range(300))


async def test_a_backlog_comes_once_though_the_line_breaks_again_and_again(
    make: Make, redis_port: int
) -> None:
    """What was put back and has not come again when the line breaks once more is known all the same."""
    breaks_at = {5, 7}  # after 1,024 messages, and after some of these have come again
    takes = 0

    def break_some(data: bytes, to_server: bool) -> bytes | None:
        nonlocal takes
        if not to_server or TAKE.digest not in data:
            return data
        takes += 1
        return None if takes in breaks_at else data

    arrived = await backlog(make, redis_port, 2400, 600, break_some)
    assert takes > max(breaks_at)
    assert arrived == list(range(2400))


@pytest.mark.parametrize("workers", [1, 3])
async def test_faults_redis_13_workers_that_come_back_at_once(
    make: Make, far: Proxy, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_channels, "HELD_S", 20)  # they do, on a machine that is busy too
    sender, receiver = make(), make(far.url)
    for number in range(300):
        await sender.send("jobs", {"type": "job", "n": number})
    calls = counted(far, POP)
    done: list[int] = []

    async def work() -> None:
        while len(done) < 300:
            done.append((await receiver.receive("jobs"))["n"])

    working = [asyncio.ensure_future(work()) for _ in range(workers)]
    await until_async(lambda: len(done) == 300, "all are done", deadline_s=WITHIN_S)
    for task in working:
        task.cancel()
    assert sorted(done) == list(range(300)) and (workers > 1 or done == sorted(done))
    assert calls() < 300 / 10


async def test_faults_redis_13_what_is_taken_ahead_is_for_others_too(make: Make, far: Proxy) -> None:
    """A worker that has been quick, and then is busy: what it has taken ahead comes to another one."""
    sender, quick, other = make(), make(far.url), make()
    for number in range(400):
        await sender.send("jobs", {"type": "job", "n": number})
    first = [(await quick.receive("jobs"))["n"] for _ in range(200)]
    (station,) = quick._stations.all()
    while not any(station.plain._held.values()):
        first.append((await quick.receive("jobs"))["n"])
    assert sum(map(len, station.plain._held.values())) <= MOST_AHEAD
    left = 400 - len(first)
    rest = [(await asyncio.wait_for(other.receive("jobs"), WITHIN_S))["n"] for _ in range(left)]
    assert Counter(first + rest) == Counter(range(400)), "each once"
    assert not any(station.plain._held.values())


async def test_faults_redis_13_a_slow_worker_takes_nothing_ahead(make: Make) -> None:
    sender, slow = make(), make()
    for number in range(20):
        await sender.send("jobs", {"type": "job", "n": number})
    for number in range(3):
        assert (await slow.receive("jobs"))["n"] == number
        await asyncio.sleep(1.5 * HELD_S)  # it is busy
        (station,) = slow._stations.all()
        assert not any(station.plain._held.values())
        shards, keys = station.shards, slow.keys
        assert await shards.call(0, b"ZCARD", keys.queue("jobs")) == 19 - number


async def test_faults_redis_13_what_was_taken_ahead_is_put_back_at_the_end(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_channels, "HELD_S", 20)
    sender, receiver = make(), make()
    for number in range(100):
        await sender.send("jobs", {"type": "job", "n": number})
    for number in range(10):
        assert (await receiver.receive("jobs"))["n"] == number
    (station,) = receiver._stations.all()
    assert any(station.plain._held.values())
    await station.aclose()
    for number in range(10, 100):
        assert (await asyncio.wait_for(sender.receive("jobs"), WITHIN_S))["n"] == number
