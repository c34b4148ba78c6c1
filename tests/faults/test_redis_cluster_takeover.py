"""A replica of a Redis Cluster takes over while its master lives: no connection to the old one breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.clock import steady
from compat.engine.inbox import Inbox
from compat.exceptions import LayerUnavailable
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.redis.cluster import slot_of, tags
from compat.redis.encoding import encode
from tests.support.layers import ON_REDIS, close, member, unique_prefix
from tests.support.proxy import Proxy
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import RedisServer, server_version
from tests.support.waiting import until, until_async, until_awaited

Make = Callable[..., Any]
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A master, and a replica that may take its place, and then the other way round."""
    cluster = RedisCluster(tmp_path_factory.mktemp("pair"), masters=1, replicas=1, node_timeout_ms=100)
    yield cluster
    cluster.stop()


@pytest_asyncio.fixture
async def make(pair: RedisCluster) -> AsyncIterator[Make]:
    """Makes layers on the cluster; what they have open is closed at the end."""
    made: list[Any] = []
    prefix = unique_prefix()

    def factory(kind: str, **options: Any) -> Any:
        made.append(ON_REDIS[kind](hosts=[pair.entry(shards=1)], prefix=prefix, **options))
        return made[-1]

    yield factory
    await close(*made)


def roles(pair: RedisCluster) -> tuple[RedisServer, RedisServer]:
    """The master, and its replica, which has all that the master has."""
    until(lambda: pair.is_well() and pair.agrees(), "the pair is well")
    master = pair.owner(0)
    replica = pair.replica_of(master)
    until(lambda: pair.role(replica)[4] == pair.role(master)[1], "the replica has what the master has")
    return master, replica


def numbers(inbox: Inbox) -> list[int]:
    return [message["n"] for _, message, _ in inbox.events]


