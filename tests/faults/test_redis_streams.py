"""The streams layer under faults: nothing is lost, nothing comes twice, and what is gone for ever is told."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.consumer import AsyncConsumer, SyncConsumer
from compat.engine.inbox import Inbox
from compat.exceptions import LayerUnavailable
from compat.layers.redis.streams import RedisStreamsChannelLayer
from compat.types import Message
from compat.worker import Worker
from tests.support.layers import close, member, unique_prefix
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

Make = Callable[..., RedisStreamsChannelLayer]
WITHIN_S = 30.0


@pytest_asyncio.fixture
async def make(redis_url: str) -> AsyncIterator[Make]:
    """Makes layers; what they have open is closed at the end."""
    made: list[RedisStreamsChannelLayer] = []

    def factory(url: str = redis_url, **options: Any) -> RedisStreamsChannelLayer:
        defaults = {"hosts": [url], "capacity": 100_000, "catch_up": 100_000}
        made.append(RedisStreamsChannelLayer(**{**defaults, **options}))
        return made[-1]

    yield factory
    await close(*made)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that finds its data again after it was killed."""
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    yield server
    server.stop()


def numbers(inbox: Inbox, kind: str = "group") -> list[int]:
    return [event[1]["n"] for event in inbox.events if event[1]["type"] == kind]


async def test_a_capacity_that_is_no_whole_number(make: Make) -> None:
    """Was: each send to a channel failed."""
    for capacity in (100.0, 0.5):
        layer = make(prefix=unique_prefix(), capacity=capacity)
        channel = await layer.new_channel()
        receiving = asyncio.ensure_future(layer.receive(channel))
        await layer.send(channel, {"type": "x"})
        assert await asyncio.wait_for(receiving, WITHIN_S) == {"type": "x"}


class Load:
    """Sends numbered messages to a group and to a channel until the block ends."""

    def __init__(self, layer: RedisStreamsChannelLayer, inbox: Inbox) -> None:
        self.layer, self.inbox = layer, inbox
        self.sent: dict[str, list[int]] = {"group": [], "direct": []}
        self.unsure: set[tuple[str, int]] = set()
        """What has been tried, and may have arrived or not."""

    async def __aenter__(self) -> Load:
        self.task = asyncio.ensure_future(self._send())
        return self

    async def _send(self) -> None:
        number = 0
        while True:
            for kind in ("group", "direct"):
                message = {"type": kind, "n": number}
                self.unsure.add((kind, number))
                try:
                    if kind == "group":
                        await self.layer.group_send("room", message)
                    else:
                        await self.layer.send(self.inbox.channel, message)
                except LayerUnavailable:
                    continue
                self.unsure.discard((kind, number))
                self.sent[kind].append(number)
            number += 1
            await asyncio.sleep(0.001)

    async def __aexit__(self, *exc_info: object) -> None:
        self.task.cancel()
        await asyncio.wait((self.task,))
        for kind, sent in self.sent.items():

            def all_came(kind: str = kind, sent: list[int] = sent) -> bool:
                return set(sent) <= set(numbers(self.inbox, kind))

            await until_async(all_came, f"each {kind} message", deadline_s=WITHIN_S)
            got = numbers(self.inbox, kind)
            assert got == sorted(got) and len(got) == len(set(got)), "in order, and once"
            assert {(kind, n) for n in set(got) - set(sent)} <= self.unsure


async def test_faults_redis_10_twenty_cuts_of_the_reader(make: Make, redis_server: RedisServer) -> None:
    with Proxy(redis_server.port) as proxy:
        reader, sender = make(proxy.url), make(redis_server.url)
        inbox = await member(reader, "room")
        async with Load(sender, inbox) as load:
            for number in range(20):
                await until_async(lambda n=number: len(load.sent["group"]) > 20 * n, "more")  # type: ignore[misc]
                await asyncio.to_thread(proxy.cut)
        assert len(load.unsure) <= 1 and len(reader.metrics.gaps) > 5


