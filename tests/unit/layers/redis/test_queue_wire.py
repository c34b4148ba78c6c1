"""What the queue layer writes to Redis and reads from it: byte for byte what channels_redis 4.3 does."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
import zlib
from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from compat.exceptions import ChannelFull
from compat.layers.redis import RedisChannelLayer, plain_channels, queue_sending
from compat.layers.redis.core import ChannelFull as ChannelFullThere
from compat.layers.redis.queue_sending import RisingClock
from compat.layers.redis.scripts import TAKE
from compat.layers.redis.serializers import JSONSerializer, MsgPackSerializer, registry
from tests.support.layers import databases
from tests.support.waiting import until_async, until_awaited


def packb(message: Any) -> bytes:
    packed: Any = msgpack.packb(message)
    return bytes(packed)


Make = Callable[..., RedisChannelLayer]
WITHIN_S = 20.0


async def receive(layer: RedisChannelLayer, channel: str) -> Any:
    return await asyncio.wait_for(layer.receive(channel), WITHIN_S)


async def blocked(wire: Any, count: int) -> None:
    """Until so many clients wait in Redis; of a test's own, or others are counted."""
    deadline = time.monotonic() + WITHIN_S
    while (await wire.info("clients"))["blocked_clients"] != count:
        assert time.monotonic() < deadline, f"not {count} clients wait"
        await asyncio.sleep(0.02)


async def keys_of(wire: Any, layer: RedisChannelLayer) -> set[str]:
    """The keys of a layer, without its prefix and what is ours alone."""
    found = {key.decode()[len(layer.prefix) :] for key in await wire.keys(f"{layer.prefix}*")}
    return {key for key in found if not key.startswith((":leases", ":joined", ":channels"))}


async def test_names_of_channels(make_queue: Make) -> None:
    layer = make_queue()
    channel = await layer.new_channel()
    assert re.fullmatch(r"specific\.[0-9a-f]{32}![0-9a-f]{32}", channel)
    assert channel.split("!")[0] == f"specific.{layer.client_prefix}"
    assert (await layer.new_channel("other")).startswith(f"other.{layer.client_prefix}!")
    assert make_queue().client_prefix != layer.client_prefix


async def test_send_to_a_plain_channel(make_queue: Make, wire: Any) -> None:
    layer = make_queue(expiry=30)
    before = time.time()
    await layer.send("plain", {"type": "a.b", "b": b"\x00"})
    assert await keys_of(wire, layer) == {"plain"}
    key = f"{layer.prefix}plain"
    [(member, score)] = await wire.zrange(key, 0, -1, withscores=True)
    assert msgpack.unpackb(member[12:]) == {"type": "a.b", "b": b"\x00"}
    assert before <= score <= time.time()
    assert 28 <= await wire.ttl(key) <= 30


async def test_send_to_a_channel_of_a_process(make_queue: Make, wire: Any) -> None:
    layer = make_queue()
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "a"})
    assert await keys_of(wire, layer) == {f"specific.{layer.client_prefix}!"}
    [member] = await wire.zrange(f"{layer.prefix}specific.{layer.client_prefix}!", 0, -1)
    assert member[12:] == packb({"type": "a", "__asgi_channel__": channel})


