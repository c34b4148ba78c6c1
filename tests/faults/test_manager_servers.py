"""Two servers of a connection manager on one Redis, in processes of their own, and what may befall them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.clients import Client, Refused, get
from tests.support.paths import REPO
from tests.support.redis_server import RedisServer
from tests.support.servers import Server, served
from tests.support.waiting import until

UVICORN = str(Path(sys.executable).parent / "uvicorn")


class Fleet:
    """Servers that share a Redis."""

    def __init__(self, folder: Path, redis_url: str, prefix: str, **settings: str) -> None:
        self.folder = folder
        self.settings = {
            "BACKEND_TYPE": "redis",
            "REDIS_URL": redis_url,
            "REDIS_CHANNEL_PREFIX": prefix,
            "WS_HEARTBEAT_INTERVAL": "5",
            "WS_HEARTBEAT_TIMEOUT": "30",
            "WS_ENABLE_HEARTBEAT": "false",
            "WS_RECONNECT_DELAY": "0.5",
            "LOG_LEVEL": "INFO",
            **settings,
        }
        self.stack = contextlib.ExitStack()
        self.redis = Redis.from_url(redis_url)
        self.prefix = prefix

    def start(self, name: str) -> Server:
        command = [UVICORN, "tests.faults.manager_app:app", "--port", "{port}"]
        env = {**self.settings, "SERVER_INSTANCE_ID": name, "PYTHONPATH": str(REPO)}
        log = self.folder / f"{name}.log"
        return self.stack.enter_context(served(command, cwd=self.folder, log=log, env=env))

    def keys(self) -> list[bytes]:
        """Every key of this fleet."""
        return sorted(self.redis.scan_iter(f"{self.prefix.rstrip(':')}*", count=10_000))

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stack.close()
        self.redis.close()


@pytest.fixture
def fleet(tmp_path: Path, redis_url: str, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """`@pytest.mark.parametrize("settings", …)` gives it other settings."""
    settings = request.getfixturevalue("settings") if "settings" in request.fixturenames else {}
    with Fleet(tmp_path, redis_url, f"fleet-{time.time_ns()}:", **settings) as fleet:
        yield fleet


def post(server: Server, path: str) -> Any:
    with httpx.Client(trust_env=False, timeout=15) as client:
        return client.post(server.http(path)).json()


def counts(server: Server) -> Any:
    return get(server, "/counts").json()


class Member(Client):
    """A client of /ws/<user> that may have joined groups."""

    def __init__(self, server: Server, user: str, *groups: str) -> None:
        super().__init__(server, f"/ws/{user}")
        for group in groups:
            self.send_json({"type": "join", "data": group})
            assert self.receive_json() == {"type": "done", "data": group}

    def __enter__(self) -> Member:
        return self


def test_S4_12_S4_13_S4_22_user_group_and_all_reach_both_servers(fleet: Fleet) -> None:
    one, two = fleet.start("one"), fleet.start("two")
    with Member(one, "alice", "room") as a, Member(two, "alice") as b, Member(two, "bob", "room") as c:
        assert post(two, "/user/alice/hi") == 2
        for member in (a, b):
            assert member.receive_json() == {"type": "personal", "text": "hi"}
        post(one, "/broadcast/all")
        for member in (a, b, c):
            assert member.receive_json() == {"type": "broadcast", "text": "all"}
        post(one, "/group/room/hello")
        for member in (a, c):
            assert member.receive_json() == {"type": "said", "text": "hello"}
        for server in (one, two):
            assert counts(server) == {
                "connections": 3,
                "users": {"alice": 2, "bob": 1},
                "groups": {"room": 2},
                "servers": ["one", "two"],
            }
    until(lambda: counts(one)["connections"] == 0, "all have left")


@pytest.mark.parametrize("settings", [{"MAX_TOTAL_CONNECTIONS": "10"}, {"MAX_CONNECTIONS_PER_CLIENT": "10"}])
def test_S4_19_a_limit_of_10_holds_under_100_connects_over_both(
    fleet: Fleet, settings: dict[str, str]
) -> None:
    servers = [fleet.start("one"), fleet.start("two")]

    async def storm() -> tuple[int, int]:
        async def attempt(index: int) -> ClientConnection | None:
            try:
                return await connect(servers[index % 2].ws("/ws/alice"), proxy=None, open_timeout=30)
            except InvalidStatus as refused:
                assert refused.response.status_code == 403
                return None

        opened = [one for one in await asyncio.gather(*map(attempt, range(100))) if one is not None]
        counted = (await asyncio.to_thread(counts, servers[0]))["connections"]
        await asyncio.gather(*(one.close() for one in opened))
        return len(opened), counted

    assert asyncio.run(storm()) == (10, 10)
    until(lambda: counts(servers[1])["connections"] == 0, "all have left")
    log = "".join(server.log() for server in servers)
    assert log.count("has reached the limit of 10") + log.count("have reached the limit of 10") == 90
    assert "Traceback" not in log


@pytest.mark.parametrize("settings", [{"WS_HEARTBEAT_TIMEOUT": "5"}])
def test_killed_with_9_its_connections_leave_within_the_lease(fleet: Fleet, settings: dict[str, str]) -> None:
    one, two = fleet.start("one"), fleet.start("two")
    with Member(two, "alice", "room") as alice:
        doomed = [Member(one, f"u{index % 3}", "room", f"g{index}") for index in range(20)]
        assert counts(two)["connections"] == 21 and len(counts(two)["groups"]) == 21
        one.process.stop(signal.SIGKILL)
        key = f"{fleet.prefix}registry:connections"
        # Nobody asks the server that is left: it cleans up by itself, within the lease (5 s) and a moment.
        until(lambda: fleet.redis.hlen(key) == 1, "they have left", deadline_s=30)
        assert counts(two) == {
            "connections": 1,
            "users": {"alice": 1},
            "groups": {"room": 1},
            "servers": ["two"],
        }
        post(two, "/group/room/still")
        assert alice.receive_json() == {"type": "said", "text": "still"}
        layer_members = f"{fleet.prefix.rstrip(':')}:group:room"
        until(lambda: fleet.redis.zcard(layer_members) == 1, "the dead server's part of the group has gone")
    for member in doomed:
        member.drop()
    again = fleet.start("one")
    with Member(again, "u0", "room"):
        assert counts(again)["connections"] == counts(two)["connections"]


def test_what_is_left_when_all_have_stopped_in_order(fleet: Fleet) -> None:
    one, two = fleet.start("one"), fleet.start("two")
    members = [Member(server, "alice", "room") for server in (one, two)]
    for server in (one, two):
        server.process.stop()
    for member in members:
        assert member.wait_closed()[0] in (1001, 1012)
    left = [key for key in fleet.keys() if b"!" not in key]
    assert left == [], left
    for server in (one, two):
        assert "Traceback" not in server.log()


@pytest.mark.parametrize("settings", [{"LIMIT": "25"}])
def test_S4_39_the_rate_limit_of_a_user_is_exact_over_both(fleet: Fleet, settings: dict[str, str]) -> None:
    servers = [fleet.start("one"), fleet.start("two")]

    async def storm() -> Counter[str]:
        answers: Counter[str] = Counter()

        async def talk(server: Server) -> None:
            async with connect(server.ws("/ws/alice"), proxy=None) as socket:
                for number in range(20):
                    await socket.send(json.dumps({"type": "x", "data": number}))
                    await socket.send(json.dumps({"type": "free"}))
                for _ in range(40):
                    frame = json.loads(await asyncio.wait_for(socket.recv(), 15))
                    if frame["type"] == "error":
                        assert frame["error_code"] == "RATE_LIMIT_EXCEEDED"
                        assert 0 < frame["details"]["retry_after"] <= 30
                    answers["free" if frame.get("data", 0) is None else frame["type"]] += 1

        await asyncio.gather(*(talk(server) for server in servers for _ in range(2)))
        return answers

    assert asyncio.run(storm()) == {"done": 25, "error": 55, "free": 80}


# Redis


@pytest.fixture
def own_redis(tmp_path: Path, redis_server: RedisServer) -> Iterator[tuple[Fleet, RedisServer]]:
    with Fleet(tmp_path, redis_server.url, "ws:") as fleet:
        yield fleet, redis_server


def test_redis_is_restarted_empty(own_redis: tuple[Fleet, RedisServer]) -> None:
    fleet, redis = own_redis
    one, two = fleet.start("one"), fleet.start("two")
    with Member(one, "alice", "room") as alice, Member(two, "bob", "room") as bob:
        redis.restart()
        until(
            lambda: all((counts_or_none(server) or {}).get("groups") == {"room": 2} for server in (one, two)),
            "both servers have told the new Redis who is there",
        )
        assert counts(two)["users"] == {"alice": 1, "bob": 1}
        until(lambda: fleet.redis.zcard("ws:group:room") == 2, "and their layers are in the group again")

        def reaches_both() -> bool:
            return bool(post(one, "/group/room/back")["type"] == "sent")

        until(reaches_both, "sending works")
        until(lambda: heard(alice, "back") and heard(bob, "back"), "and arrives")
        alice.send_json({"type": "leave", "data": "room"})
        assert until_frame(alice, "done") == {"type": "done", "data": "room"}
    for server in (one, two):
        assert "Traceback" not in server.log(), server.log()


def test_while_redis_is_away(own_redis: tuple[Fleet, RedisServer]) -> None:
    fleet, redis = own_redis
    one = fleet.start("one")
    with Member(one, "alice", "room") as alice:
        redis.kill()
        refused = until(
            lambda: [answer for answer in [post(one, "/group/room/x")] if answer["type"] == "error"],
            "sending says so",
        )[0]
        assert refused["error_code"] == "BACKEND_ERROR" and refused["retryable"]
        assert get(one, "/counts").status_code == 503
        assert refused["message"] == "The message backend is not available"  # clients learn no addresses
        with pytest.raises(Refused) as raised:
            Member(one, "bob")
        assert raised.value.status == 503
        alice.send_json({"type": "join", "data": "hall"})  # an error, and no end of the connection
        assert until_frame(alice, "error")["error_code"] == "BACKEND_ERROR"
        alice.send_json({"type": "free"})
        assert until_frame(alice, "done")["data"] is None
        redis.start()
        until(lambda: (counts_or_none(one) or {}).get("connections") == 1, "she is there again")
        alice.send_json({"type": "join", "data": "hall"})
        assert until_frame(alice, "done")["data"] == "hall"
    until(lambda: counts(one)["connections"] == 0, "she has left")
    assert "Traceback" not in one.log(), one.log()


def test_who_leaves_while_redis_is_away_is_taken_out_when_it_is_back(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """Paused, so that it remembers: what it was not told then it is told later."""
    with Fleet(tmp_path, redis_server.url, "ws:", WS_HEARTBEAT_TIMEOUT="30") as fleet:
        one = fleet.start("one")
        alice = Member(one, "alice", "room")
        with Member(one, "bob", "room"):
            redis_server.pause()
            alice.close()
            # Longer than a reply may take: the server has given up telling Redis.
            until(lambda: "told later" in one.log(), "the server gives up", deadline_s=30)
            redis_server.resume()
            until(lambda: (counts_or_none(one) or {}).get("users") == {"bob": 1}, "only bob", deadline_s=30)
            assert counts(one)["groups"] == {"room": 1}


def counts_or_none(server: Server) -> Any:
    answer = get(server, "/counts")
    return answer.json() if answer.status_code == 200 else None


def heard(member: Member, text: str) -> bool:
    return bool(until_frame(member, "said")["text"] == text)


def until_frame(member: Member, kind: str) -> Any:
    while True:
        frame = member.receive_json()
        if frame["type"] == kind:
            return frame


# Churn


@pytest.mark.slow
@pytest.mark.holds_the_loop  # where it counts objects
@pytest.mark.timeout(900)
@pytest.mark.parametrize("settings", [{"WS_HEARTBEAT_TIMEOUT": "60"}])
@pytest.mark.parametrize("connections", [200, 2000])
def test_an_hours_churn_leaves_nothing_behind(
    fleet: Fleet, settings: dict[str, str], connections: int
) -> None:
    """2,000 connections at a time, 20,000 in all, 500 groups: memory, tasks, files, keys stay the same.

    And a tenth of it, which can be repeated.
    """
    server = fleet.start("one")
    asyncio.run(churn(server, connections, changes=connections))
    until(lambda: get(server, "/inside").json()["local"] == 0, "all have left", deadline_s=60)
    before, keys = get(server, "/inside").json(), len(fleet.keys())
    asyncio.run(churn(server, connections, changes=9 * connections))
    until(lambda: get(server, "/inside").json()["local"] == 0, "all have left", deadline_s=60)
    after = get(server, "/inside").json()
    assert counts(server)["groups"] == {} and counts(server)["connections"] == 0
    grown = after.pop("resident") - before.pop("resident")
    assert after.pop("files") - before.pop("files") < 5, "connections to Redis come and go"
    assert after.pop("tasks") <= before.pop("tasks")
    assert after == before
    assert grown < 32 * 1024 * 1024, f"{grown / 2**20:.0f} MiB more"
    # The last messages are acknowledged after they have arrived.
    until(lambda: len(fleet.keys()) <= keys, f"no key is left: {fleet.keys()}")
    assert "Traceback" not in server.log()


async def churn(server: Server, connections: int, changes: int) -> None:
    """Keep so many connections open; each time one leaves, by turns politely and not, another comes."""
    gate, left = asyncio.Semaphore(50), iter(range(changes))

    async def client(index: int) -> None:
        number = index
        while True:
            async with gate:
                socket = await connect(
                    server.ws(f"/ws/u{number % 700}"), proxy=None, open_timeout=60, compression=None
                )
                for group in (number % 500, (number * 7) % 500):
                    await socket.send(json.dumps({"type": "join", "data": f"group{group}"}))
                await socket.send(
                    json.dumps({"type": "say", "data": {"group": f"group{number % 500}", "n": number}})
                )
                said = False
                while not said:
                    frame = json.loads(await asyncio.wait_for(socket.recv(), 60))
                    said = frame["type"] == "said" and frame["n"] == number
                if number % 3:
                    await socket.send(json.dumps({"type": "leave", "data": f"group{number % 500}"}))
            reading = asyncio.ensure_future(drain(socket))
            number = next(left, -1)
            await asyncio.sleep(0)
            if number % 5:
                await socket.close()
            else:
                socket.transport.abort()
            await reading
            if number < 0:
                return

    await asyncio.gather(*(client(index) for index in range(connections)))


async def drain(socket: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.recv()
