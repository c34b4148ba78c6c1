"""The layers on a Redis Cluster whose slots move and whose masters die: each message is accounted for."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.clock import steady
from compat.engine.inbox import Inbox
from compat.exceptions import LayerUnavailable
from compat.layers.redis import RedisPubSubChannelLayer
from compat.redis import shards
from compat.redis.asking import ShardLink
from compat.redis.cluster import slot_of, tags
from compat.redis.scripts import with_one_key
from compat.redis.unavailable import Redirected
from tests.faults.rooms import Room, talking
from tests.support.layers import ON_REDIS, close, member, unique_prefix
from tests.support.processes import free_port
from tests.support.proxy import Proxy
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import RedisServer, server_version
from tests.support.waiting import until, until_async

SHARDS = 3
SLOTS = [slot_of(f"{{{tag}}}") for tag in tags(SHARDS)]
ROOMS = ("lobby", "kitchen", "hall", "attic", "garden", "cellar")
FAILOVER_S = 30.0

Make = Callable[..., Any]
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Three masters, whose slots move."""
    cluster = RedisCluster(tmp_path_factory.mktemp("calm"))
    yield cluster
    cluster.stop()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RedisCluster]:
    """Three masters with a replica each, for a test that kills some."""
    cluster = RedisCluster(tmp_path, replicas=1)
    yield cluster
    cluster.stop()


# What takes seconds for each layer; with ``make test-all`` for every one.
DEAR = pytest.mark.parametrize(
    "kind", ["streams", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("queue", "pubsub"))]
)


@pytest.fixture(params=ON_REDIS, ids=str)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest_asyncio.fixture
async def make(kind: str) -> AsyncIterator[Make]:
    """Makes layers on a cluster; what they have open is closed at the end."""
    made: list[Any] = []
    prefix = unique_prefix()

    def factory(cluster: RedisCluster, **options: Any) -> Any:
        hosts = [cluster.entry(shards=SHARDS)]
        made.append(ON_REDIS[kind](**{"hosts": hosts, "prefix": prefix, "capacity": 100_000, **options}))
        return made[-1]

    yield factory
    await close(*made)


@contextlib.asynccontextmanager
async def rooms(reader: Any, sender: Any) -> AsyncIterator[list[Room]]:
    """Rooms on every shard, in which messages are sent all the time and accounted for at the end."""
    assert {reader.keys.group_shard(name) for name in ROOMS} == set(range(SHARDS))
    # Plain pub/sub: what a node has still to hand on to another comes there late, or again to who has moved.
    exact = not isinstance(reader, RedisPubSubChannelLayer) or server_version() >= 7
    async with contextlib.AsyncExitStack() as stack:
        talks = (talking(reader, sender, 3, name, exact=exact) for name in ROOMS)
        yield [await stack.enter_async_context(talk) for talk in talks]


async def in_thread(call: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)


async def all_go_on(talks: list[Room]) -> None:
    await asyncio.gather(*(room.until_sent(20) for room in talks))


@DEAR
async def test_slots_move_back_and_forth_under_load(kind: str, calm: RedisCluster, make: Make) -> None:
    reader, sender = make(calm), make(calm)
    async with rooms(reader, sender) as talks:
        for _ in range(3):
            for slot in SLOTS:
                home = calm.owner(slot)
                for target in (next(node for node in calm.masters if node is not home), home):
                    await in_thread(calm.move, slot, target)
                    await all_go_on(talks)
    for room in talks:
        assert not room.refused, f"{room.name}: {next(iter(room.refused.values()))}"
        lost = room.account()
        assert kind == "pubsub" or not lost, "what is stored moves with its slot"


@DEAR
async def test_a_master_dies_under_load(kind: str, mortal: RedisCluster, make: Make) -> None:
    reader, sender = make(mortal), make(mortal)
    victim = mortal.owner(SLOTS[0])
    async with rooms(reader, sender) as talks:
        await in_thread(victim.kill)
        await until_async(
            lambda: mortal.is_taken_over(SLOTS[0], victim),
            "a replica is promoted",
            deadline_s=FAILOVER_S,
        )
        await all_go_on(talks)
        victim.start()
        await in_thread(_until_well, mortal)
        await all_go_on(talks)


def _until_well(cluster: RedisCluster) -> None:
    until(cluster.is_well, "the killed node is a replica now", deadline_s=FAILOVER_S)