@pytest.mark.parametrize(
    "options", [{}, {"channel_capacity": {"x": 1}}, {"serializer_format": "json"}], ids=str
)
async def test_group_send(make_queue: Make, wire: Any, options: Any) -> None:
    """One entry per receiving process, the names of its members in it; a list also for plain channels."""
    layer = make_queue(**options)
    mine = [await layer.new_channel() for _ in range(2)]
    members = [*mine, "plain", "specific.dead!beef"]
    for member in members:
        await layer.group_add("grp", member)
    key = f"{layer.prefix}:group:grp"
    assert sorted(member.decode() for member in await wire.zrange(key, 0, -1)) == sorted(members)
    assert 86390 <= await wire.ttl(key) <= 86400
    assert await layer.group_send("grp", {"type": "chat.message", "text": "hi"}) == (4, 0)
    queues = {f"specific.{layer.client_prefix}!", "plain", "specific.dead!"}
    counted = set() if "channel_capacity" in options else {":census:grp"}
    assert await keys_of(wire, layer) == {":group:grp", *counted, *queues}
    names = {}
    for queue in queues:
        [member] = await wire.zrange(layer.prefix + queue, 0, -1)
        message = layer.deserialize(member)
        names[queue] = message.pop("__asgi_channel__")
        assert message == {"type": "chat.message", "text": "hi"}
        assert 58 <= await wire.ttl(layer.prefix + queue) <= 60
    assert sorted(names[f"specific.{layer.client_prefix}!"]) == sorted(mine)
    assert names["plain"] == ["plain"] and names["specific.dead!"] == ["specific.dead!beef"]
    for channel in (*mine, "plain"):
        assert await receive(layer, channel) == {"type": "chat.message", "text": "hi"}


async def test_group_discard(make_queue: Make, wire: Any) -> None:
    layer = make_queue()
    channel = await layer.new_channel()
    for member in (channel, "plain"):
        await layer.group_add("grp", member)
    await layer.group_discard("grp", "plain")
    assert await wire.zrange(f"{layer.prefix}:group:grp", 0, -1) == [channel.encode()]
    await layer.group_discard("grp", channel)
    assert not await wire.exists(f"{layer.prefix}:group:grp")


@pytest.mark.parametrize("as_list", [True, False])
async def test_what_channels_redis_writes_is_read(make_queue: Make, wire: Any, as_list: bool) -> None:
    layer = make_queue()
    channel = await layer.new_channel()
    names = [channel] if as_list else channel
    body = packb({"type": "x", "__asgi_channel__": names})
    await wire.zadd(f"{layer.prefix}specific.{layer.client_prefix}!", {b"r" * 12 + body: time.time()})
    assert await receive(layer, channel) == {"type": "x"}
    plain = packb({"type": "y", **({"__asgi_channel__": ["plain"]} if as_list else {})})
    await wire.zadd(f"{layer.prefix}plain", {b"r" * 12 + plain: time.time()})
    assert await receive(layer, "plain") == {"type": "y"}


async def test_an_old_message_is_delivered(make_queue: Make, wire: Any) -> None:
    """A clock that is behind must not make messages vanish; it is the sender who drops what has expired."""
    layer = make_queue(expiry=60)
    channel = await layer.new_channel()
    body = packb({"type": "x", "__asgi_channel__": channel})
    await wire.zadd(f"{layer.prefix}specific.{layer.client_prefix}!", {b"r" * 12 + body: time.time() - 3600})
    assert await receive(layer, channel) == {"type": "x"}


@pytest.mark.parametrize("length", [0, 5])
async def test_length_of_the_random_prefix(make_queue: Make, wire: Any, length: int) -> None:
    layer = make_queue(random_prefix_length=length)
    for _ in range(2):
        await layer.send("plain", {"type": "x"})
    members = await wire.zrange(f"{layer.prefix}plain", 0, -1)
    assert len(members) == (2 if length else 1), "without a prefix, equal messages are one member of a set"
    assert msgpack.unpackb(members[0][length:]) == {"type": "x"}


async def test_scores_rise_strictly(make_queue: Make, wire: Any) -> None:
    layer = make_queue(capacity=1000)
    await asyncio.gather(*(layer.send("plain", {"type": "x", "n": number}) for number in range(500)))
    entries = await wire.zrange(f"{layer.prefix}plain", 0, -1, withscores=True)
    assert len({score for _, score in entries}) == 500
    assert [layer.deserialize(member)["n"] for member, _ in entries] == list(range(500))


def test_a_clock_that_stands_still_or_goes_back() -> None:
    clock = RisingClock()
    times = [clock.next(now) for now in (1e9, 1e9, 1e9 - 5, 1e9 + 1, 1e9)]
    assert times == sorted(set(times)) and times[3] == 1e9 + 1


