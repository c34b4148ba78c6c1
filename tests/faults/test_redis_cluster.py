"""The layers on a Redis Cluster whose slots move and whose masters die: each message is accounted for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from compat.engine.inbox import Inbox
from compat.redis.cluster import slot_of, tags
from tests.faults.rooms import Room, talking
from tests.support.layers import ON_REDIS, close, member, unique_prefix
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import RedisServer
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
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(talking(reader, sender, 3, name)) for name in ROOMS]


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
            lambda: mortal.owner(SLOTS[0], victim) is not victim,
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
    shards, here, there = layer._stations.all()[0].shards, *(f"{{{tags(SHARDS)[index]}}}{n}" for n in "ab")
    await shards.call(index, b"SET", here, 1)
    home = calm.owner(SLOTS[index])
    target = next(node for node in calm.masters if node is not home)
    await in_thread(calm.begin_move, SLOTS[index], target)
    note = b"return redis.call('ZADD', KEYS[2], 1, ARGV[1])"
    for number in range(20):
        # Refused while one key is at home and the other one is not.
        shards.tell(index, (b"EVAL", note, 2, here, there, number))
        shards.tell(index, (b"ZREM", there, number))
    await in_thread(calm.move, SLOTS[index], target)
    await asyncio.wait(shards._posts)
    assert await shards.call(index, b"ZRANGE", there, 0, -1) == []


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