async def test_silence_between_the_reader_and_redis(make: Make, redis_server: RedisServer) -> None:
    with Proxy(redis_server.port) as proxy:
        reader, sender = make(f"{proxy.url}?socket_timeout=1"), make(redis_server.url)
        inbox = await member(reader, "room")
        async with Load(sender, inbox) as load:
            await until_async(lambda: load.sent["direct"], "it begins")
            proxy.hold()
            await until_async(lambda: reader.metrics.gaps, "it is noticed", deadline_s=WITHIN_S)
            proxy.release()


async def test_redis_is_killed_and_has_kept_its_data(make: Make, kept: RedisServer) -> None:
    reader, sender = make(kept.url), make(kept.url)
    inbox = await member(reader, "room")
    async with Load(sender, inbox) as load:
        for count in (50, 100, 150):
            await until_async(lambda c=count: len(load.sent["group"]) > c, "more", deadline_s=WITHIN_S)  # type: ignore[misc]
            await asyncio.to_thread(kept.restart)
    assert reader.metrics.dropped == {}


async def test_redis_has_lost_its_data(make: Make, redis_server: RedisServer) -> None:
    """The members are told; what is sent from then on arrives."""
    layer = make(redis_server.url, on_reset="redis.reset")
    inbox = await member(layer, "room")
    await layer.group_send("room", {"type": "group", "n": 1})
    await layer.send(inbox.channel, {"type": "direct", "n": 1})
    await until_async(lambda: len(inbox.events) == 2, "both arrive")
    await asyncio.to_thread(redis_server.restart)
    deadline = time.monotonic() + WITHIN_S
    while 2 not in numbers(inbox):
        assert time.monotonic() < deadline, "it goes on"
        with contextlib.suppress(LayerUnavailable):
            await layer.group_send("room", {"type": "group", "n": 2})
        await asyncio.sleep(0.05)

    def told() -> list[Any]:
        return [event[1]["group"] for event in inbox.events if event[1]["type"] == "redis.reset"]

    await until_async(lambda: "room" in told(), "the reset is told", deadline_s=WITHIN_S)
    assert layer.metrics.dropped["reset"] >= 1


async def test_a_history_that_does_not_reach_back(make: Make, redis_server: RedisServer) -> None:
    with Proxy(redis_server.port) as proxy:
        reader = make(f"{proxy.url}?socket_timeout=1", on_reset="redis.reset", catch_up=10)
        sender = make(redis_server.url, catch_up=10)
        inbox = await member(reader, "room")
        await sender.group_send("room", {"type": "group", "n": 0})
        await until_async(lambda: numbers(inbox) == [0], "the first arrives")
        proxy.refuse()
        await asyncio.to_thread(proxy.cut)
        await until_async(lambda: reader.metrics.gaps, "it is cut off", deadline_s=WITHIN_S)
        for number in range(1, 51):
            await sender.group_send("room", {"type": "group", "n": number})
        proxy.accept()
        await until_async(lambda: numbers(inbox)[-1:] == [50], "the last arrives", deadline_s=WITHIN_S)
        assert numbers(inbox) == [0, *range(41, 51)]
        order = [event[1]["type"] for event in inbox.events]
        assert order.count("redis.reset") == 1 and order.index("redis.reset") == 1, "before what comes later"
        assert reader.metrics.dropped == {"reset": 40}