async def test_direct_messages_and_plain_channels_move(kind: str, calm: RedisCluster, make: Make) -> None:
    layer = make(calm)
    inbox = await member(layer)
    names = [f"task-{number}" for number in range(6)]
    for number, name in enumerate(names if kind != "pubsub" else ()):
        await layer.send(name, {"type": "work", "n": number})
    for slot in SLOTS:
        home = calm.owner(slot)
        await in_thread(calm.move, slot, next(node for node in calm.masters if node is not home))
    while kind == "pubsub" and not inbox.events:  # until the new node has the subscription
        await layer.send(inbox.channel, {"type": "probe"})
        await asyncio.sleep(0)
    for number in range(20):
        await layer.send(inbox.channel, {"type": "direct", "n": number})
    for number, name in enumerate(names if kind != "pubsub" else ()):
        assert await layer.receive(name) == {"type": "work", "n": number}
    await until_async(lambda: len(_direct(inbox)) == 20, "each direct message")
    assert _direct(inbox) == list(range(20))


def _direct(inbox: Inbox) -> list[int]:
    return [message["n"] for _, message, _ in inbox.events if message["type"] == "direct"]


@pytest.mark.parametrize("kind", ["queue"])
async def test_what_a_shard_is_told_keeps_its_order_while_it_moves(calm: RedisCluster, make: Make) -> None:
    """Otherwise a message is acknowledged first and noted as under way then, and comes once more later."""
    layer = make(calm)
    index = layer.keys.shard_in("tasks")
    await layer.send("tasks", {"type": "work"})
    connections, here, there = (
        layer._stations.all()[0].shards,
        *(f"{{{tags(SHARDS)[index]}}}{n}" for n in "ab"),
    )
    await connections.call(index, b"SET", here, 1)
    home = calm.owner(SLOTS[index])
    target = next(node for node in calm.masters if node is not home)
    await in_thread(calm.begin_move, SLOTS[index], target)
    note = b"return redis.call('ZADD', KEYS[2], 1, ARGV[1])"
    for number in range(20):
        # Refused while one key is at home and the other one is not.
        connections.tell(index, (b"EVAL", note, 2, here, there, number))
        connections.tell(index, (b"ZREM", there, number))
    await in_thread(calm.move, SLOTS[index], target)
    await until_async(lambda: not connections._posts, "all is told")
    assert await connections.call(index, b"ZRANGE", there, 0, -1) == []


async def test_a_worker_waits_while_its_slot_moves(kind: str, calm: RedisCluster, make: Make) -> None:
    if kind == "pubsub":
        pytest.skip("it has no workers")
    layer, sender = make(calm), make(calm)
    receiving = asyncio.ensure_future(layer.receive("tasks"))
    slot = SLOTS[layer.keys.shard_in("tasks")]
    for number in range(4):
        home = calm.owner(slot)
        await in_thread(calm.move, slot, next(node for node in calm.masters if node is not home))
        await sender.send("tasks", {"type": "work", "n": number})
        assert await receiving == {"type": "work", "n": number}
        receiving = asyncio.ensure_future(layer.receive("tasks"))
    receiving.cancel()
    await asyncio.wait((receiving,))


NO_ASK = "answers no ASK to a script for several keys, as docs/howto/redis.md says"


def skip_before_redis_7(cluster: RedisCluster, why: str) -> None:
    version = cluster.ask(cluster.nodes[0], "INFO", "server")["redis_version"]
    if int(str(version).partition(".")[0]) < 7:
        pytest.skip(f"Redis {version} {why}")


async def test_a_move_that_does_not_end(kind: str, calm: RedisCluster, make: Make) -> None:
    """The keys have been moved, and the slot has not: what is sent and read goes to the other node."""
    if kind != "pubsub":
        skip_before_redis_7(calm, NO_ASK)
    hosts = [calm.entry(shards=SHARDS, socket_timeout=2)]
    layer, sender = make(calm, hosts=hosts), make(calm, hosts=hosts)
    layer.brpop_timeout = 1  # a read that waits already ends first
    inbox = await member(layer, ROOMS[0])
    await layer.group_send(ROOMS[0], {"type": "direct", "n": 0})
    await until_async(lambda: _direct(inbox) == [0], "it works")
    homes = [calm.owner(slot) for slot in SLOTS]
    targets = [next(node for node in calm.masters if node is not home) for home in homes]
    for slot, target in zip(SLOTS, targets, strict=True):
        await in_thread(calm.begin_move, slot, target)
        await in_thread(calm.move_keys, slot, target)
    try:
        for number in range(10):
            await sender.group_send(ROOMS[0], {"type": "direct", "n": 2 * number + 1})
            await sender.send(inbox.channel, {"type": "direct", "n": 2 * number + 2})
        await sender.group_send("nobody", {"type": "direct"})
        late = await member(layer, ROOMS[1])
        await sender.group_send(ROOMS[1], {"type": "direct", "n": 0})
        await until_async(lambda: _direct(late) == [0], "who joins meanwhile is reached")
        for number in range(3 if kind != "pubsub" else 0):
            receiving = asyncio.ensure_future(layer.receive("tasks"))  # waits at the other node
            await asyncio.sleep(0)
            await sender.send("tasks", {"type": "work", "n": number})
            assert await receiving == {"type": "work", "n": number}
        await until_async(lambda: len(_direct(inbox)) == 21, "each message")
        in_order = _direct(inbox) if kind == "queue" else sorted(_direct(inbox))
        assert in_order == list(range(21)), "a group's topic and a channel's may be on two nodes"
        assert not sender.metrics.gaps and not layer.metrics.gaps
    finally:
        for slot, home, target in zip(SLOTS, homes, targets, strict=True):
            await in_thread(calm.end_move, slot, home, target)
    await sender.group_send(ROOMS[0], {"type": "direct", "n": 21})
    await until_async(lambda: kind == "pubsub" or _direct(inbox)[-1] == 21, "and when it has ended")