@pytest.mark.own_redis
async def test_one_round_trip_for_a_group_send(make_queue: Make, wire: Any) -> None:
    layer = make_queue()
    await layer.group_add("grp", "plain")
    await layer.group_send("grp", {"type": "warm up"})
    calls = await commands(wire)
    for number in range(10):
        await layer.group_send("grp", {"type": "x", "n": number})
    after = await commands(wire)
    assert after.pop("evalsha") - calls["evalsha"] == 10
    in_the_script = {"zadd", "zcount", "zrangebyscore", "zremrangebyscore", "hgetall", "expire", "time"}
    called = {name for name in after if after[name] != calls.get(name)}
    assert called <= {*in_the_script, "info"}, "all else runs in the script"


async def commands(wire: Any) -> dict[str, int]:
    stats = await wire.info("commandstats")
    return {name.removeprefix("cmdstat_").split("|")[0]: stat["calls"] for name, stat in stats.items()}


async def test_scripts_that_redis_forgot(make_queue: Make, wire: Any) -> None:
    layer = make_queue()
    channel = await layer.new_channel()
    await layer.group_add("grp", channel)
    await layer.group_send("grp", {"type": "one"})
    assert await receive(layer, channel) == {"type": "one"}
    await wire.script_flush()
    await layer.group_send("grp", {"type": "two"})
    await layer.send(channel, {"type": "three"})
    assert await receive(layer, channel) == {"type": "two"}
    assert await receive(layer, channel) == {"type": "three"}


# Plain channels: taken, in flight, acknowledged


async def nothing_left(wire: Any, layer: RedisChannelLayer) -> None:
    """Until Redis has heard that the messages have arrived."""
    deadline = time.monotonic() + WITHIN_S
    while left := await keys_of(wire, layer):
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.01)


async def test_nothing_stays_in_flight(make_queue: Make, wire: Any) -> None:
    layer = make_queue()
    for wait in (False, True):
        waiting = asyncio.ensure_future(receive(layer, "plain")) if wait else None
        await layer.send("plain", {"type": "x"})
        assert await (waiting or receive(layer, "plain")) == {"type": "x"}
        await nothing_left(wire, layer)


async def test_a_reader_that_died_after_taking_a_message(make_queue: Make, wire: Any) -> None:
    """What somebody took and never acknowledged comes first, for a reader that begins."""
    layer = make_queue()
    old = b"r" * 12 + packb({"type": "old"})
    await wire.zadd(f"{layer.prefix}plain$inflight", {old: time.time() - 5})
    await layer.send("plain", {"type": "new"})
    assert [await receive(layer, "plain") for _ in range(2)] == [{"type": "old"}, {"type": "new"}]
    await nothing_left(wire, layer)