async def test_a_replica_takes_over_without_the_last_messages(make: Make, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    old = RedisServer(tmp_path / "one")
    new = RedisServer(tmp_path / "two", "--replicaof", "127.0.0.1", str(old.port))
    with (
        Proxy(old.port) as proxy,
        redis.Redis(port=old.port) as first,
        redis.Redis(port=new.port) as second,
    ):
        layer = make(proxy.url, on_reset="redis.reset")
        inbox = await member(layer, "room")
        for number in range(5):
            await layer.group_send("room", {"type": "group", "n": number})
        await until_async(lambda: len(numbers(inbox)) == 5, "five arrive")
        (stream,) = first.keys("asgi:history:room")
        await until_async(lambda: second.xlen(stream) == 5, "they are replicated", deadline_s=WITHIN_S)
        second.replicaof("NO", "ONE")
        for number in range(5, 8):
            await layer.group_send("room", {"type": "group", "n": number})
        await until_async(lambda: len(numbers(inbox)) == 8, "the last ones too")
        proxy.target = new.port
        await asyncio.to_thread(old.kill)
        number = 100
        deadline = time.monotonic() + WITHIN_S
        while number - 1 not in numbers(inbox):
            assert time.monotonic() < deadline, "it goes on"
            with contextlib.suppress(LayerUnavailable):
                await layer.group_send("room", {"type": "group", "n": number})
                number += 1
            await asyncio.sleep(0.02)
        assert [event[1]["type"] for event in inbox.events].count("redis.reset") == 1
        got = numbers(inbox)
        assert got[:8] == list(range(8)) and got[8:] == list(range(got[8], number))
    old.stop()
    new.stop()


@pytest.mark.parametrize(("times", "again"), [(1, []), (2, []), (8, []), (9, [*range(5)])])
async def test_replicas_take_over_while_a_reader_is_cut_off(
    make: Make, redis_server: RedisServer, times: int, again: list[int]
) -> None:
    """Others have noticed each time that messages were lost. What it has had comes again after nine times."""
    with Proxy(redis_server.port) as proxy, redis.Redis(port=redis_server.port) as wire:
        reader, sender = make(proxy.url, on_reset="redis.reset"), make(redis_server.url)
        inbox = await member(reader, "room")
        for number in range(5):
            await sender.group_send("room", {"type": "group", "n": number})
        await until_async(lambda: len(numbers(inbox)) == 5, "five arrive")
        proxy.refuse()
        await asyncio.to_thread(proxy.cut)
        await until_async(lambda: reader.metrics.gaps, "it is cut off", deadline_s=WITHIN_S)
        for _ in range(times):
            epoch: Any = wire.hget("asgi:position:room", "epoch")
            (station,) = sender._stations.all()
            await sender.recordings.gone_back(station.shards, "room", epoch.decode())
        await sender.group_send("room", {"type": "group", "n": 5})
        proxy.accept()
        await until_async(lambda: 5 in numbers(inbox), "the last arrives", deadline_s=WITHIN_S)
        assert numbers(inbox) == [*range(5), *again, 5]
        assert [event[1]["type"] for event in inbox.events].count("redis.reset") == 1


async def test_a_history_that_begins_anew_continues_no_earlier_one(
    make: Make, redis_server: RedisServer
) -> None:
    """Its position was older than its stream. A reader that was cut off gets it from its first message on."""
    with Proxy(redis_server.port) as proxy, redis.Redis(port=redis_server.port) as wire:
        reader, sender = make(proxy.url), make(redis_server.url)
        inbox = await member(reader, "room")
        for number in range(5):
            await sender.group_send("room", {"type": "group", "n": number})
        await until_async(lambda: len(numbers(inbox)) == 5, "five arrive")
        proxy.refuse()
        await asyncio.to_thread(proxy.cut)
        await until_async(lambda: reader.metrics.gaps, "it is cut off", deadline_s=WITHIN_S)
        (station,) = sender._stations.all()
        epoch: Any = wire.hget("asgi:position:room", "epoch")
        await sender.recordings.gone_back(station.shards, "room", epoch.decode())
        wire.hset("asgi:position:room", "offset", 1)
        for number in range(5, 7):
            await sender.group_send("room", {"type": "group", "n": number})
        proxy.accept()
        await until_async(lambda: 6 in numbers(inbox), "the last arrives", deadline_s=WITHIN_S)
        assert numbers(inbox) == [*range(7)]


async def test_a_position_that_has_expired_by_itself_is_no_reset(
    make: Make, redis_server: RedisServer
) -> None:
    layer = make(redis_server.url, catch_up_seconds=1, group_expiry=1, on_reset="redis.reset")
    inbox = await member(layer, "room")
    await layer.group_send("room", {"type": "group", "n": 1})
    await until_async(lambda: numbers(inbox) == [1], "the first arrives")
    arrived = time.monotonic()  # the reader counts from here: Redis has forgotten it for sure after that time
    record = layer.recordings.record("room")
    position_s = record.position_s if record is not None else 0
    with redis.Redis(port=redis_server.port) as wire:
        await until_async(
            lambda: not wire.exists("asgi:position:room") and time.monotonic() > arrived + position_s,
            "it is forgotten",
            deadline_s=WITHIN_S,
        )
    await layer.group_send("room", {"type": "group", "n": 2})
    await until_async(lambda: numbers(inbox) == [1, 2], "the next arrives")
    assert layer.metrics.dropped == {} and len(inbox.events) == 2


async def test_who_joins_gets_what_comes_after(make: Make) -> None:
    sender = make(prefix=unique_prefix())
    reader = make(prefix=sender.prefix)
    for number in range(3):
        await sender.group_send("room", {"type": "group", "n": number})
    inboxes = await asyncio.gather(*(member(reader, "room") for _ in range(5)))
    await sender.group_send("room", {"type": "group", "n": 3})
    for inbox in inboxes:
        await until_async(lambda i=inbox: numbers(i) == [3], "the later one")  # type: ignore[misc]


async def test_connections_that_are_closed_and_opened_again(make: Make) -> None:
    """What was read before does not come again, and what was sent meanwhile does."""
    layer = make(prefix=unique_prefix())
    sender = make(prefix=layer.prefix)
    channel = await layer.new_channel()
    await sender.send(channel, {"type": "direct", "n": 1})
    assert (await asyncio.wait_for(layer.receive(channel), WITHIN_S))["n"] == 1
    await layer.close_pools()
    await sender.send(channel, {"type": "direct", "n": 2})
    assert (await asyncio.wait_for(layer.receive(channel), WITHIN_S))["n"] == 2


def test_one_event_loop_after_another(redis_url: str) -> None:
    """A channel outlives the event loop that made it, as long as the process."""
    layer = RedisStreamsChannelLayer(hosts=[redis_url], prefix=unique_prefix())
    channel = asyncio.run(layer.new_channel())
    asyncio.run(layer.send(channel, {"type": "direct", "n": 1}))

    async def receive() -> Message:
        return await asyncio.wait_for(layer.receive(channel), WITHIN_S)

    assert asyncio.run(receive())["n"] == 1
    asyncio.run(layer.send(channel, {"type": "direct", "n": 2}))
    assert asyncio.run(receive())["n"] == 2


# Workers


async def test_faults_redis_10_a_worker_that_dies(make: Make) -> None:
    """Its message comes again, to another one, with the number of tries."""
    one = make(prefix=unique_prefix(), takeover=1)
    other = make(prefix=one.prefix, takeover=1)
    await one.send("jobs", {"type": "job", "n": 1})
    await one.send("jobs", {"type": "job", "n": 2})
    taken = await asyncio.wait_for(one.take("jobs"), WITHIN_S)
    assert (taken.message, taken.tries) == ({"type": "job", "n": 1}, 1)
    (station,) = one._stations.all()
    station.jobs.held.clear()  # it says no more that it is at work
    second = await asyncio.wait_for(other.take("jobs"), WITHIN_S)
    assert second.message["n"] == 2
    second.acknowledge()
    again = await asyncio.wait_for(other.take("jobs"), WITHIN_S)
    assert (again.message, again.tries) == ({"type": "job", "n": 1}, 2)
    again.acknowledge()


async def test_a_worker_at_work_keeps_its_message(make: Make) -> None:
    one = make(prefix=unique_prefix(), takeover=2)
    other = make(prefix=one.prefix, takeover=2)
    await one.send("jobs", {"type": "job", "n": 1})
    taken = await one.take("jobs")
    waiting = asyncio.ensure_future(other.take("jobs"))
    done, _ = await asyncio.wait((waiting,), timeout=5)
    assert not done, "nobody else gets it for as long as it takes"
    taken.acknowledge()
    await one.send("jobs", {"type": "job", "n": 2})
    second = await asyncio.wait_for(waiting, WITHIN_S)
    assert second.message["n"] == 2
    second.acknowledge()


@pytest.mark.parametrize("tries", [1, 2, 3])
async def test_a_message_that_nobody_can_handle(make: Make, redis_port: int, tries: int) -> None:
    layer = make(prefix=unique_prefix(), tries=tries, takeover=1)
    await layer.send("jobs", {"type": "poison"})
    await layer.send("jobs", {"type": "good"})
    for number in range(1, tries + 1):
        job = await asyncio.wait_for(layer.take("jobs"), WITHIN_S)
        if number == 1:
            good = await asyncio.wait_for(layer.take("jobs"), WITHIN_S)
            good.acknowledge()
        assert (job.message["type"], job.tries) == ("poison", number)
        job.failed()
    waiting = asyncio.ensure_future(layer.take("jobs"))
    await until_async(lambda: layer.metrics.dropped == {"dead": 1}, "it is buried", deadline_s=WITHIN_S)
    with redis.Redis(port=redis_port) as wire:
        dead: Any = wire.xrange(layer.keys.dead("jobs"))
        ((_, fields),) = dead
        assert layer.deserialize(fields[b"m"]) == {"type": "poison"}
        assert wire.xlen(layer.keys.jobs("jobs")) == 0
    waiting.cancel()


async def test_a_cancelled_take_loses_nothing(make: Make) -> None:
    layer = make(prefix=unique_prefix(), takeover=60)
    for number in range(20):
        waiting = asyncio.ensure_future(layer.take("jobs"))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        await layer.send("jobs", {"type": "job", "n": number})
        waiting.cancel()
        await asyncio.wait((waiting,))
        if not waiting.cancelled():
            waiting.result().put_back()
        job = await asyncio.wait_for(layer.take("jobs"), WITHIN_S)
        assert (job.message["n"], job.tries) == (number, 1)
        job.acknowledge()


@asynccontextmanager
async def working(application: Any, layer: RedisStreamsChannelLayer) -> AsyncIterator[None]:
    task = asyncio.ensure_future(Worker(application, ["jobs"], layer).arun())  # type: ignore[no-untyped-call]
    yield
    task.cancel()
    await asyncio.wait((task,))


@pytest.mark.parametrize("flavour", ["async", "sync"])
async def test_a_worker_acknowledges_what_it_has_handled(make: Make, redis_port: int, flavour: str) -> None:
    """Not what it is handling; and what fails is tried again, as often as the layer says."""
    layer = make(prefix=unique_prefix(), tries=2, takeover=1)
    seen: list[int] = []
    gate = threading.Event()

    class Async(AsyncConsumer):
        async def job(self, message: Message) -> None:
            seen.append(message["n"])
            if message["n"] == 2:
                raise LookupError("a bug")
            await asyncio.to_thread(gate.wait, WITHIN_S)

    class Sync(SyncConsumer):
        def job(self, message: Message) -> None:
            seen.append(message["n"])
            if message["n"] == 2:
                raise LookupError("a bug")
            gate.wait(WITHIN_S)

    stream = layer.keys.jobs("jobs")
    with redis.Redis(port=redis_port) as wire:
        async with working((Async if flavour == "async" else Sync).as_asgi(), layer):
            for number in (1, 2, 3):
                await layer.send("jobs", {"type": "job", "n": number})
            await until_async(lambda: seen == [1], "the first is at work")
            for _ in range(50):
                await asyncio.sleep(0)
            assert wire.xlen(stream) == 3, "nothing is acknowledged yet"
            gate.set()
            await until_async(lambda: wire.xlen(stream) == 0, "all are done", deadline_s=WITHIN_S)
        assert sorted(seen) == [1, 2, 2, 3]
        assert wire.xlen(layer.keys.dead("jobs")) == 1
