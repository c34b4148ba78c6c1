"""Several servers on one Redis, as several managers in one process: everything reaches everybody."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from compat.manager import ConnectionManager
from compat.manager.backends import RedisBackend
from compat.manager.backends.scripts import JOIN, LEAVE
from compat.manager.connections.manager import ConnectionManager as Manager
from compat.manager.exceptions import BackendError, ConnectionError
from compat.manager.typed import ConnectionState
from compat.redis.scripts import Script
from tests.support.logs import recorded
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.proxy import Proxy
from tests.support.waiting import until_async
from tests.unit.manager.conftest import Connect, MakeManager, connector
from tests.unit.manager.sockets import Peer, until_it_is


@pytest.fixture
def kind() -> str:
    return "redis"


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with Proxy(int(redis_url.rpartition(":")[2].partition("/")[0])) as proxy:
        yield proxy


class Servers:
    """Two of them, and how to connect to each."""

    def __init__(self, one: ConnectionManager, two: ConnectionManager) -> None:
        self.one, self.two = one, two
        self.to_one: Connect = connector(one)
        self.to_two: Connect = connector(two)


@pytest.fixture
def servers(make_manager: MakeManager) -> Servers:
    return Servers(
        make_manager(SERVER_INSTANCE_ID="server-one"), make_manager(SERVER_INSTANCE_ID="server-two")
    )


def redis_of(manager: Manager) -> RedisBackend:
    assert isinstance(manager.backend, RedisBackend)
    return manager.backend


async def test_everything_reaches_both(servers: Servers) -> None:
    alice, one = await servers.to_one("alice", "room")
    _, two = await servers.to_two("alice", "room")
    bob, three = await servers.to_two("bob", "room")
    await servers.one.send_to_group("room", {"n": 1})
    await servers.two.broadcast({"n": 2})
    assert await servers.two.send_to_user("alice", {"n": 3}) == 2
    assert await servers.one.send_personal(bob.channel_name, {"n": 4})
    await servers.two.send_group_except("room", {"n": 5}, alice)
    assert sorted(frame["n"] for frame in await one.hear_all(3)) == [1, 2, 3]
    assert sorted(frame["n"] for frame in await two.hear_all(4)) == [1, 2, 3, 5]
    assert sorted(frame["n"] for frame in await three.hear_all(4)) == [1, 2, 4, 5]


async def test_every_server_sees_all(servers: Servers) -> None:
    alice, _ = await servers.to_one("alice", "room", "hall")
    bob, _ = await servers.to_two("bob", "room")
    await servers.to_two("alice")
    for manager in (servers.one, servers.two):
        assert await manager.count_connections() == 3
        assert await manager.list_users() == {"alice": 2, "bob": 1} and await manager.count_users() == 2
        assert await manager.list_groups() == {"room": 2, "hall": 1} and await manager.count_groups() == 2
        assert await manager.count_group("room") == 2
        assert await manager.get_group_users("room") == ["alice", "bob"]
        assert await manager.get_connection_groups(alice.channel_name) == {"room", "hall"}
        assert len(await manager.get_user_connections("alice")) == 2
        members = await manager.get_group_connections("room")
        assert {one.channel_name for one in members} == {alice.channel_name, bob.channel_name}
    remote = await servers.two.get_connection(alice.channel_name)
    assert remote is not None and not remote.is_local and remote.user_id == "alice"
    assert remote.metadata == {"server_instance_id": "server-one"}
    assert abs((remote.connected_at - alice.connected_at).total_seconds()) < 0.001
    assert await servers.two.get_connection(bob) is bob


async def test_a_connection_of_another_server_can_be_told_what_to_do(servers: Servers) -> None:
    alice, peer = await servers.to_one("alice")
    await servers.two.join_group(alice.channel_name, "room")
    await until_async(lambda: alice.groups == {"room"}, "she has joined")
    await servers.two.send_to_group("room", {"n": 1})
    assert await peer.hear_json() == {"n": 1}
    [remote] = await servers.two.get_user_connections("alice")
    await servers.two.leave_group(remote, "room")
    await until_async(lambda: alice.groups == set(), "she has left")
    assert await servers.two.disconnect_user("alice", 4001) == 1
    await until_async(lambda: alice.state is ConnectionState.DISCONNECTED, "she is put out")
    assert peer.closed_with == 4001 and await servers.two.count_connections() == 0


async def test_limits_hold_over_all_servers(make_manager: MakeManager) -> None:
    managers = [make_manager(SERVER_INSTANCE_ID=f"s{n}", MAX_TOTAL_CONNECTIONS=10) for n in range(2)]
    for manager in managers:
        await manager.start_tasks()
    outcomes = await asyncio.gather(
        *(managers[index % 2].connect(Peer().websocket, f"u{index}") for index in range(100)),
        return_exceptions=True,
    )
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 10
    assert {outcome.ws_code for outcome in outcomes if isinstance(outcome, ConnectionError)} == {1013}
    assert await managers[0].count_connections() == 10 == await managers[1].count_connections()


async def test_an_id_is_taken_on_all_servers(servers: Servers) -> None:
    await servers.to_one("alice", connection_id="one and only")
    with pytest.raises(ConnectionError, match="already exists"):
        await servers.to_two("alice", connection_id="one and only")


async def test_two_processes_of_one_name_are_two(make_manager: MakeManager) -> None:
    """`uvicorn --workers 2` with a SERVER_INSTANCE_ID in .env."""
    one, two = make_manager(SERVER_INSTANCE_ID="same"), make_manager(SERVER_INSTANCE_ID="same")
    await connector(one)("alice")
    bob, _ = await connector(two)("bob")
    await one.start_tasks()
    await two.start_tasks()
    assert {server.connections for server in await one.list_servers()} == {1}
    await one.stop_tasks()
    assert await two.count_connections() == 1 and await two.get_connection(bob) is bob


async def test_a_server_that_dies_is_cleaned_up(make_manager: MakeManager) -> None:
    dead = make_manager(SERVER_INSTANCE_ID="dead", WS_HEARTBEAT_TIMEOUT=3)
    alive = make_manager(SERVER_INSTANCE_ID="alive", WS_HEARTBEAT_TIMEOUT=3)
    for user in ("alice", "bob"):
        await connector(dead)(user, "room")
    await connector(alive)("alice", "room")
    await dead.start_tasks()
    await alive.start_tasks()
    assert await alive.count_connections() == 3
    await redis_of(dead).lease.stop()  # as if it had been killed: it gives no more sign of life
    known = redis_of(alive).link

    async def left() -> Any:
        return await known.call(b"HLEN", f"{known.prefix}connections")

    await until_it_is(1, left)  # nobody has asked: the other server's own upkeep did it
    assert await alive.list_users() == {"alice": 1} and await alive.list_groups() == {"room": 1}
    assert [server.server_instance_id for server in await alive.list_servers()] == ["alive"]


async def test_who_asks_for_counts_does_not_count_the_dead(make_manager: MakeManager) -> None:
    dead = make_manager(SERVER_INSTANCE_ID="dead", WS_HEARTBEAT_TIMEOUT=0.2)
    await connector(dead)("alice", "room")
    await redis_of(dead).lease.stop()
    asking = make_manager(SERVER_INSTANCE_ID="asking")
    await until_it_is(0, asking.count_connections)
    assert await asking.count_users() == 0 == await asking.count_groups()


async def test_the_dead_do_not_fill_the_limit(make_manager: MakeManager) -> None:
    dead = make_manager(SERVER_INSTANCE_ID="dead", WS_HEARTBEAT_TIMEOUT=0.2)
    await connector(dead)("alice")
    await redis_of(dead).lease.stop()
    alive = make_manager(SERVER_INSTANCE_ID="alive", MAX_TOTAL_CONNECTIONS=1)

    async def admitted() -> bool:
        try:
            await connector(alive)("bob")
        except ConnectionError:
            return False
        return True

    await until_it_is(True, admitted)


async def test_a_server_that_was_thought_dead_comes_back(make_manager: MakeManager) -> None:
    paused = make_manager(SERVER_INSTANCE_ID="paused", WS_HEARTBEAT_TIMEOUT=2)
    other = make_manager(SERVER_INSTANCE_ID="other")
    _, peer = await connector(paused)("alice", "room")
    await redis_of(paused).lease.stop()
    await until_it_is(0, other.count_connections)
    redis_of(paused).lease.start()
    await until_it_is(1, other.count_connections)
    assert await other.get_group_users("room") == ["alice"]
    assert await other.send_to_user("alice", {"n": 1}) == 1
    assert await peer.hear_json() == {"n": 1}


async def test_what_redis_forgets_is_told_again(servers: Servers) -> None:
    await servers.to_one("alice", "room")
    await servers.one.start_tasks()
    backend = redis_of(servers.one)
    root = backend.registry_get_prefix()
    _, keys = await backend.link.call(b"SCAN", 0, b"MATCH", f"{root}*", b"COUNT", 100_000)
    await backend.link.call(b"DEL", *keys)
    backend.owe()
    await until_it_is(1, servers.two.count_connections)
    assert await servers.two.list_groups() == {"room": 1} and await servers.two.list_users() == {"alice": 1}


async def test_a_connection_that_always_breaks_is_tried_again_after_growing_pauses(
    proxy: Proxy, make_manager: MakeManager
) -> None:
    manager = make_manager(REDIS_URL=proxy.url)
    await connector(manager)("alice")
    await manager.start_tasks()
    proxy.before = lambda data, to_server: None if b"EVALSHA" in data else data
    before, began = proxy.connections, time.monotonic()
    manager.backend.owe()
    await until_async(lambda: proxy.connections >= before + 4, "it tries again")
    assert time.monotonic() - began > 0.3  # pauses of 0.1, 0.2 and 0.4 s, or half of that
    proxy.before = None


FORKED = """
import asyncio, os, sys
from compat.manager import ConnectionManager, WSConfig
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.proxy import Proxy
from tests.support.waiting import until_async
from tests.unit.manager.sockets import Peer

