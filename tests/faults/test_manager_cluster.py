"""The registry of a connection manager on a Redis Cluster that moves its slot: nothing is half written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.manager.backends import RedisBackend
from compat.manager.backends.records import Record
from compat.manager.exceptions import BackendError
from compat.redis.cluster import slot_of
from tests.support.choices import slow_but
from tests.support.layers import unique_prefix
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.timeout(120)

Calls = dict[str, Callable[[], Coroutine[Any, Any, Any]]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    made = RedisCluster(tmp_path_factory.mktemp("registry"), masters=2)
    yield made
    made.stop()


@pytest_asyncio.fixture
async def backend(cluster: RedisCluster) -> AsyncIterator[RedisBackend]:
    """Two connections in a room, and a server that has died with one in it."""
    prefix = unique_prefix()
    host = cluster.entry(socket_timeout=0.5)
    made, dead = (RedisBackend(host, channel_prefix=prefix) for _ in range(2))
    await made.open()
    await dead.renew()
    for one, user, home in (("c1", "alice", made), ("c2", "bob", made), ("d1", "alice", dead)):
        assert await made.registry_admit(home.record(one, user, at=1.0)) is None
        assert await made.registry_join(one, "room") == "joined"
    await made.link.call(b"ZADD", f"{made.link.prefix}servers", 1, dead.server)
    await made.lease.stop()
    yield made
    await made.flush()
    await made.cleanup()


class Move:
    """A slot with a registry that is half way to another node."""

    def __init__(self, cluster: RedisCluster, backend: RedisBackend, moved: Callable[[str], bool]) -> None:
        self.cluster, self.slot = cluster, slot_of(backend.link.prefix)
        self.source = cluster.owner(self.slot)
        self.target = next(node for node in cluster.masters if node is not self.source)
        cluster.begin_move(self.slot, self.target)
        root = backend.link.prefix
        keys = [key for key in self.keys(self.source) if moved(key.decode().removeprefix(root))]
        if keys:
            address = ("127.0.0.1", self.target.port)
            cluster.ask(self.source, "MIGRATE", *address, "", 0, 5000, "KEYS", *keys)

    def keys(self, node: RedisServer) -> list[bytes]:
        found = self.cluster.ask(node, "CLUSTER GETKEYSINSLOT", self.slot, 1000)
        return [key if isinstance(key, bytes) else key.encode() for key in found]

    def content(self) -> dict[tuple[int, bytes], Any]:
        """What either node has."""
        found = {}
        for node in (self.source, self.target):
            with redis.Redis(port=node.port) as client:
                for key in self.keys(node):
                    client.execute_command("ASKING")
                    found[node.port, key] = client.dump(key)
        return found

    def move_keys(self) -> None:
        self.cluster.move_keys(self.slot, self.target)

    def end(self) -> None:
        self.cluster.end_move(self.slot, self.source, self.target)


def writes(backend: RedisBackend, *others: str) -> Calls:
    """Whatever writes several keys, each with some that there are not yet or not any more.

    ``others`` are there beside c1.
    """
    local: list[tuple[Record, list[str]]] = [(backend.record("c1", "alice", at=1.0), ["room", "hall"])]
    return {
        "admit": lambda: backend.registry_admit(backend.record("c3", "carol", at=1.0)),
        "join": lambda: backend.registry_join("c1", "attic"),
        "leave": lambda: backend.registry_leave("c2", "hall"),
        "enter": lambda: backend.enter_all(lambda: iter(local), lambda name: name in ("c1", "c3", *others)),
        "sweep": backend.cleanup_stale_connections,
        "remove": lambda: backend.registry_remove_connection("c3"),
    }


async def look_up(backend: RedisBackend) -> None:
    """What is there is found, wherever it is."""
    assert {one.connection_id for one in await backend.registry_group_records("room")} == {"c1", "c2", "d1"}
    assert await backend.registry_get_user_connections("alice") == {"c1", "d1"}
    assert await backend.registry_get_connection_groups("c2") == {"room"}
    assert await backend.registry_count_group("room") == 3
    found = await backend.registry_find("c2")
    assert found is not None and found.user_id == "bob"


MOVED: dict[str, Callable[[str], bool]] = {
    "the connections": lambda key: key == "connections",
    "all but the connections": lambda key: key != "connections",
    "the rankings": lambda key: key in ("users", "groups", "reports"),
    "the sets": lambda key: key.startswith(("user:", "in:", "server:")),
    "the servers": lambda key: key == "servers",
}


@pytest.mark.parametrize("moved", slow_but([*MOVED][:2], MOVED))
async def test_nothing_is_half_written_while_the_slot_moves(
    cluster: RedisCluster, backend: RedisBackend, moved: str
) -> None:
    move = Move(cluster, backend, MOVED[moved])
    try:
        for name, call in writes(backend, "c2").items():
            before = move.content()
            with pytest.raises(BackendError):
                await call()
            assert move.content() == before, f"{name} has failed, and written something"
        await look_up(backend)
        assert (await backend.renew())[0] == 1, "a lease needs one key"
        move.move_keys()
        await look_up(backend)
        assert await backend.registry_admit(backend.record("c4", "bob", at=1.0)) is None
        await backend.registry_remove_connection("c2")
    finally:
        move.move_keys()
        move.end()
    for call in writes(backend).values():
        await call()
    assert await backend.registry_users() == {"alice": 1}
    assert await backend.registry_groups() == {"room": 1, "hall": 1, "attic": 1}
    assert await backend.registry_count_connections() == 1


async def test_a_call_waits_for_the_end_of_the_move(cluster: RedisCluster, backend: RedisBackend) -> None:
    move = Move(cluster, backend, lambda key: key == "connections")
    patient = RedisBackend(cluster.entry(socket_timeout=30), channel_prefix=backend.link.prefix.split("{")[0])
    assert patient.link.prefix == backend.link.prefix
    loop = asyncio.get_running_loop()
    try:
        calls = [asyncio.ensure_future(call()) for call in writes(patient).values()]
        await look_up(patient)
        assert not any(call.done() for call in calls)
    finally:
        await loop.run_in_executor(None, move.move_keys)
        await loop.run_in_executor(None, move.end)
    await asyncio.gather(*calls)
    await patient.lease.stop()
    await patient.link.aclose()
    assert await backend.registry_get_connection_groups("c1") == {"room", "attic"}
    assert "hall" not in await backend.registry_groups(), "the connection is another server's"
