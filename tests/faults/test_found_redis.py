"""Faults of the Redis layers that attacks, other projects' suites and clocks that tests move have found."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import freezegun
import pytest
import pytest_asyncio
import redis

from compat.clock import steady
from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from compat.fastapi import open_layers
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.layers import register_channel_layer, unregister_channel_layer
from compat.layers.redis import (
    RedisChannelLayer,
    RedisPubSubChannelLayer,
    RedisStreamsChannelLayer,
    receipts,
)
from compat.layers.redis.queue_reader import QueueReader
from compat.sessions.layer import LayerSession
from compat.settings import override
from compat.testing import WebsocketCommunicator
from tests.support.layers import close, member, unique_prefix
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

BOTH = pytest.mark.parametrize("cls", [RedisChannelLayer, RedisPubSubChannelLayer])
WITHIN_S = 15.0


@pytest_asyncio.fixture
async def make(redis_url: str) -> AsyncIterator[Callable[..., Any]]:
    """Makes layers; what they have open is closed at the end."""
    made: list[Any] = []

    def factory(cls: Any, **options: Any) -> Any:
        made.append(cls(**{"hosts": [redis_url], "prefix": unique_prefix(), **options}))
        return made[-1]

    yield factory
    await close(*made)


async def turning_until(condition: Callable[[], object], what: str) -> None:
    """`until_async` for a test in which asyncio's timers stand still."""
    end = steady() + WITHIN_S
    while not condition():
        assert steady() < end, f"not within {WITHIN_S} s: {what}"
        await asyncio.sleep(0)


async def reaches(layer: Any, inbox: Inbox, number: int) -> None:
    """Send a number to the group, and wait until it has come."""
    await layer.group_send("room", {"type": "x", "n": number})
    await turning_until(lambda: inbox.events and inbox.events[-1][1].get("n") == number, f"{number} comes")
    inbox.own().clear()


async def reaches_at_last(layer: Any, inbox: Inbox, number: int) -> None:
    """Send a number until it has come: before the member is in its group again, it reaches nobody."""

    async def send() -> None:
        while True:
            await layer.group_send("room", {"type": "x", "n": number})
            for _ in range(100):
                await asyncio.sleep(0)

    sending = asyncio.ensure_future(send())
    await turning_until(lambda: inbox.events and inbox.events[-1][1].get("n") == number, f"{number} comes")
    sending.cancel()
    inbox.own().clear()


@BOTH
async def test_faults_projects_05_a_frozen_clock_that_is_moved(cls: Any, make: Callable[..., Any]) -> None:
    layer = make(cls)
    inbox = await member(layer, "room")
    await reaches(layer, inbox, 0)
    with freezegun.freeze_time("2012-01-14") as clock:
        for number in range(1, 8):
            await reaches(layer, inbox, number)
            clock.tick(30)
            for _ in range(20):
                await asyncio.sleep(0)
    await reaches(layer, inbox, 8)
    assert not layer.metrics.gaps and not layer.metrics.reconnects
    assert not layer.metrics.dropped


@BOTH
async def test_faults_projects_05_an_outage_while_the_clock_stands(
    cls: Any, make: Callable[..., Any], redis_server: RedisServer
) -> None:
    """Redis is restarted on a frozen clock: the pauses between attempts to connect end all the same."""
    layer = make(cls, hosts=[redis_server.url])
    inbox = await member(layer, "room")
    await reaches(layer, inbox, 0)
    with freezegun.freeze_time("2012-01-14"):
        redis_server.kill()
        await turning_until(lambda: layer.metrics.gaps, "the outage is seen")
        began = steady()
        await turning_until(lambda: steady() - began > 0.5, "some attempts have failed")
        redis_server.start()
        await turning_until(lambda: layer.metrics.reconnects, "it is back")
        assert layer.metrics.reconnects == 1
        await reaches_at_last(layer, inbox, 1)  # Redis has lost the groups
    await reaches(layer, inbox, 2)


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_faults_redis_06_projects_05_a_blocked_loop_is_no_outage(loops: str, redis_url: str) -> None:
    """A handler holds the loop for longer than an answer may take: the answer is in the socket meanwhile."""
    loop: asyncio.AbstractEventLoop = (
        asyncio.new_event_loop() if loops == "asyncio" else pytest.importorskip("uvloop").new_event_loop()
    )
    try:
        loop.run_until_complete(_blocked(redis_url))
    finally:
        loop.close()