async def test_a_reader_that_is_never_idle_finds_what_a_dead_one_has_left(
    make_queue: Make, wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: only after five seconds without a message, and by then the old one could have expired."""
    monkeypatch.setattr(plain_channels, "LOOK_EVERY_S", 0.05)
    layer = make_queue()
    await layer.send("plain", {"type": "first"})
    assert await receive(layer, "plain") == {"type": "first"}
    old = b"r" * 12 + packb({"type": "old"})
    await wire.zadd(f"{layer.prefix}plain$inflight", {old: time.time() - 20})
    deadline, got = time.monotonic() + WITHIN_S, {"type": "first"}
    while got != {"type": "old"}:
        assert time.monotonic() < deadline
        await layer.send("plain", {"type": "new"})
        got = await receive(layer, "plain")
    while await wire.zcard(f"{layer.prefix}plain"):
        await receive(layer, "plain")


async def test_what_has_expired_in_flight_is_not_put_back(make_queue: Make, wire: Any) -> None:
    layer = make_queue(expiry=30)
    messages = {n: b"r" * 12 + packb({"type": "x", "n": n}) for n in (20, 40)}
    ages = {message: time.time() - age for age, message in messages.items()}
    await wire.zadd(f"{layer.prefix}plain$inflight", ages)
    assert await receive(layer, "plain") == {"type": "x", "n": 20}
    assert layer.metrics.dropped == {"expired": 1}
    await nothing_left(wire, layer)


@pytest.mark.own_redis
@pytest.mark.parametrize("waits", [False, True])
async def test_a_message_expires_wherever_it_is(make_queue: Make, wire: Any, waits: bool) -> None:
    """In flight, and put back; also where Redis has forgotten the scripts."""
    layer = make_queue(expiry=30)
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "x"})  # opens the connection
    assert await receive(layer, channel) == {"type": "x"}
    (station,) = layer._stations.all()
    taking = asyncio.ensure_future(station.plain.take("plain")) if waits else None
    await blocked(wire, 2 if waits else 1)
    await wire.script_flush()
    await layer.send("plain", {"type": "y"})
    taken = await (taking or station.plain.take("plain"))
    keys = layer.keys
    queue, held = keys.queue("plain"), keys.held(keys.queue("plain"))

    async def lives(key: str) -> bool:
        return bool(0 < await wire.ttl(key) <= 30)

    await until_awaited(lambda: lives(held), True)
    assert await wire.zcard(held) == 1 and await wire.zcard(keys.taken(queue)) == 1
    taken.put_back()
    await until_awaited(lambda: lives(queue), True)
    assert not await wire.exists(held, keys.taken(queue))


@pytest.mark.own_redis
async def test_what_a_dead_worker_of_ours_had_comes_again(
    make_queue: Make, wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the next of ours, once it has been in flight for too long; and a flush knows its key."""
    layer, other = make_queue(prefix="x"), make_queue(prefix="x")
    for number in range(3):
        await layer.send("plain", {"type": "x", "n": number})
    (station,) = layer._stations.all()
    await station.plain.take("plain")  # never acknowledged
    queue = layer.keys.queue("plain")
    assert await wire.zcard(f"{queue}$held") == 1
    monkeypatch.setattr(plain_channels, "TOO_LONG_S", -1)
    assert [(await receive(other, "plain"))["n"] for _ in range(3)] == [0, 1, 2]
    await nothing_left(wire, other)
    await wire.zadd(f"{queue}$held", {b"left": time.time()})
    await other.send("plain", {"type": "x"})
    await other.flush()
    assert not await wire.keys("x*")


async def test_a_worker_reads_by_an_overridden_receive(make_queue: Make) -> None:
    class Reading(RedisChannelLayer):
        async def receive(self, channel: str) -> Any:
            return {**await super().receive(channel), "read": True}

    layer = make_queue()
    await layer.send("plain", {"type": "x", "n": 1})
    assert layer.taking is not None
    taken = await layer.taking("plain")
    assert taken.message == {"type": "x", "n": 1}
    taken.put_back()  # acknowledged as it is
    assert await receive(layer, "plain") == {"type": "x", "n": 1}
    assert Reading(prefix=layer.prefix).taking is None


async def test_channels_redis_gives_nobody_what_a_process_of_ours_has(make_queue: Make, wire: Any) -> None:
    """At each read it puts back what the key that it knows holds, which was also ours."""
    layer = make_queue()
    await layer.send("plain", {"type": "x"})
    (station,) = layer._stations.all()
    taken = await station.plain.take("plain")
    assert not await wire.exists(f"{layer.prefix}plain$inflight")
    taken.acknowledge()
    await nothing_left(wire, layer)


@pytest.mark.parametrize("turns", [*range(0, 12, 2)])
@pytest.mark.parametrize("taken", [3, 6, 7])
async def test_a_layer_that_is_closed_puts_back_what_it_has_taken_ahead(
    make_queue: Make, wire: Any, taken: int, turns: int
) -> None:
    """In order, also what Redis is handing over just then: after 3 and 7, the next call asks for more."""
    layer = make_queue()
    for number in range(40):
        await layer.send("plain", {"type": "x", "n": number})
    got = [await receive(layer, "plain") for _ in range(taken)]
    waiting = asyncio.ensure_future(layer.receive("plain"))
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    got += [last for last in await asyncio.gather(waiting, return_exceptions=True) if isinstance(last, dict)]
    await layer.close_pools()
    assert await keys_of(wire, layer) == {"plain"}, "nothing is in flight"
    other = make_queue(prefix=layer.prefix)
    got += [await receive(other, "plain") for _ in range(40 - len(got))]
    assert [message["n"] for message in got] == [*range(40)]


async def test_messages_that_a_new_connection_takes_again_expire(make_queue: Make, wire: Any) -> None:
    """Those which were in flight when the connection before it broke."""
    layer = make_queue(expiry=30)
    queue = layer.keys.queue(await layer.new_channel())
    await wire.zadd(layer.keys.inflight(queue), {b"%d" % number: number for number in range(3)})
    await TAKE.run(wire.execute_command, [queue, layer.keys.inflight(queue)], 1, 30, "1")
    assert await wire.zcard(queue) == 2 and 0 < await wire.ttl(queue) <= 30


@pytest.mark.own_redis
async def test_a_reader_that_dies_while_another_waits(make_queue: Make, wire: Any) -> None:
    layer = make_queue()
    layer.brpop_timeout = 1
    waiting = asyncio.ensure_future(receive(layer, "plain"))
    await blocked(wire, 1)
    old = b"r" * 12 + packb({"type": "old"})
    await wire.zadd(f"{layer.prefix}plain$inflight", {old: time.time()})
    assert await waiting == {"type": "old"}
    await nothing_left(wire, layer)


async def test_readers_of_one_channel_share_its_messages(make_queue: Make) -> None:
    one = make_queue()
    two = make_queue(prefix=one.prefix)
    got: list[int] = []

    async def work(layer: RedisChannelLayer) -> None:
        while True:
            got.append((await layer.receive("tasks"))["n"])

    async def caught_up(number: int) -> None:
        await until_async(lambda: len(got) > number, "the workers have caught up")

    workers = [asyncio.ensure_future(work(layer)) for layer in (one, two, one)]
    for number in range(200):
        await one.send("tasks", {"type": "x", "n": number})
        if number % 50 == 0:
            await caught_up(number)
    await until_async(lambda: len(got) >= 200, "all are there")
    for worker in workers:
        worker.cancel()
    await asyncio.wait(workers)
    assert sorted(got) == list(range(200)), "each once"


@pytest.mark.own_redis
async def test_many_plain_channels_share_one_connection(make_queue: Make, wire: Any) -> None:
    layer = make_queue()
    waiting = [asyncio.ensure_future(receive(layer, f"worker{number}")) for number in range(20)]
    await blocked(wire, 1)
    for number in reversed(range(20)):
        await layer.send(f"worker{number}", {"type": "x", "n": number})
    assert [(await one)["n"] for one in waiting] == list(range(20))
    later = asyncio.ensure_future(receive(layer, "one-more"))
    await layer.send("one-more", {"type": "y"})
    assert await later == {"type": "y"}


# Limits


class DeflatingSerializer(JSONSerializer):
    """Hides the names of channels without encryption."""

    def as_bytes(self, message: Any, *args: Any, **kwargs: Any) -> bytes:
        return zlib.compress(super().as_bytes(message, *args, **kwargs))

    def from_bytes(self, message: bytes, *args: Any, **kwargs: Any) -> Any:
        return super().from_bytes(zlib.decompress(message), *args, **kwargs)


@pytest.fixture
def deflating(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._registry, "deflating", DeflatingSerializer)


KEYS: dict[str, Any] = {"symmetric_encryption_keys": ["key", "old"]}
SERIALIZERS: list[dict[str, Any]] = [
    {},
    KEYS,
    {"serializer_format": "json"},
    {"serializer_format": "json", "symmetric_encryption_keys": [b"key"]},
    {"serializer_format": "deflating"},
]
every_serializer = pytest.mark.parametrize("options", SERIALIZERS, ids=str)


@every_serializer
@pytest.mark.usefixtures("deflating")
async def test_capacity_of_a_plain_channel(make_queue: Make, options: dict[str, Any]) -> None:
    layer = make_queue(**options, capacity=3, channel_capacity={"tiny.*": 1, re.compile(r"^big"): 5})
    for channel, capacity in (("tiny.x", 1), ("bigger", 5), ("other", 3)):
        for _ in range(capacity):
            await layer.send(channel, {"type": "x"})
        with pytest.raises(ChannelFull, match=re.escape(channel)):
            await layer.send(channel, {"type": "x"})
    assert ChannelFull is ChannelFullThere


@every_serializer
@pytest.mark.usefixtures("deflating")
async def test_capacity_when_nobody_reads(make_queue: Make, options: dict[str, Any]) -> None:
    """Another process' channel is full by its own messages, not by those of its neighbours."""
    reader = make_queue(**options, capacity=3, channel_capacity={"small*": 1})
    sender = make_queue(**options, capacity=3, channel_capacity={"small*": 1}, prefix=reader.prefix)
    channels = [await reader.new_channel(prefix) for prefix in ("specific", "specific", "small", "small")]
    for channel, capacity in zip(channels, (3, 3, 1, 1), strict=True):
        for number in range(capacity):
            await sender.send(channel, {"type": "x", "n": number})
        for _ in range(2):
            with pytest.raises(ChannelFull):
                await sender.send(channel, {"type": "x"})
    for channel, capacity in zip(channels, (3, 3, 1, 1), strict=True):
        got = [await receive(reader, channel) for _ in range(capacity)]
        assert got == [{"type": "x", "n": number} for number in range(capacity)]
    await sender.send(channels[0], {"type": "again"})
    assert await receive(reader, channels[0]) == {"type": "again"}


@pytest.mark.parametrize("length", [0, 8, 11])
async def test_capacity_without_room_for_a_tag(make_queue: Make, length: int) -> None:
    """The messages of one channel cannot be counted: as in channels_redis, all those of the process are."""
    layer = make_queue(**KEYS, capacity=3, random_prefix_length=length)
    for number in range(3):
        await layer.send(f"specific.dead!{number}", {"type": "x"})
    with pytest.raises(ChannelFull):
        await layer.send("specific.dead!3", {"type": "x"})


async def test_the_tag_of_a_channel(make_queue: Make, wire: Any) -> None:
    """Equal for one channel and key only; the rest of the prefix is random, and the message is behind it."""
    layer = make_queue(**KEYS)
    other = make_queue(prefix=layer.prefix, symmetric_encryption_keys=["old", "key"])
    for sender, channel in ((layer, "a"), (layer, "a"), (layer, "b"), (other, "a")):
        await sender.send(f"specific.dead!{channel}", {"type": "x"})
    members = await wire.zrange(f"{layer.prefix}specific.dead!", 0, -1)
    tags = [member[:8] for member in members]
    assert tags[0] == tags[1] and len(set(tags)) == 3
    assert len({member[8:12] for member in members}) == 4
    assert {layer.deserialize(member)["__asgi_channel__"][-1] for member in members} == {*"ab"}


async def test_a_queue_that_nobody_reads_is_bounded(make_queue: Make, wire: Any) -> None:
    layer = make_queue(capacity=2)
    await layer.group_add("grp", "specific.dead!a")
    await layer.group_add("grp", "plain")
    results = [await layer.group_send("grp", {"type": "x", "n": number}) for number in range(210)]
    assert results[:2] == [(2, 0)] * 2 and results[2:200] == [(1, 1)] * 198 and results[200:] == [(0, 2)] * 10
    assert layer.metrics.dropped == {"queue full": 198 + 20}
    assert await wire.zcard(f"{layer.prefix}specific.dead!") == 200


async def test_every_loss_of_a_group_s_messages_is_counted(make_queue: Make) -> None:
    """Of a process that begins to read late: by the sender, and by the process as it takes some at once."""
    reader = make_queue(capacity=5)
    sender = make_queue(capacity=5, prefix=reader.prefix)
    channel = await reader.new_channel()
    await sender.group_add("grp", channel)
    results = [await sender.group_send("grp", {"type": "x", "n": number}) for number in range(600)]
    assert results == [(1, 0)] * 500 + [(0, 1)] * 100 and sender.metrics.dropped == {"queue full": 100}
    got = [(await receive(reader, channel))["n"]]
    await until_async(
        lambda: 1 + reader.depth() + sum(reader.metrics.dropped.values()) == 500, "the queue has been taken"
    )
    got += [message["n"] for box in reader.receive_buffer.values() for _, message in box.events]
    assert got == sorted(got) and got[:5] == [0, 1, 2, 3, 4] and len(got) <= 15
    assert reader.metrics.dropped == {"overflow": 500 - len(got)}


@pytest.mark.parametrize("how", ["direct", "one script", "two steps"])
@pytest.mark.parametrize(("length", "most"), [(160_000, 40), (160_001, 39), (159_999, 40), (4_800_000, 2)])
async def test_faults_redis_07_a_queue_is_bounded_by_bytes(
    make_queue: Make, wire: Any, monkeypatch: pytest.MonkeyPatch, how: str, length: int, most: int
) -> None:
    """Beyond the capacity of a channel, which is taken whatever the size; short messages go on."""
    monkeypatch.setattr(queue_sending, "QUEUE_BYTES", 6_400_000)
    layer = make_queue(capacity=2, **({"channel_capacity": {"x": 1}} if how == "two steps" else {}))
    await layer.group_add("grp", "specific.dead!a")

    channels = (f"specific.dead!{number:04}" for number in itertools.count())

    async def sent(text: str) -> bool:
        message = {"type": "x", "text": text}
        if how != "direct":
            return bool((await layer.group_send("grp", message)).delivered)
        try:
            await layer.send(next(channels), message)
        except ChannelFull:
            return False
        return True

    named: Any = "specific.dead!0000" if how == "direct" else ["specific.dead!a"]
    rest = len(layer.serialize({"type": "x", "text": "x" * 100_000, "__asgi_channel__": named})) - 100_000
    count = 0
    while await sent("x" * (length - rest)):
        count += 1
    queue = f"{layer.prefix}specific.dead!"
    assert count == await wire.zcard(queue) == most
    assert len((await wire.zrange(queue, 0, 0))[0]) == length
    assert await sent("short")


async def test_expired_messages_are_dropped_by_the_next_send(make_queue: Make, wire: Any) -> None:
    layer = make_queue(expiry=10)
    old = b"r" * 12 + packb({"type": "old"})
    await wire.zadd(f"{layer.prefix}plain", {old: time.time() - 20})
    await layer.send("plain", {"type": "new"})
    assert await receive(layer, "plain") == {"type": "new"}
    await wire.zadd(f"{layer.prefix}plain", {old: time.time() - 20})
    await layer.group_add("grp", "plain")
    await layer.group_send("grp", {"type": "newer"})
    assert await receive(layer, "plain") == {"type": "newer"}


async def test_an_unreadable_message_is_counted_and_left_out(
    make_queue: Make, wire: Any, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make_queue()
    channel = await layer.new_channel()
    for number in range(3):
        queue = f"{layer.prefix}specific.{layer.client_prefix}!"
        await wire.zadd(queue, {b"no msgpack \xc1%d" % number: time.time()})
    await layer.send(channel, {"type": "x"})
    assert await receive(layer, channel) == {"type": "x"}
    await wire.zadd(f"{layer.prefix}plain", {b"r" * 12 + packb([1]): time.time()})
    await layer.send("plain", {"type": "y"})
    assert await receive(layer, "plain") == {"type": "y"}
    assert layer.metrics.dropped["undecodable"] == 4
    assert "cannot be read" in caplog.text and "symmetric_encryption_keys" in caplog.text
    assert len(caplog.records) == 1, "one line per cause"


async def test_a_registered_serializer(make_queue: Make) -> None:
    class Doubled(MsgPackSerializer):
        def as_bytes(self, message: Any, *args: Any, **kwargs: Any) -> bytes:
            return 2 * super().as_bytes(message)

        def from_bytes(self, message: bytes, *args: Any, **kwargs: Any) -> Any:
            return super().from_bytes(message[: len(message) // 2])

    registry.register_serializer("doubled", Doubled)
    layer = make_queue(serializer_format="doubled")
    channel = await layer.new_channel()
    await layer.group_add("grp", channel)
    await layer.group_send("grp", {"type": "x"})
    assert await receive(layer, channel) == {"type": "x"}


async def test_a_subclass_that_serializes_in_its_own_way(redis_url: str) -> None:
    class Own(RedisChannelLayer):
        def serialize(self, message: Any) -> bytes:
            return super().serialize({"wrapped": message})

        def deserialize(self, message: bytes) -> Any:
            return super().deserialize(message)["wrapped"]

    layer = Own(hosts=[redis_url], prefix="own-way")
    channel = await layer.new_channel()
    await layer.group_add("grp", channel)
    await layer.group_send("grp", {"type": "x"})
    assert await receive(layer, channel) == {"type": "x"}
    await layer.flush()


# Upkeep


async def test_what_was_taken_ahead_is_gone_after_a_flush(make_queue: Make) -> None:
    layer = make_queue()
    for number in range(6):
        await layer.send("plain", {"type": "x", "n": number})
    assert [(await receive(layer, "plain"))["n"] for _ in range(2)] == [0, 1]
    (station,) = layer._stations.all()
    assert station.plain._held, "there are some for whoever comes back"
    await layer.flush()
    await layer.send("plain", {"type": "x", "n": 6})
    assert (await receive(layer, "plain"))["n"] == 6


async def test_flush_deletes_by_prefix(make_queue: Make, wire: Any) -> None:
    layer = make_queue(prefix="odd*[prefix]?\\")
    neighbour = make_queue(prefix="oddXXp")
    for made in (layer, neighbour):
        for number in range(30):
            await made.send(f"plain{number}", {"type": "x"})
    await layer.flush()
    assert await wire.keys("oddXXp*")
    remaining = [key for key in await wire.keys("odd*") if key.startswith(b"odd*[")]
    assert remaining == []


async def test_own_commands(make_queue: Make) -> None:
    layer = make_queue()
    await layer.group_add("grp", "plain")
    client = layer.connection(0)
    assert await client.zcard(f"{layer.prefix}:group:grp") == 1
    with pytest.raises(ValueError, match="There are only 1 hosts - you asked for 1!"):
        layer.connection(1)
    await layer.close_pools()


async def test_a_channel_of_another_process(make_queue: Make) -> None:
    layer = make_queue()
    with pytest.raises(AssertionError, match="Wrong client prefix"):
        await layer.receive("specific.0123!abc")


async def test_the_reserved_key(make_queue: Make) -> None:
    layer = make_queue()
    with pytest.raises(AssertionError, match="reserved key '__asgi_channel__'"):
        await layer.send("plain", {"type": "x", "__asgi_channel__": "y"})
    channel = await layer.new_channel()
    await layer.group_add("grp", channel)
    await layer.group_send("grp", {"type": "x", "__asgi_channel__": "y"})
    assert await receive(layer, channel) == {"type": "x"}


async def test_many_members_in_one_message(make_queue: Make) -> None:
    layer = make_queue()
    channels = [await layer.new_channel() for _ in range(300)]
    await asyncio.gather(*(layer.group_add("grp", channel) for channel in channels))
    assert await layer.group_send("grp", {"type": "x"}, exclude=channels[:100]) == (200, 0)
    for channel in channels[100:]:
        assert await receive(layer, channel) == {"type": "x"}
    assert layer.depth() == 0 and layer.receive_buffer == {}


async def test_many_names_of_channels_on_many_hosts(make_queue: Make, redis_url: str) -> None:
    """Each new word before the "." is a queue to read: where it is at home at once, elsewhere in time."""
    layer = make_queue(hosts=databases(redis_url, 10))
    channels = [await layer.new_channel(f"kind{number}.") for number in range(100)]
    for channel in channels:
        await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "x"})
    got = await asyncio.wait_for(asyncio.gather(*(layer.receive(channel) for channel in channels)), WITHIN_S)
    assert got == [{"type": "x"}] * 100