config = WSConfig(
    BACKEND_TYPE="redis", REDIS_URL=sys.argv[1], REDIS_CHANNEL_PREFIX=sys.argv[2], WS_HEARTBEAT_TIMEOUT=2,
    WS_HEARTBEAT_INTERVAL=1,
)
manager = ConnectionManager(config)

async def renewed():
    await manager.connect(Peer().websocket, "alice")
    left = []
    for _ in range(400):
        left += [one.lease_s for one in await manager.list_servers() if one.server == manager.backend.server]
        if len(left) > 1 and left[-1] > left[-2]:
            return True
        await asyncio.sleep(0.02)
    return False

async def parent():
    await manager.start_tasks()
    if (pid := os.fork()) == 0:
        asyncio._set_running_loop(None)
        os._exit(0 if asyncio.run(renewed()) else 3)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    await manager.stop_tasks()

asyncio.run(parent())
"""


def test_a_forked_process_renews_a_lease_of_its_own(redis_url: str, prefix: str) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, redis_url, prefix]
    env = child_environment()
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "0\n", done.stderr


async def test_what_redis_should_not_know_is_taken_out(servers: Servers) -> None:
    """A call that failed half way may have left an entry for a connection that is no more."""
    backend = redis_of(servers.one)
    await servers.one.start_tasks()
    await servers.to_one("alice")
    assert await backend.registry_admit(backend.record("ghost", "bob")) is None
    await backend.registry_join("ghost", "room")
    assert await servers.two.count_connections() == 2
    backend.owe()
    await until_it_is(1, servers.two.count_connections)
    assert await servers.two.list_groups() == {}


class Failing:
    """A backend whose next run of a script fails, before or after Redis has done it."""

    def __init__(self, backend: RedisBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        self.backend, self.monkeypatch = backend, monkeypatch

    def next(self, failing: Script, *, done: bool) -> None:
        run = self.backend.link.run

        async def run_once(script: Script, *arguments: Any, **options: Any) -> Any:
            if script is not failing:
                return await run(script, *arguments, **options)
            self.monkeypatch.setattr(self.backend.link, "run", run)
            if done:
                await run(script, *arguments, **options)
            raise BackendError("no answer")

        self.monkeypatch.setattr(self.backend.link, "run", run_once)


async def test_a_group_that_could_not_be_left_is_left_later(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(redis_of(servers.one), monkeypatch)
    connection, _ = await servers.to_one("alice", "room", "hall")
    failing.next(LEAVE, done=False)
    with pytest.raises(BackendError):
        await servers.one.leave_group(connection, "room")
    await until_it_is({"hall": 1}, servers.two.list_groups)
    failing.next(JOIN, done=True)
    with pytest.raises(BackendError):
        await servers.one.join_group(connection, "attic")
    await until_it_is({"hall": 1}, servers.two.list_groups)


async def test_a_group_that_could_not_be_left_can_be_joined_again(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = redis_of(servers.one)
    connection, _ = await servers.to_one("alice", "room")
    await backend.lease.stop()
    monkeypatch.setattr(backend.lease, "start", lambda: None)
    await backend.lease.renew()
    name, registry = connection.channel_name, servers.one.registry
    Failing(backend, monkeypatch).next(LEAVE, done=False)
    with pytest.raises(BackendError):
        await registry.remove_from_group(name, "room")
    run = backend.link.run

    async def overtaken(script: Script, *arguments: Any, **options: Any) -> Any:
        if script is LEAVE:
            await registry.add_to_group(name, "room")
        return await run(script, *arguments, **options)

    monkeypatch.setattr(backend.link, "run", overtaken)
    await backend.lease.renew()
    assert await servers.two.list_groups() == {}
    await backend.lease.renew()
    assert await servers.two.list_groups() == {"room": 1}


async def test_telling_redis_everything_does_not_disturb_who_comes_and_goes(servers: Servers) -> None:
    """The registry is told anew all the time, while connections are made and end, and some are refused."""
    backend = redis_of(servers.one)
    servers.one.registry.max_per_user = 3
    await servers.one.start_tasks()
    done = asyncio.Event()

    async def tell() -> None:
        while not done.is_set():
            await backend.enter_all(servers.one.registry.local, servers.one.registry.holds)

    async def come_and_go(user: str) -> None:
        for _ in range(40):
            try:
                connection, _ = await servers.to_one(user, "room")
            except ConnectionError as error:
                assert error.error_code == "CONNECTION_LIMIT_EXCEEDED"
                continue
            assert await servers.one.backend.registry_find(connection.channel_name) is not None
            await servers.one.disconnect(connection)

    telling = asyncio.ensure_future(tell())
    await asyncio.gather(*(come_and_go(f"u{index % 3}") for index in range(15)))
    done.set()
    await telling
    assert await backend.link.call(b"HLEN", f"{backend.registry_get_prefix()}connections") == 0
    assert await servers.two.list_groups() == {} == await servers.two.list_users()


async def test_status_shows_every_server(servers: Servers) -> None:
    await servers.to_one("alice", "room")
    await servers.to_two("bob", "room")
    await servers.one.start_tasks()
    await servers.two.start_tasks()
    status = await servers.one.status()
    assert status["backend"] == "redis" and status["connections"] == 2 and status["users"] == 2
    assert status["largest_groups"] == {"room": 2} and status["local_connections"] == 1
    assert status["people"] == {"room": ["alice", "bob"]}
    shown = {server["server_instance_id"]: server for server in status["servers"]}
    assert set(shown) == {"server-one", "server-two"}
    assert all(
        server["connections"] == 1 and server["statistics"]["connected"] == 1 for server in shown.values()
    )
    assert all(0 < server["lease"] <= 60 for server in shown.values())


@pytest.mark.parametrize(("size", "named"), [(49, True), (50, True), (51, False)])
async def test_status_names_the_people_of_small_groups(servers: Servers, size: int, named: bool) -> None:
    for number in range(size):
        await servers.to_one(f"u{number:02}", "room")
    status = await servers.two.status()
    assert status["largest_groups"] == {"room": size}
    assert status["people"] == ({"room": [f"u{number:02}" for number in range(size)]} if named else {})


async def test_another_version_asks_what_this_one_cannot(servers: Servers) -> None:
    alice, peer = await servers.to_one("alice")
    with recorded() as records:
        await servers.two.backend.publish(alice.address, {"type": "__manager__", "do": "dance", "with": []})
        await servers.two.send(alice.channel_name, {"n": 1})
        assert await peer.hear_json() == {"n": 1}
    assert "'dance'" in records.messages()[0]


async def test_an_id_that_is_another_servers_now(servers: Servers) -> None:
    """What is done with the connection that had it before does not reach the one that has it now."""
    alice, _ = await servers.to_one("alice", connection_id="x")
    [remote] = await servers.two.get_user_connections("alice")
    await servers.one.disconnect(alice)
    bob, peer = await servers.to_two("bob", "room", connection_id="x")
    for manager, stale in ((servers.one, alice), (servers.one, remote), (servers.two, remote)):
        await manager.disconnect(stale, 4001)
        await manager.leave_group(stale, "room")
        assert not await manager.send_personal(stale, {"secret": 1})
        with pytest.raises(ConnectionError, match="x is not connected"):
            await manager.join_group(stale, "hall")
    assert await servers.one.send_personal("x", {"n": 1})  # arrives after any command
    assert await peer.hear_json() == {"n": 1} and peer.closed_with is None
    assert bob.groups == {"room"} and bob.state is ConnectionState.CONNECTED