async def _blocked(redis_url: str) -> None:
    url = f"{redis_url}?socket_timeout=1"
    layers: list[Any] = [
        RedisChannelLayer([url], unique_prefix()),
        RedisPubSubChannelLayer([url]),
        RedisStreamsChannelLayer([url], unique_prefix()),
    ]
    inboxes = []
    for layer in layers:
        layer.brpop_timeout = layer.ping_interval = 0.2
        inboxes.append(await member(layer, "room"))
        await reaches(layer, inboxes[-1], 0)
    sending = [asyncio.ensure_future(layer.group_send("room", {"type": "x", "n": 1})) for layer in layers]
    for _ in range(2):
        await asyncio.sleep(0)
    time.sleep(2.0)
    await asyncio.gather(*sending)
    for layer, inbox in zip(layers, inboxes, strict=True):
        await until_async(lambda: inbox.events, "it has come")  # noqa: B023 - awaited here
        assert [message["n"] for _, message, _ in inbox.events] == [1]
        await reaches(layer, inbox, 2)
        assert not layer.metrics.gaps and not layer.metrics.reconnects
        await close(layer)


async def test_faults_security_small_flush_keeps_other_prefixes(
    make: Callable[..., Any], redis_server: RedisServer
) -> None:
    """Nothing separates a prefix from a channel's name: "chat" is the beginning of all that "chat2" has."""
    hosts = [redis_server.url]
    names = ["chat", "chat2", "chat2specific", "chat:2", "chatspecific"]
    layers = {name: make(RedisChannelLayer, hosts=hosts, prefix=name) for name in names}
    used: dict[str, set[bytes]] = {}
    wire: Any
    with redis.Redis.from_url(redis_server.url) as wire:
        for name, layer in layers.items():
            before = set(wire.keys("*"))
            await layer.send("tasks", {"type": "x"})
            await layer.send("more", {"type": "x"})
            assert await asyncio.wait_for(layer.receive("more"), WITHIN_S)
            await layer.send(await layer.new_channel(), {"type": "x"})
            await layer.send(await layer.new_channel("own"), {"type": "x"})
            await layer.group_add("room", "listed")
            await layer.group_add("room", await layer.new_channel())
            await layer.group_send("room", {"type": "x"})
            await layer.key_values.set("session:1", "data", ex=60)
            used[name] = set(wire.keys("*")) - before
        # what nobody can tell to be whose: another process', with the real channels_redis
        wire.zadd("chat3tasks", {"x": 1})
        for name, layer in layers.items():
            others = set(wire.keys("*")) - used[name]
            await make(RedisChannelLayer, hosts=hosts, prefix=name).flush()  # a process that knows nothing
            left = set(wire.keys("*"))
            assert others <= left, f"{name} has deleted {others - left}"
            own_words = {key for key in left if key.startswith(f"{name}own.".encode())}
            assert left & used[name] <= own_words
            await layer.flush()
            assert not set(wire.keys("*")) & used[name], "all that the process itself has used"
        assert set(wire.keys("*")) == {b"chat3tasks"}