@pytest.mark.parametrize("kind", ON_REDIS)
async def test_a_master_hands_over(
    kind: str, pair: RedisCluster, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before a node is updated. Nobody is refused, and nothing is lost that is stored."""
    if kind != "queue":  # then each command asks for the role first, as one does that is sent once a second
        monkeypatch.setattr(ON_REDIS[kind], "role_every_s", 0.0)
    reader, sender = make(kind), make(kind)
    inbox = await member(reader, "room")
    await sender.group_send("room", {"type": "x", "n": 0})
    await until_async(lambda: numbers(inbox) == [0], "it works")
    _, replica = await asyncio.to_thread(roles, pair)
    await asyncio.to_thread(pair.fail_over, replica, "TAKEOVER")  # of what it has all of
    for number in range(1, 10):
        await sender.group_send("room", {"type": "x", "n": number})
    if isinstance(reader, RedisPubSubChannelLayer):
        assert len(inbox.events) == len(set(numbers(inbox))), "each once at most"
    else:
        await until_async(lambda: len(inbox.events) == 10, "each message")
        assert numbers(inbox) == list(range(10))
    if kind == "queue":
        assert not reader.metrics.gaps, "nobody subscribes to anything"
    assert not sender.metrics.gaps


async def test_a_message_that_is_published_at_the_old_master(
    pair: RedisCluster, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reaches those who subscribe at the new one, once."""
    if server_version() < 7:
        pytest.skip("plain pub/sub reaches all nodes")
    monkeypatch.setattr(RedisPubSubChannelLayer, "role_every_s", 0.0)
    sender, reader = make("pubsub"), make("pubsub")
    await sender.group_send("room", {"type": "x", "n": 0})
    _, replica = await asyncio.to_thread(roles, pair)
    await asyncio.to_thread(pair.fail_over, replica, "TAKEOVER")  # of what it has all of
    inbox = await member(reader, "room")
    for number in range(1, 10):
        await sender.group_send("room", {"type": "x", "n": number})
    await until_async(lambda: len(inbox.events) == 9, "each message")
    assert sorted(numbers(inbox)) == list(range(1, 10)), "perhaps one behind the next ones"


async def lose(pair: RedisCluster, doing: Callable[[], Any]) -> None:
    """Let the replica take over without what ``doing()`` has written."""
    master, replica = await asyncio.to_thread(roles, pair)
    await asyncio.to_thread(pair.cut_off, replica, master)
    try:
        await doing()
    finally:
        await asyncio.to_thread(pair.replace, master, replica)


async def test_a_member_that_the_new_master_does_not_know(pair: RedisCluster, make: Make) -> None:
    """It is entered again at once, not when that is due anyway: until then it would get nothing."""
    reader, sender = make("queue"), make("queue")
    await member(reader, "room")
    joined: list[Inbox] = []

    async def join() -> None:
        joined.append(await member(reader, "room"))

    await lose(pair, join)
    for number in range(10_000):
        await sender.group_send("room", {"type": "x", "n": number})
        if joined[0].events:
            break
        await asyncio.sleep(0.002)
    assert joined[0].events
    assert reader.metrics.gaps, "what was sent before that is lost to it"


async def test_a_member_that_left_just_before(pair: RedisCluster, make: Make) -> None:
    """The new master still has it, and is told again."""
    reader, sender = make("queue"), make("queue")
    inboxes = [await member(reader, "room") for _ in range(2)]
    await lose(pair, lambda: reader.group_discard("room", inboxes[0].channel))

    async def known() -> list[str]:
        found = await sender._station().shards.call(0, b"ZRANGE", sender.keys.group("room"), 0, -1)
        return [name.decode() for name in found]

    await until_awaited(known, [inboxes[1].channel])
    assert not reader.metrics.gaps, "nobody has missed anything"


async def test_a_connection_that_the_new_master_does_not_know(pair: RedisCluster) -> None:
    """Of a connection manager, which needs more than the environments of scripts/matrix have."""
    backends = pytest.importorskip("compat.manager.backends", exc_type=ImportError)
    backend = backends.RedisBackend(pair.entry(shards=1), channel_prefix=unique_prefix())
    record = backend.record("c1", "alice", at=1.0)
    there = [False]
    backend.tell(lambda: [(record, ["room"])] * there[0], lambda name: there[0], dict)
    await backend.open()

    async def enter() -> None:
        there[0] = True
        assert await backend.registry_admit(record) is None
        assert await backend.registry_join("c1", "room") == "joined"

    async def found() -> set[str]:
        return {one.connection_id for one in await backend.registry_group_records("room")}

    await lose(pair, enter)
    try:
        await until_awaited(found, {"c1"})
    finally:
        await backend.flush()
        await backend.cleanup()


@pytest.mark.slow
async def test_many_who_wait_for_a_master_do_not_storm_the_others(tmp_path: Path) -> None:
    cluster = RedisCluster(tmp_path, masters=2)
    victim, other = cluster.masters
    entry = cluster.entry(shards=2, socket_timeout=2)
    layer = RedisChannelLayer([{**entry, "cluster": [other.url]}])
    shard = next(index for index in range(2) if cluster.owner(slot_of(f"{{{tags(2)[index]}}}")) is victim)
    group = next(name for name in map("room{}".format, range(99)) if layer.keys.group_shard(name) == shard)
    try:
        await layer.group_send(group, {"type": "x"})
        await asyncio.to_thread(victim.kill)
        before, began = connections_to(other), steady()
        sending = [layer.group_send(group, {"type": "x"}) for _ in range(200)]
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
        assert all(isinstance(outcome, LayerUnavailable) for outcome in outcomes)
        made = connections_to(other) - before
        assert made <= 20 * (steady() - began) + 10, "all who wait share an attempt"
    finally:
        await close(layer)
        cluster.stop()


def connections_to(node: RedisServer) -> int:
    """How many there have been."""
    wire: Any
    with redis.Redis(port=node.port) as wire:
        return int(wire.info("stats")["total_connections_received"])


async def test_who_joins_as_the_slot_leaves(
    pair: RedisCluster, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node says first that the earlier subscriptions are over: then the next one is made elsewhere."""
    if server_version() < 7:
        pytest.skip("it does not say so")
    master, _ = await asyncio.to_thread(roles, pair)
    with Proxy(master.port) as proxy:
        layer = make("streams")
        (host,) = layer.redis_hosts

        async def through_proxy(index: int) -> tuple[str, int]:
            return "127.0.0.1", proxy.port

        monkeypatch.setattr(host.cluster, "master", through_proxy)
        inbox = await member(layer, "early")
        asked = encode((b"SSUBSCRIBE", layer.keys.history_topic("late")))
        done = encode((b"SUNSUBSCRIBE", layer.keys.history_topic("early")))

        def leave(data: bytes, to_server: bool) -> bytes:
            if to_server and asked in data:
                proxy.before = None
                return data.replace(asked, done)
            return data

        proxy.before = leave
        await layer.group_add("late", inbox.channel)
        assert proxy.before is None
        for number, group in enumerate(("early", "late")):
            await layer.group_send(group, {"type": "x", "n": number})
        await until_async(lambda: len(inbox.events) == 2, "each message")
        assert sorted(numbers(inbox)) == [0, 1]
        await close(layer)