@pytest.mark.parametrize("kind", ["queue", "streams"])
async def test_a_move_that_has_just_begun(kind: str, calm: RedisCluster, make: Make) -> None:
    """No key has been moved: what there is stays where it is, and what is new goes to the other node."""
    skip_before_redis_7(calm, NO_ASK)
    hosts = [calm.entry(shards=SHARDS, socket_timeout=2)]
    layer = make(calm, hosts=hosts)
    layer.brpop_timeout = 1
    inbox = await member(layer, ROOMS[0])
    await layer.group_send(ROOMS[0], {"type": "direct", "n": 0})
    await layer.send(inbox.channel, {"type": "direct", "n": 1})
    await until_async(lambda: _direct(inbox) == [0, 1], "it works")
    homes = [calm.owner(slot) for slot in SLOTS]
    targets = [next(node for node in calm.masters if node is not home) for home in homes]
    for slot, target in zip(SLOTS, targets, strict=True):
        await in_thread(calm.begin_move, slot, target)
    try:
        for number in range(1, 6):
            await layer.group_send(ROOMS[0], {"type": "direct", "n": 2 * number})
            await layer.send(inbox.channel, {"type": "direct", "n": 2 * number + 1})
        await until_async(lambda: sorted(_direct(inbox)) == list(range(12)), "each message")
        late = await member(layer, ROOMS[1])
        await layer.group_send(ROOMS[1], {"type": "direct", "n": 0})
        await until_async(lambda: _direct(late) == [0], "who joins meanwhile is reached")
        assert not layer.metrics.gaps
    finally:
        for slot, home, target in zip(SLOTS, homes, targets, strict=True):
            await in_thread(calm.move_keys, slot, target)
            await in_thread(calm.end_move, slot, home, target)
    await layer.group_send(ROOMS[0], {"type": "direct", "n": 12})
    await until_async(lambda: _direct(inbox)[-1] == 12, "and when it has ended")


@pytest.mark.parametrize("kind", ["queue"])
async def test_a_script_whose_keys_are_on_two_nodes_does_nothing(calm: RedisCluster, make: Make) -> None:
    here, there = (f"{{{tags(SHARDS)[0]}}}{name}" for name in ("on one", "on none"))
    home = calm.owner(SLOTS[0])
    calm.ask(home, "SET", here, "as it was")
    text = b"return redis.call('SET', KEYS[1], KEYS[2] .. ARGV[1])"
    command = with_one_key((b"EVAL", text, 2, here, there, "!"))
    assert calm.ask(home, *command) == b"OK"
    assert calm.ask(home, "GET", here) == f"{there}!".encode()
    calm.begin_move(SLOTS[0], next(node for node in calm.masters if node is not home))
    try:
        with pytest.raises(redis.ResponseError, match="a key is on another node"):
            calm.ask(home, *with_one_key((b"EVAL", text, 2, here, there, "?")))
        assert calm.ask(home, "GET", here) == f"{there}!".encode()
    finally:
        for node in calm.masters:
            calm.ask(node, "CLUSTER SETSLOT", SLOTS[0], "STABLE")
        calm.ask(home, "DEL", here)


@pytest.mark.parametrize("kind", ["queue"])
async def test_a_node_is_named_that_cannot_be_reached(calm: RedisCluster, make: Make) -> None:
    layer = make(calm, hosts=[calm.entry(shards=SHARDS, socket_timeout=2)])
    home = calm.owner(SLOTS[0])
    target = next(node for node in calm.masters if node is not home)

    def name_nobody(data: bytes, to_server: bool) -> bytes:
        real, wrong = (f"-ASK {SLOTS[0]} 127.0.0.1:{port}".encode() for port in (target.port, nobody))
        return data if to_server else data.replace(real, wrong)

    nobody = free_port()
    with Proxy(home.port) as proxy:
        host = layer.redis_hosts[0]
        link = await ShardLink.open(host, host.pool_at(("127.0.0.1", proxy.port)), layer.explain)
        calm.begin_move(SLOTS[0], target)
        try:
            key = f"{{{tags(SHARDS)[0]}}}missing"
            proxy.before = name_nobody
            with pytest.raises(Redirected, match="connection refused"):
                await link.call(b"GET", key)
            proxy.before = None
            calls = [link.call(b"INCR", key) for _ in range(3)]
            link.close_soon()
            assert [await call for call in calls] == [1, 2, 3], "the other node is there now"
            await until_async(lambda: link.closed, "it closes when the last reply has come")
        finally:
            for node in calm.masters:
                calm.ask(node, "CLUSTER SETSLOT", SLOTS[0], "STABLE")
            await link.aclose()