async def test_faults_security_small_prefixes_that_share_a_queue_are_told(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Prefix "a" with the channel "btasks" and prefix "ab" with "tasks" are one queue on the wire."""

    def entry(prefix: str, kind: str = "core.RedisChannelLayer", **config: Any) -> dict[str, Any]:
        return {
            "BACKEND": f"compat.layers.redis.{kind}",
            "CONFIG": {"hosts": [redis_url], "prefix": prefix, **config},
        }

    def told() -> list[str]:
        text = [record.getMessage() for record in caplog.records if "prefix" in record.getMessage()]
        caplog.clear()
        return text

    with override(CHANNEL_LAYERS={"one": entry("a"), "two": entry("ab"), "three": entry("b")}):
        async with open_layers():
            (text,) = told()
            assert "'a'" in text and "'ab'" in text and "'one'" in text and "'two'" in text
    apart = {
        "one": entry("a."),
        "two": entry("b."),
        "elsewhere": entry("a.b", hosts=["redis://localhost:1"]),
        "pubsub": entry("a.b", "pubsub.RedisPubSubChannelLayer"),
    }
    with override(CHANNEL_LAYERS=apart):
        async with open_layers():
            assert told() == []


@BOTH
async def test_faults_security_small_encryption_of_values(
    cls: Any, make: Callable[..., Any], redis_server: RedisServer
) -> None:
    """The keys of a layer cover what is kept beside its messages, such as sessions, with their names."""
    hosts, prefix = [redis_server.url], "asgi"
    old = make(cls, hosts=hosts, prefix=prefix, symmetric_encryption_keys=["old"])
    both = make(cls, hosts=hosts, prefix=prefix, symmetric_encryption_keys=["new", "old"])
    new = make(cls, hosts=hosts, prefix=prefix, symmetric_encryption_keys=["new"])
    plain = make(cls, hosts=hosts, prefix=prefix)
    wire: Any
    with redis.Redis.from_url(redis_server.url) as wire:
        await old.key_values.set("session:the-key", "the-secret", ex=60)
        assert await both.key_values.get("session:the-key") == b"the-secret"
        assert await new.key_values.get("session:the-key") is None
        assert new.metrics.dropped == {"undecodable": 1}
        assert await both.key_values.set("session:the-key", "the-secret", ex=60, xx=True)
        assert await new.key_values.get("session:the-key") == b"the-secret"
        for key in wire.keys("*"):
            kept = wire.get(key)
            assert b"the-key" not in key and kept is not None and b"the-secret" not in kept
        await new.key_values.delete("session:the-key")
        assert await both.key_values.get("session:the-key") is None
        await plain.key_values.set("session:the-key", "the-secret", ex=60)
        assert await new.key_values.get("session:the-key") is None, "what anybody could have written"


async def test_faults_security_small_encryption_of_sessions(redis_server: RedisServer) -> None:
    config = {"hosts": [redis_server.url], "symmetric_encryption_keys": ["key"]}
    layers = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": config}}
    wire: Any
    with override(CHANNEL_LAYERS=layers, SESSION_ENGINE="compat.session_layer"):
        async with open_layers():
            session = LayerSession()
            await session.aset("mail", "ada@example.org")
            await session.asave()
            assert await LayerSession(session.session_key).aget("mail") == "ada@example.org"
            with redis.Redis.from_url(redis_server.url) as wire:
                (key,) = wire.keys("*")
                assert str(session.session_key).encode() not in key and b"ada" not in (wire.get(key) or b"")


KINDS = [
    pytest.param(RedisChannelLayer, {}, id="queue"),
    pytest.param(RedisChannelLayer, {"channel_capacity": {"none": 1}}, id="queue-two-steps"),
    pytest.param(RedisChannelLayer, {"symmetric_encryption_keys": ["key"]}, id="queue-encrypted"),
    pytest.param(RedisChannelLayer, {"random_prefix_length": 0}, id="queue-without-prefix"),
    pytest.param(RedisPubSubChannelLayer, {}, id="pubsub"),
]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A send waits for its messages however busy the machine is."""
    monkeypatch.setattr(receipts, "PATIENCE_S", WITHIN_S)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("policy", ["drop", "drop_oldest"])
@pytest.mark.parametrize(("cls", "options"), KINDS)
async def test_faults_newcomer_04_the_result_of_a_group_send(
    cls: Any, options: dict[str, Any], policy: Any, make: Callable[..., Any]
) -> None:
    """What the results sum up to is what arrived and what the metrics say, as with the memory layer."""
    known = options.get("random_prefix_length", 1) > 0  # what tells one message from another when it comes
    for capacity in (1, 2, 3, 100):
        layer = make(cls, capacity=capacity, on_overflow=policy, **options)
        inbox, excluded = await member(layer, "room"), await member(layer, "room")
        sends = 3 * capacity
        for concurrent in (False, True):
            before = layer.metrics.dropped.get("overflow", 0)
            sending = [
                layer.group_send("room", {"type": "x", "same": True}, exclude=[excluded.channel])
                for _ in range(sends)
            ]
            results = await asyncio.gather(*sending) if concurrent else [await one for one in sending]
            kept = 0 if concurrent else capacity
            if known:
                dropped = sum(result.dropped for result in results)
                assert dropped == sends - kept == layer.metrics.dropped["overflow"] - before
                assert len(inbox.events) == capacity
                if cls is RedisChannelLayer:
                    assert sum(result.delivered or 0 for result in results) == kept
                else:
                    assert {result.delivered for result in results} == {None}


@pytest.mark.usefixtures("patient")
async def test_faults_newcomer_04_while_the_reader_connects_for_the_first_time(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    """What is sent before the members' connection is open comes once it is: the result waits for that."""
    connect, may_connect = QueueReader.open, asyncio.Event()

    async def late(reader: QueueReader) -> Any:
        await may_connect.wait()
        return await connect(reader)

    monkeypatch.setattr(QueueReader, "open", late)
    layer = make(RedisChannelLayer, capacity=1)
    inbox = await member(layer, "room")
    sending = [asyncio.ensure_future(layer.group_send("room", {"type": "x"})) for _ in range(3)]
    queued: Any
    with redis.Redis.from_url(redis_url) as queued:
        await until_async(
            lambda: [queued.zcard(key) for key in queued.keys(f"{layer.prefix}*!")] == [3],
            "all are in the queue",
        )
    may_connect.set()
    results = await asyncio.gather(*sending)
    assert [sum(result.dropped for result in results), len(inbox.events)] == [2, 1]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(("cls", "options"), KINDS)
async def test_faults_newcomer_04_members_elsewhere_and_nobody(
    cls: Any, options: dict[str, Any], make: Callable[..., Any]
) -> None:
    layer = make(cls, capacity=2, **options)
    other = make(cls, prefix=layer.prefix, **{"capacity": 1, **options})
    assert not (await layer.group_send("room", {"type": "x"})).delivered
    here, there = await member(layer, "room"), await member(other, "room")
    results = [await layer.group_send("room", {"type": "x", "n": number}) for number in range(3)]
    if options.get("random_prefix_length", 1):
        assert sum(result.dropped for result in results) == 1, "of the one elsewhere nobody here knows"
    began = steady()
    await layer.group_send("room", {"type": "x"}, exclude=[here.channel, there.channel])
    await layer.group_discard("room", here.channel)
    await layer.group_send("room", {"type": "x"})
    await layer.detach(here.channel)
    await layer.group_send("room", {"type": "x"})
    assert steady() - began < WITHIN_S, "nothing waits for what does not come"
    assert not [station for station in layer._stations.all() if station.receipts]


async def test_faults_suspected_a_cancelled_end_leaves_the_groups(
    make: Callable[..., Any], redis_server: RedisServer
) -> None:
    """Cancelled at any point, and again: nobody stays in a group."""
    with redis.Redis.from_url(redis_server.url) as wire:
        for cls in (RedisChannelLayer, RedisPubSubChannelLayer):
            layer = make(cls, hosts=[redis_server.url])
            for turns in range(1, 7):
                inbox = await member(layer, "one", "two")
                detaching = asyncio.ensure_future(layer.detach(inbox.channel))
                for _ in range(turns):
                    await asyncio.sleep(0)
                for _ in range(3):
                    detaching.cancel()
                    await asyncio.sleep(0)
                await asyncio.wait((detaching,))
            with anyio.CancelScope() as scope:
                inbox = await member(layer, "one", "two")
                scope.cancel()
                await layer.detach(inbox.channel)
            if cls is RedisChannelLayer:
                (station,) = layer._stations.all()
                assert not any(membership.groups for membership in station._memberships.values())
            else:
                assert not layer.groups and not layer.channels
            await until_async(
                lambda: not wire.keys("*:group:*") and not wire.pubsub_channels(), "Redis knows it too"
            )
            assert (await layer.group_send("one", {"type": "x"})).delivered in (0, None)


@pytest.mark.parametrize("capacity", [1, 2, 3])
async def test_faults_tests_push_to_a_queue_at_capacity(make: Callable[..., Any], capacity: int) -> None:
    """Sending in two steps: a plain channel keeps so many, a process' queue a hundred times as many names."""
    layer = make(RedisChannelLayer, capacity=capacity, channel_capacity={"none": 1})
    await layer.group_add("plain", "tasks")
    results = [await layer.group_send("plain", {"type": "x", "n": number}) for number in range(capacity + 2)]
    assert results == [(1, 0)] * capacity + [(0, 1)] * 2
    got = [(await asyncio.wait_for(layer.receive("tasks"), WITHIN_S))["n"] for _ in range(capacity)]
    assert got == list(range(capacity))
    assert await layer.group_send("plain", {"type": "x"}) == (1, 0)
    await layer.group_add("process", f"specific.{'0' * 32}!one")
    await layer.group_add("process", f"specific.{'0' * 32}!two")
    sending = [layer.group_send("process", {"type": "x"}) for _ in range(50 * capacity + 1)]
    results = await asyncio.gather(*sending)
    assert sorted(results) == [(0, 2)] + [(2, 0)] * (50 * capacity)
    assert layer.metrics.dropped == {"queue full": 2 + 2}


@pytest.mark.parametrize("count", [1, 2, 3, 128])
async def test_faults_tests_s1_37_nothing_is_lost_over_a_readers_reconnect(
    make: Callable[..., Any], redis_server: RedisServer, count: int
) -> None:
    """What Redis has handed out on a connection that broke is in flight: it is put back, in its order."""
    cuts = 3

    def before(data: bytes, to_server: bool) -> bytes | None:
        nonlocal cuts
        if to_server or b"numbered" not in data or cuts == 0:
            return data
        cuts -= 1
        return None

    with Proxy(redis_server.port) as proxy:
        reader = make(RedisChannelLayer, hosts=[proxy.url], prefix="asgi", capacity=1000)
        sender = make(RedisChannelLayer, hosts=[redis_server.url], prefix="asgi", capacity=1000)
        channel = await reader.new_channel()
        for number in range(count):
            await sender.send(channel, {"type": "numbered", "n": number})
        proxy.before = before
        inbox = inbox_of(asyncio.get_running_loop())
        reader.attach(channel, inbox)
        await until_async(lambda: len(inbox.events) >= count, "all have come")
        assert cuts == 0 and reader.metrics.reconnects >= 1
        await sender.send(channel, {"type": "last"})
        await until_async(lambda: inbox.events[-1][1]["type"] == "last", "so does the next")
        assert [message.get("n") for _, message, _ in inbox.events] == [*range(count), None], "each once"
        await close(reader)


async def test_faults_tests_churn_leaves_nothing_in_flight(
    make: Callable[..., Any], redis_server: RedisServer
) -> None:
    """Bursts are acknowledged when they have arrived, and not with the next message, fifty times."""
    layer, sender = (make(RedisChannelLayer, hosts=[redis_server.url], prefix="asgi") for _ in range(2))
    layer.brpop_timeout = 60
    inbox = await member(layer)
    with redis.Redis.from_url(redis_server.url) as wire:
        taken = 0
        for _ in range(50):
            await asyncio.gather(*(sender.send(inbox.channel, {"type": "x"}) for _ in range(20)))
            await until_async(lambda: len(inbox.events) == 20, "a burst has come")
            inbox.own().clear()
            await until_async(lambda: not wire.keys("*$inflight"), "nothing is in flight", deadline_s=10)
            taken += 1
        assert taken == 50


class Counting(AsyncWebsocketConsumer):
    """Joins a room, and answers each message of it with its number."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("room", self.channel_name)
        await self.accept()

    async def room_number(self, event: Any) -> None:
        await self.send(text_data=str(event["n"]))


@pytest.mark.parametrize("burst", [99, 100, 101, 1000])
@BOTH
async def test_faults_engine_05_a_chunk_of_redis_is_larger_than_an_inbox(
    burst: int, cls: Any, make: Callable[..., Any]
) -> None:
    """What Redis sends in one piece is handed out as fast as its readers take it, at the default capacity."""
    prefix = unique_prefix()
    layer, far = make(cls, prefix=prefix), make(cls, prefix=prefix)

    async def send_all() -> None:
        await asyncio.gather(*(far.group_send("room", {"type": "room.number", "n": n}) for n in range(burst)))
        await close(far)

    with override(CHANNEL_LAYERS={}):
        register_channel_layer("default", layer)
        try:
            client = WebsocketCommunicator(Counting.as_asgi(), "/")
            assert (await client.connect())[0]
            await asyncio.to_thread(asyncio.run, send_all())
            came = [int(await client.receive_from(WITHIN_S)) for _ in range(burst)]
            await client.disconnect()
        finally:
            unregister_channel_layer("default")
    assert sorted(came) == list(range(burst))
    assert not layer.metrics.dropped
