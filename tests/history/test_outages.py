"""What an outage has swallowed is fetched, for sockets that stayed open: row H4, and what it costs Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.engine.inbox import Inbox
from compat.exceptions import LayerUnavailable
from compat.layers.redis import kept_groups, receipts
from compat.layers.redis.station import Station
from tests.support.choices import slow_but
from tests.support.layers import ON_REDIS, close, member, unique_prefix
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

Make = Callable[..., Any]
HISTORY = {"chat_*": {"count": 1000, "on_join": 50}}
WITHIN_S = 30.0


@pytest.fixture(params=sorted(ON_REDIS))
def kind(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest_asyncio.fixture
async def make(kind: str, redis_url: str) -> AsyncIterator[Make]:
    """Makes layers that are processes of one fleet."""
    made: list[Any] = []
    prefix = unique_prefix()

    def factory(url: str = redis_url, **options: Any) -> Any:
        config = {"hosts": [url], "prefix": prefix, "capacity": 5000, "history": HISTORY}
        made.append(ON_REDIS[kind](**{**config, **options}))
        return made[-1]

    yield factory
    await close(*made)


async def say(layer: Any, first: int, last: int, **also: Any) -> None:
    for number in range(first, last + 1):
        await layer.group_send("chat_x", {"type": "chat.message", "n": number, **also})


def numbers(inbox: Inbox) -> list[Any]:
    return [event[1]["n"] for event in inbox.events]


async def test_history_H4_what_was_sent_while_a_process_was_cut_off(
    make: Make, kind: str, redis_server: RedisServer
) -> None:
    # What the queue keeps for a process comes as it always does, and counts for the capacity.
    capacity = 5000 if kind == "queue" else 20
    with Proxy(redis_server.port) as proxy:
        cut = make(f"{proxy.url}?socket_timeout=1", capacity=capacity)
        other = make(redis_server.url)
        inbox = await member(cut, "chat_x")
        await say(other, 1, 3)
        await until_async(lambda: numbers(inbox) == [1, 2, 3], "they come", deadline_s=WITHIN_S)
        proxy.hold()
        await say(other, 4, 300)
        await until_async(lambda: cut.metrics.gaps, "it is noticed", deadline_s=WITHIN_S)
        proxy.release()
        await until_async(
            lambda: numbers(inbox)[-1:] == [300], "the missed ones come unasked", deadline_s=WITHIN_S
        )
        await say(other, 301, 303)
        await until_async(lambda: numbers(inbox)[-1:] == [303], "and new ones", deadline_s=WITHIN_S)
    assert numbers(inbox) == list(range(1, 304)), "each once, and in order"
    assert not cut.metrics.dropped


@pytest.mark.parametrize("kind", slow_but(("streams",), ["pubsub", "streams"]), indirect=True)
@pytest.mark.parametrize(
    ("count", "size", "bytes_per_s"), [(40, 200_000, 2_000_000), (5, 1_200_000, 0)], ids=["slow", "long"]
)
async def test_more_was_missed_than_fits_into_one_reply(
    make: Make, redis_server: RedisServer, count: int, size: int, bytes_per_s: int
) -> None:
    """Over the slow line all at once would take longer than a reader waits, and a part a sixth of that."""
    with Proxy(redis_server.port) as proxy:
        cut, other = make(f"{proxy.url}?socket_timeout=3"), make(redis_server.url)
        inbox = await member(cut, "chat_x")
        proxy.refuse()
        await asyncio.to_thread(proxy.cut)
        await say(other, 1, count, text="x" * size)
        proxy.bytes_per_s = bytes_per_s
        proxy.accept()
        await until_async(lambda: numbers(inbox)[-1:] == [count], "the last one comes", deadline_s=WITHIN_S)
        newcomer = await member(cut, "chat_x")
        kept = await cut.history("chat_x")
    assert numbers(inbox) == numbers(newcomer) == [entry["n"] for entry in kept] == list(range(1, count + 1))


async def test_what_is_gone_is_counted_and_told(make: Make, redis_server: RedisServer) -> None:
    few = {"chat_*": {"count": 10}}
    with Proxy(redis_server.port) as proxy:
        cut = make(
            f"{proxy.url}?socket_timeout=1", history=few, on_reset={"type": "redis.reset", "n": "reset"}
        )
        other = make(redis_server.url, history=few)
        inbox = await member(cut, "chat_x")
        await say(other, 1, 3)
        await until_async(lambda: numbers(inbox) == [1, 2, 3], "they come", deadline_s=WITHIN_S)
        proxy.hold()
        await say(other, 4, 100)
        with redis.Redis(port=redis_server.port) as wire:  # what a queue has kept for it
            wire.delete("none", *wire.scan_iter(f"{cut.prefix}specific.*"))
        await until_async(lambda: cut.metrics.gaps, "it is noticed", deadline_s=WITHIN_S)
        await asyncio.to_thread(proxy.cut)  # Redis has handed 4 over, and the proxy holds it
        proxy.release()
        await until_async(lambda: numbers(inbox)[-1:] == [100], "the rest comes", deadline_s=WITHIN_S)
    assert numbers(inbox) == [1, 2, 3, "reset", *range(91, 101)], "its members are told"
    told = [event[1] for event in inbox.events if event[1]["type"] == "redis.reset"]
    assert told == [{"type": "redis.reset", "n": "reset", "group": "chat_x"}]
    assert cut.metrics.dropped == {"reset": 87}


async def test_a_storm_of_newcomers_reads_redis_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_groups, "FRESH_S", 3600.0)  # however long the storm takes
    layer = make()
    await say(layer, 1, 60)
    reads = [0]
    read = layer.recordings.read

    async def counted(*arguments: Any, **options: Any) -> Any:
        reads[0] += 1
        return await read(*arguments, **options)

    monkeypatch.setattr(layer.recordings, "read", counted)
    first = await member(layer, "chat_x")
    before = reads[0]
    inboxes = await asyncio.gather(*(member(layer, "chat_x") for _ in range(200)))
    for inbox in (first, *inboxes):
        assert numbers(inbox) == list(range(11, 61))
    assert reads[0] - before <= 2, "and not once for each"


async def test_what_was_forgotten_elsewhere_is_not_given_to_newcomers(make: Make) -> None:
    here, there = make(), make()
    await say(there, 1, 5)
    first = await member(here, "chat_x")
    assert numbers(first) == [1, 2, 3, 4, 5]
    entry = (await there.history("chat_x"))[1]
    await there.forget("chat_x", entry.id)

    async def newcomer() -> list[int]:
        inbox = await member(here, "chat_x")
        return numbers(inbox)

    for _ in range(100):
        if await newcomer() == [1, 3, 4, 5]:
            break
        await asyncio.sleep(0.02)  # a second, at most
    assert await newcomer() == [1, 3, 4, 5]


async def test_groups_that_come_and_go_leave_no_key(make: Make, redis_url: str) -> None:
    brief = {"chat_*": {"count": 5, "seconds": 30}}
    layer = make(history=brief)
    with redis.Redis.from_url(redis_url) as wire:
        for number in range(200):
            await layer.group_send(f"chat_{number}", {"type": "chat.message", "n": number})
        keys = list(wire.scan_iter(f"{layer.prefix}*", count=1000))
        assert len(keys) >= 400
        assert all(0 < wire.pttl(key) <= 2 * 86_400_000 for key in keys), "each ends by itself"


async def test_a_history_whose_position_was_evicted_begins_again(make: Make, redis_url: str) -> None:
    layer = make()
    await say(layer, 1, 9)
    before = (await layer.history("chat_x")).position
    with redis.Redis.from_url(redis_url) as wire:
        _, (_, position) = layer.recordings.where("chat_x")
        wire.delete(position)
    await layer.position("chat_x")
    await say(layer, 10, 11)
    assert [entry["n"] for entry in await layer.history("chat_x")] == [10, 11]
    assert not (await layer.history("chat_x", since=before)).complete
    with redis.Redis.from_url(redis_url) as wire:
        wire.hset(position, "offset", 0)
    await say(layer, 12, 12)
    assert [entry["n"] for entry in await layer.history("chat_x")] == [12]


async def test_a_redis_that_has_gone_back_is_noticed(make: Make, redis_url: str) -> None:
    """What a replica without the last messages looks like: the same epoch, and fewer entries."""
    layer = make()
    inbox = await member(layer, "chat_x")
    await say(layer, 1, 9)
    await until_async(lambda: len(numbers(inbox)) == 9, "they come", deadline_s=WITHIN_S)
    before = (await layer.history("chat_x")).position
    wire: Any
    with redis.Redis.from_url(redis_url) as wire:
        _, (stream, position) = layer.recordings.where("chat_x")
        wire.hset(position, "offset", 5)
        kept = wire.xrange(stream, max="5-0")
        wire.delete(stream)  # newer ones do not let XSETID go back
        for identity, fields in kept:
            wire.xadd(stream, fields, id=identity)
    await say(layer, 10, 10)
    await until_async(lambda: layer.metrics.dropped.get("reset"), "it is noticed", deadline_s=WITHIN_S)

    for _ in range(1000):
        if not (await layer.history("chat_x")).position.startswith(before[:16]):
            break
        await asyncio.sleep(0.01)
    await say(layer, 11, 20)
    assert not (await layer.history("chat_x", since=before)).complete
    await until_async(lambda: numbers(inbox)[-1] == 20, "it goes on", deadline_s=WITHIN_S)
    assert len(set(numbers(inbox))) == len(numbers(inbox)), "nothing twice"


async def test_a_sender_does_not_wait_for_somebody_who_is_joining(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "PATIENCE_S", 600.0)
    layer = make()
    inbox = await member(layer)
    reading, may_read = asyncio.Event(), asyncio.Event()
    read = layer.recordings.read

    async def slowly(*arguments: Any, **options: Any) -> Any:
        reading.set()
        await may_read.wait()
        return await read(*arguments, **options)

    monkeypatch.setattr(layer.recordings, "read", slowly)
    joining = asyncio.ensure_future(layer.group_add("chat_x", inbox.channel))
    await reading.wait()
    sending = asyncio.ensure_future(say(layer, 1, 3))
    await until_async(sending.done, "it has been sent")
    may_read.set()
    await joining
    await until_async(lambda: numbers(inbox) == [1, 2, 3], "it has come, once")


async def test_who_could_not_join_is_no_member(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, other = make(), make()
    inbox = await member(layer)

    async def fail(*_: Any, **__: Any) -> Any:
        raise LayerUnavailable("it is away, for the moment")

    read = layer.recordings.read
    monkeypatch.setattr(layer.recordings, "read", fail)
    with pytest.raises(LayerUnavailable, match="for the moment"):
        await layer.group_add("chat_x", inbox.channel)
    monkeypatch.setattr(layer.recordings, "read", read)
    (station,) = layer._stations.all()
    assert not station.kept.groups and not inbox.groups
    for membership in getattr(station, "_memberships", {}).values():
        await until_async(lambda m=membership: not m.groups and not m._owed, "Redis knows it too")  # type: ignore[misc]
    await say(other, 1, 2)
    await layer.group_add("chat_x", inbox.channel, last=0)
    await say(other, 3, 3)
    await until_async(lambda: numbers(inbox) == [3], "only what came after it has joined")


async def test_workers_see_no_keys_of_the_wire(make: Make, kind: str) -> None:
    if kind != "queue":
        pytest.skip("plain channels are members of groups on the queue layer alone")
    layer = make()
    await layer.group_add("chat_x", "jobs")
    await layer.group_send("chat_x", {"type": "job", "n": 1}, exclude=["nobody"])
    assert await asyncio.wait_for(layer.receive("jobs"), WITHIN_S) == {"type": "job", "n": 1}


async def test_members_that_come_and_go_leave_nothing_in_the_process(make: Make) -> None:
    layer = make()
    for number in range(50):
        inbox = await member(layer, f"chat_{number}")
        await layer.detach(inbox.channel)
    (station,) = layer._stations.all()
    assert isinstance(station, Station)
    kept: Any = station.kept  # type: ignore[attr-defined]
    assert not kept.groups and not kept.follower._topics


async def test_a_killed_redis_that_has_its_data_again(tmp_path: Path, make: Make) -> None:
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    try:
        layer = make(server.url)
        inbox = await member(layer, "chat_x")
        await say(layer, 1, 20)
        await until_async(lambda: len(numbers(inbox)) == 20, "they come", deadline_s=WITHIN_S)
        await asyncio.to_thread(server.restart)
        other = make(server.url)
        await until_async(lambda: numbers(inbox) == list(range(1, 21)), "nothing twice", deadline_s=WITHIN_S)
        await say(other, 21, 22)
        await until_async(lambda: numbers(inbox) == list(range(1, 23)), "it goes on", deadline_s=WITHIN_S)
    finally:
        server.stop()


async def test_a_killed_redis_without_its_data(make: Make, redis_server: RedisServer) -> None:
    """What was there is gone, and nobody is told otherwise; those who stayed go on."""
    layer = make(redis_server.url)
    inbox = await member(layer, "chat_x")
    await say(layer, 1, 20)
    await until_async(lambda: len(numbers(inbox)) == 20, "they come", deadline_s=WITHIN_S)
    before = (await layer.history("chat_x")).position
    await asyncio.to_thread(redis_server.restart)
    await until_async(
        lambda: layer.metrics.gaps and not layer.metrics.is_away(), "it is back", deadline_s=WITHIN_S
    )
    other = make(redis_server.url)
    await say(other, 21, 22)
    await until_async(lambda: numbers(inbox)[-1:] == [22], "it goes on", deadline_s=WITHIN_S)
    assert numbers(inbox) == list(range(1, 23)), "each once, in order"
    since = await other.history("chat_x", since=before)
    assert not since.complete and [entry["n"] for entry in since] == [21, 22]
    newcomer = await member(other, "chat_x")
    await until_async(lambda: numbers(newcomer) == [21, 22], "what there is", deadline_s=WITHIN_S)