@pytest.mark.parametrize("kind", ["pubsub"])
async def test_the_last_one_leaves_as_the_slot_moves(
    calm: RedisCluster, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node says that the subscriptions are over, and then it refuses to end them."""
    skip_before_redis_7(calm, "does not say so")
    layer = make(calm, hosts=[calm.entry(shards=1)])
    slot, (host,) = slot_of(f"{{{tags(1)[0]}}}"), layer.redis_hosts
    home, find = calm.owner(slot), host.cluster.master
    target = next(node for node in calm.masters if node is not home)
    errors: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    with Proxy(home.port) as proxy:

        async def master(index: int) -> tuple[str, int]:
            name, port = await find(index)
            return name, proxy.port if port == home.port else port

        monkeypatch.setattr(host.cluster, "master", master)
        inbox = await member(layer, "room")
        proxy.hold()
        await layer.detach(inbox.channel)
        await in_thread(calm.move, slot, target)
        proxy.release()
        inbox = await member(layer, "room")
        await layer.group_send("room", {"type": "direct", "n": 1})
        await until_async(lambda: _direct(inbox) == [1], "who comes next is reached")
        await close(layer)
    gc.collect()
    assert not errors


@pytest.mark.parametrize("kind", ["queue"])
async def test_values_are_on_every_shard(calm: RedisCluster, make: Make) -> None:
    layer = make(calm)
    for number in range(12):
        assert await layer.key_values.set(f"name-{number}", str(number), ex=60)
    found = [await layer.key_values.get(f"name-{number}") for number in range(12)]
    assert found == [str(number).encode() for number in range(12)]
    for number in range(12):
        await layer.key_values.delete(f"name-{number}")
    assert await layer.key_values.get("name-0") is None


@pytest.mark.parametrize("kind", ["queue"])
async def test_each_outage_is_waited_for(
    make: Make, calm: RedisCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if nobody has called since the last one, which was given up."""
    skip_before_redis_7(calm, "tells clients its own port, whatever it is to announce")
    monkeypatch.setattr(shards, "ONE_OUTAGE_S", 1.0)
    cluster = RedisCluster(tmp_path, masters=1)
    (node,) = cluster.masters
    with Proxy(node.port) as proxy:
        cluster.ask(node, "CONFIG SET", "cluster-announce-port", proxy.port)
        layer = make(cluster, hosts=[{"cluster": [proxy.url], "shards": 1, "socket_timeout": 0.5}])
        await layer.group_send("room", {"type": "x"})
        (station,) = layer._stations.all()
        proxy.refuse()
        proxy.cut()
        began = tried = proxy.connections
        while tried == began:  # a call may still use the connection that is gone
            with pytest.raises(LayerUnavailable):
                await layer.group_send("room", {"type": "x"})
            tried = proxy.connections
        assert tried > began + 2, "it is waited for the first one"
        await until_async(lambda: steady() > station.shards._failed[0][0], "the next call tries")
        with pytest.raises(LayerUnavailable):
            await layer.group_send("room", {"type": "x"})
        assert proxy.connections <= tried + 1, "the same outage is given up at once"

        given_up = steady()
        await until_async(lambda: steady() > given_up + 1, "nobody calls for a while")
        tried = proxy.connections
        sending = asyncio.ensure_future(layer.group_send("room", {"type": "x"}))
        await until_async(lambda: proxy.connections > tried + 1, "it is tried again")
        proxy.accept()
        await sending
        await close(layer)
    cluster.stop()


@DEAR
async def test_the_first_node_of_the_list_is_silent(kind: str, mortal: RedisCluster, make: Make) -> None:
    silent = mortal.replicas[0]
    silent.pause()
    try:
        nodes: list[RedisServer] = [silent, *mortal.masters]
        layer = make(mortal, hosts=[{"cluster": [node.url for node in nodes], "shards": SHARDS}])
        inbox = await member(layer, *ROOMS)
        for name in ROOMS:
            await layer.group_send(name, {"type": "hello"})
        await until_async(lambda: len(inbox.events) == len(ROOMS), "each message")
        assert not layer.metrics.gaps
    finally:
        silent.resume()
