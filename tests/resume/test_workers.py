"""A client comes back to another process than the one its consumer lives in: the rows P1, P2, P5 and P6."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from compat.generic.websocket import AsyncWebsocketConsumer
from compat.resume import mailbox, relay
from compat.settings import override
from tests.resume.place import DEADLINE_S, SECRET, Place, name, placed
from tests.support.clients import Refused
from tests.support.layers import unique_prefix
from tests.support.logs import recorded
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.relays import ANSWER_S, OPEN_ATTEMPTS, OPEN_S
from tests.support.resuming import COME_BACK, Closed, Resuming
from tests.support.servers import LiveServer, worker_options
from tests.support.waiting import until_async

LAYERS = {
    "queue": "compat.layers.redis.core.RedisChannelLayer",
    "pubsub": "compat.layers.redis.pubsub.RedisPubSubChannelLayer",
    "streams": "compat.layers.redis.RedisStreamsChannelLayer",
}
SLOW = pytest.mark.slow
KINDS = ["queue", pytest.param("pubsub", marks=SLOW), pytest.param("streams", marks=SLOW)]


def layer_of(kind: str, redis_url: str) -> dict[str, str]:
    """What servers on one layer have in their environment."""
    return {"RESUME_LAYER": LAYERS[kind], "RESUME_REDIS": redis_url, "RESUME_PREFIX": unique_prefix()}


@pytest.fixture(scope="module", params=KINDS)
def layer(request: pytest.FixtureRequest, redis_url: str) -> dict[str, str]:
    return layer_of(request.param, redis_url)


@pytest.fixture(params=KINDS)
def own_layer(request: pytest.FixtureRequest, redis_url: str) -> dict[str, str]:
    """One that no other server is on."""
    return layer_of(request.param, redis_url)


@pytest.fixture(scope="module")
def servers(layer: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Place]]:
    """Three processes on one layer, which no test kills."""
    folder = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        yield [stack.enter_context(placed(folder, **layer)) for _ in range(3)]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers in this process wait for each other as those of ``tests.resume.app`` do."""
    monkeypatch.setattr(relay, "ANSWER_S", ANSWER_S)
    monkeypatch.setattr(mailbox, "OPEN_S", OPEN_S)
    monkeypatch.setattr(mailbox, "OPEN_ATTEMPTS", OPEN_ATTEMPTS)


@asynccontextmanager
async def impatient(place: Place) -> AsyncIterator[None]:
    """Until the block ends, a process takes a home that does not answer within a second for dead."""
    await place.ask("patience", seconds=1)
    try:
        yield
    finally:
        await place.ask("patience", seconds=ANSWER_S)


async def through(client: Resuming, servers: list[Place], count: int) -> list[int]:
    """The numbers of the next frames; a client that is dropped comes back, to each server in turn.

    It may be asked to come again later (1013): its home has not been reached yet.
    """
    got: list[int] = []
    turn, dropped = 0, False
    while len(got) < count:
        try:
            if dropped:
                turn += 1
                assert await client.back(to=servers[turn % len(servers)].server) == "all", client.why
                dropped = False
            got += await client.numbers(1)
        except Closed as closed:
            assert closed.code in COME_BACK, closed
            dropped = True
    return got


async def reaches(place: Place) -> None:
    """Wait until a process sends and hears by the layer again."""
    who, probe = name("probe"), None
    while not place.notes("noted", who):
        try:
            probe = probe or await place.open("async", who)
            await place.tell(who, "note heard")
            await until_async(lambda: place.notes("noted", who), "it hears itself", deadline_s=0.5)
        except (AssertionError, Refused):  # there is no Redis yet
            await asyncio.sleep(0.05)
    if probe is not None:
        await probe.leave()


async def test_P1_four_workers_a_hundred_cuts(own_layer: dict[str, str], tmp_path: Path) -> None:
    with placed(tmp_path, *worker_options(4), **own_layer) as place:
        names = [name("cut") for _ in range(10)]
        clients = [await place.open(("async", "sync")[number % 2], who) for number, who in enumerate(names)]
        homes = set()
        for client in clients:
            await client.send("who")
            homes.add((await client.receive_json())["pid"])
        for turn in range(10):
            publishing = asyncio.ensure_future(place.publish(10 * turn, 10 * turn + 10, frames="yes"))
            for client in clients:
                await client.send(f"hear {turn}")
                if turn % 2:
                    await client.numbers(3)
                client.cut(reset=turn % 3 == 0)
            results = await asyncio.gather(*(client.back() for client in clients))
            assert results == ["all"] * 10, [client.why for client in clients]
            for client in clients:
                got = await client.numbers(7 if turn % 2 else 10)
                assert got == list(range(10 * turn, 10 * turn + 10))[-len(got) :]
            await publishing
        for client, who in zip(clients, names, strict=True):
            await client.send("heard")
            assert await client.receive_json() == list(range(10))
            assert len(place.notes("connect", who)) == 1
            await client.leave()
        for who in names:
            await place.code(who)
        place.no_failure()


@pytest.mark.parametrize("flavour", ["async", "sync", "plain"])
async def test_P1_each_server_in_turn(servers: list[Place], flavour: str) -> None:
    who = name("turns")
    client = await servers[0].open(flavour, who)
    await client.send("who")
    first = await client.receive_json()
    for turn in range(1, 10):
        await client.send(f"hear {turn}")
        await client.send(f"count {2 * turn} {2 * turn + 2}")
        if turn % 2:
            assert await client.numbers(2) == [2 * turn, 2 * turn + 1]
        client.cut()
        assert await client.back(to=servers[turn % 3].server) == "all", client.why
        if turn % 2 == 0:
            assert await client.numbers(2) == [2 * turn, 2 * turn + 1]
        await client.send("who")
        assert await client.receive_json() == first, "the same consumer in the same process"
    await client.send("heard")
    assert await client.receive_json() == list(range(1, 10))
    await client.leave()
    assert len(await servers[0].noted("disconnect", who)) == 1, "a goodbye reaches its home"
    for place in servers:
        place.no_failure()


async def test_P1_many_come_at_once_to_a_process_that_is_new(
    own_layer: dict[str, str], tmp_path: Path
) -> None:
    """It opens its own mailbox for the first of them; a new connection of its own may come in between."""
    with placed(tmp_path, **own_layer) as home, placed(tmp_path, **own_layer) as new:
        clients = [await home.open("async", name("many")) for _ in range(10)]
        for client in clients:
            client.cut()
        others = [new.client("async", name("new")) for _ in range(10)]
        results = await asyncio.gather(
            *(client.back(to=new.server) for client in clients), *(other.open() for other in others)
        )
        assert results[:10] == ["all"] * 10, [client.why for client in clients]
        for other in others:
            other.cut()
        results = await asyncio.gather(*(other.back(to=home.server) for other in others))
        assert results == ["all"] * 10, [other.why for other in others]
        for one in (*clients, *others):
            await one.leave()
        for place in (home, new):
            place.no_failure()


async def test_P1_what_began_while_redis_was_away_is_found_by_another_process(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """Was: its ticket never named its process, so another process did not ask that one."""
    layer = layer_of("queue", redis_server.url)
    redis_server.kill()
    with placed(tmp_path, **layer) as home, placed(tmp_path, **layer) as other:
        client = await home.open("plain", name("early"))
        nameless = client.ticket
        redis_server.start()
        end = asyncio.get_running_loop().time() + DEADLINE_S
        while client.ticket == nameless:  # no other client comes to this process
            assert asyncio.get_running_loop().time() < end, "there is no new ticket"
            await client.pong()
            await asyncio.sleep(0.05)
        await reaches(other)
        client.cut()
        assert await client.back(to=other.server) == "all", client.why
        await client.leave()
        for place in (home, other):
            place.no_failure()


async def test_P1_what_a_relayed_client_sends_and_is_sent(servers: list[Place]) -> None:
    """Binary, empty, long and marked frames; more than a journal holds; an end with its code."""
    who = name("relayed")
    client = await servers[0].open("async", who)
    client.cut()
    assert await client.back(to=servers[1].server) == "all"
    for frame in (b"\x00\x10\xff", b"", "echo ä€𝄞", "echo \x10x", "\x10\x10y", "size 200000"):
        await client.send(frame)
    got = [await client.receive() for _ in range(6)]
    assert got == [b"\x00\x10\xff", b"", "ä€𝄞", "\x10x", "\x10\x10y", "x" * 200_000]
    await client.send("count 0 3000")
    assert await client.numbers(3000) == list(range(3000))
    for number in range(300):
        await client.send(f"hear {number}")
    await client.send("heard")
    assert await client.receive_json() == list(range(300))
    await client.all_acknowledged()
    await client.send("close 4005")
    assert await client.closed() == 4005
    assert await servers[0].code(who) == 4005
    for place in servers:
        place.no_failure()


async def test_P1_another_user_gets_nothing_elsewhere_either(servers: list[Place]) -> None:
    who = name("theirs")
    client = await servers[0].away("async", who, headers={"Cookie": "user=ann"})
    await servers[0].tell(who, "echo 1")
    changes: tuple[dict[str, Any], ...] = (
        {"headers": {"Cookie": "user=bob"}},
        {"headers": {}},
        {"path": client.path + "x"},
    )
    for change in changes:
        other = Resuming(servers[1].server, client.path, headers=client.headers)
        for key, value in change.items():
            setattr(other, key, value)
        other.ticket = client.ticket
        assert await other.back() == "" and other.why in ("user", "path")
        await other.pong()
        assert not other.frames
        await other.leave()
    assert await client.back(to=servers[2].server) == "all"
    assert await client.numbers(1) == [1]
    old = client.ticket
    await client.pong()
    thief = Resuming(servers[1].server, client.path, headers=client.headers)
    client.cut()
    assert await client.back(to=servers[1].server) == "all"
    await client.pong()
    assert await thief.back(ticket=old, received=1) == "" and thief.why == "used"
    await client.send("echo 2")
    assert await client.numbers(1) == [2], "it was left alone"
    for one in (thief, client):
        await one.leave()
    for place in servers:
        place.no_failure()


async def test_P1_one_who_may_not_come_back_any_more_ends_it_from_elsewhere(servers: list[Place]) -> None:
    who = name("banned")
    client = await servers[0].away("asked", who, headers={"X-Key": "elsewhere"})
    await servers[1].ask("ban", key="elsewhere")
    assert await client.back(to=servers[1].server) == "" and client.why == "refused"
    assert await servers[0].code(who) == 1006
    await client.leave()
    for place in servers:
        place.no_failure()


async def test_P1_a_server_that_has_the_new_key_before_the_home(servers: list[Place]) -> None:
    """As in a deployment of one server after the other: was, on the second return, another user's ticket."""
    home, other, _ = servers
    who = name("rotated")
    client = await home.open("async", who)
    await other.ask("sign", key="the next key", old=SECRET)
    try:
        for place in (other, other, home, other):
            assert await client.back(to=place.server) == "all", client.why
    finally:
        await other.ask("sign", key=SECRET)
    await client.leave()
    assert await home.code(who) == 1000


async def test_P1_a_link_elsewhere_is_taken_over(servers: list[Place]) -> None:
    """Half open there, and back here: the old link is closed with 4409, and not heard."""
    who = name("half")
    client = await servers[0].open("async", who)
    for turn in (1, 2, 0):
        old = client.link
        assert await client.back(to=servers[turn].server) == "all"
        await asyncio.wait_for(old.wait_closed(), 30)
        assert old.protocol.close_code == 4409
        await client.send("echo 1")
        assert await client.numbers(1) == [1]
    assert not servers[0].notes("disconnect", who)
    await client.leave()
    await servers[0].code(who)


async def test_P2_the_peer_is_killed(servers: list[Place], layer: dict[str, str], tmp_path: Path) -> None:
    """The process that relays dies in the middle of both directions; nothing is lost, nothing comes twice."""
    home, other = servers[:2]
    with placed(tmp_path, **layer) as peer:
        who = name("peer")
        client = await home.open("async", who)
        client.cut()
        assert await client.back(to=peer.server) == "all"
        await home.tell(who, "count 0 100")
        got = await client.numbers(50)
        for number in range(50):
            await client.send(f"hear {number}")
        peer.server.process.stop(signal.SIGKILL)
    await home.tell(who, "count 100 200")
    for number in range(50, 60):
        await client.send(f"hear {number}")
    got += await through(client, [home, other], 150)
    assert got == list(range(200))
    await client.send("heard")
    assert await client.receive_json() == list(range(60))
    await client.leave()
    assert await home.code(who) == 1000
    assert len(home.notes("connect", who)) == 1
    for place in (home, other):
        place.no_failure()


@pytest.mark.parametrize(
    "how", ["hold and cut", pytest.param("cut", marks=SLOW), pytest.param("half_close", marks=SLOW)]
)
async def test_P2_a_gap_in_the_relay(
    servers: list[Place], layer: dict[str, str], redis_url: str, tmp_path: Path, how: str
) -> None:
    """Redis is lost to the process that relays, for a moment or longer, while frames go both ways."""
    parts = urlsplit(redis_url)
    if parts.hostname not in ("127.0.0.1", "localhost"):
        pytest.skip("the proxy stands before a Redis on this machine")
    with Proxy(parts.port or 6379) as proxy:
        relayed = {**layer, "RESUME_REDIS": proxy.url + parts.path}
        home = servers[0]
        with placed(tmp_path, **relayed) as peer:
            who = name("gap")
            client = await home.open("async", who)
            client.cut()
            assert await client.back(to=peer.server) == "all"
            for turn in range(3):
                first = 100 * turn
                telling = asyncio.ensure_future(home.tell(who, f"count {first} {first + 100}"))
                got = await through(client, [peer, home], 10)
                for number in range(10):
                    await client.send(f"hear {10 * turn + number}")
                if how == "hold and cut":
                    proxy.hold()
                    await home.tell(who, f"note {turn}")
                    await home.noted("noted", who, turn + 1)
                if how == "half_close":
                    proxy.half_close()
                else:
                    proxy.cut()
                    proxy.release()
                got += await through(client, [peer, home], 90)
                assert got == list(range(first, first + 100))
                await telling
                client.cut()
                await reaches(peer)
                assert await client.back(to=peer.server) == "all", client.why
            await client.send("heard")
            try:
                heard = await client.receive_json()
            except Closed:
                assert await client.back(to=home.server) == "all"
                heard = await client.receive_json()
            assert heard == list(range(30))
            await client.leave()
            assert len(home.notes("connect", who)) == 1
            home.no_failure()


@pytest.mark.parametrize(
    "count", [100, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]
)
async def test_P5_a_dead_home_costs_one_timeout(
    servers: list[Place], layer: dict[str, str], tmp_path: Path, count: int
) -> None:
    """One after another they come back: a timeout for each would take as many seconds."""
    other = servers[0]
    before = (await other.resumable())["lost"].get("elsewhere", 0)
    with placed(tmp_path, **layer) as home:
        clients = [await home.open("async", name("dead")) for _ in range(count)]
        home.server.process.stop(signal.SIGKILL)

    async def return_all() -> None:
        for client in clients:
            assert await client.back(to=other.server) == ""
            assert client.why == "elsewhere"

    async with impatient(other):
        await asyncio.wait_for(return_all(), 20 + count / 5)
    await clients[-1].send("echo 1")
    assert await clients[-1].numbers(1) == [1], "a new connection"
    lost = (await other.resumable())["lost"]
    assert lost["elsewhere"] == before + count
    for client in clients:
        client.cut()
    other.no_failure()


async def test_P5_a_stopped_home_is_not_waited_for(
    servers: list[Place], layer: dict[str, str], tmp_path: Path
) -> None:
    """As long as it is frozen; others are served meanwhile."""
    other = servers[0]
    with placed(tmp_path, **layer) as home:
        client = await home.away("async", name("frozen"))
        home.server.process.send_signal(signal.SIGSTOP)
        try:
            async with impatient(other):
                assert await client.back(to=other.server) == "" and client.why == "elsewhere"
            await client.send("echo 1")
            assert await client.numbers(1) == [1]
        finally:
            home.server.process.send_signal(signal.SIGCONT)
        await client.leave()
        other.no_failure()


@SLOW
async def test_P5_a_home_that_answers_too_late_keeps_no_link(
    servers: list[Place], layer: dict[str, str], tmp_path: Path
) -> None:
    """What it has attached then has nobody at the other end: the connection is parked, and ends."""
    other = servers[0]
    with placed(tmp_path, **layer) as home:
        who = name("late")
        client = await home.away("async", who)
        home.server.process.send_signal(signal.SIGSTOP)
        try:
            async with impatient(other):
                assert await client.back(to=other.server) == "" and client.why == "elsewhere"
        finally:
            home.server.process.send_signal(signal.SIGCONT)
        await other.tell(who, "note after what was asked")
        await home.noted("noted", who)
        await home.parked(1)
        assert (await home.resumable())["live"] == 0
        await client.leave()


@pytest.mark.parametrize(
    "flavour", ["async", pytest.param("sync", marks=SLOW), pytest.param("plain", marks=SLOW)]
)
async def test_P2_a_home_stops_while_its_client_is_relayed(
    servers: list[Place], layer: dict[str, str], tmp_path: Path, flavour: str
) -> None:
    peer = servers[0]
    with placed(tmp_path, **layer) as home:
        who = name("stops")
        client = await home.open(flavour, who)
        client.cut()
        assert await client.back(to=peer.server) == "all"
        await client.send("echo 1")
        assert await client.numbers(1) == [1]
        ending = asyncio.ensure_future(client.closed())
        home.server.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(home.server.process.wait, deadline_s=30)
        assert await home.code(who) == 1012
        assert await ending in COME_BACK
        async with impatient(peer):
            assert await client.back(to=peer.server) == "" and client.why in ("elsewhere", "gone")
        await client.leave()
        for place in (home, peer):
            place.no_failure()


async def test_P2_a_client_is_taken_elsewhere_while_its_home_drains(
    servers: list[Place], layer: dict[str, str], tmp_path: Path
) -> None:
    """Was: each worker answered "later" until the home had ended, up to 30 s and the backoff."""
    peer = servers[0]
    with placed(tmp_path, RESUME_DRAIN="3", **layer) as home:
        clients = [await home.open("async", name("drained")) for _ in range(3)]
        endings = {asyncio.ensure_future(client.closed()): client for client in clients}
        home.server.process.send_signal(signal.SIGTERM)
        done, _ = await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        first = done.pop()
        assert first.result() == 1012
        client = endings[first]
        assert await client.back(to=peer.server) == "" and client.why == "gone"
        await client.leave()
        await asyncio.gather(*endings)
        await asyncio.to_thread(home.server.process.wait, deadline_s=30)
        for place in (home, peer):
            place.no_failure()


async def test_P2_a_peer_stops_while_it_relays(
    servers: list[Place], layer: dict[str, str], tmp_path: Path
) -> None:
    home = servers[0]
    with placed(tmp_path, **layer) as peer:
        who = name("stops")
        client = await home.away("async", who)
        assert await client.back(to=peer.server) == "all"
        await client.send("count 0 100")
        assert await client.numbers(50) == list(range(50))
        ending = asyncio.ensure_future(client.closed())
        peer.server.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(peer.server.process.wait, deadline_s=30)
        assert await ending == 1012
        await home.noted("parked", who, 2)
        assert await client.back(to=home.server) == "all"
        assert await client.numbers(50) == list(range(50, 100))
        await client.leave()
        assert await home.code(who) == 1000
        for place in (home, peer):
            place.no_failure()


async def test_P1_what_ended_the_park_is_told_by_another_process(servers: list[Place]) -> None:
    """The home counts it once, and the process that asks does not."""
    home, peer = servers[:2]
    who = name("over")
    client = await home.away("async", who)
    before = [(await place.resumable())["lost"] for place in (home, peer)]
    await home.tell(who, "count 0 1100")
    assert await home.code(who) == 1006
    assert (await client.back(to=peer.server), client.why) == ("", "overflow")
    after = [(await place.resumable())["lost"] for place in (home, peer)]
    assert after[0].get("overflow", 0) == before[0].get("overflow", 0) + 1
    assert after[1] == before[1]
    await client.leave()


async def test_P6_memory_layer_and_several_processes(tmp_path: Path) -> None:
    """Without a key in common it is the same: T6."""
    with placed(tmp_path) as first, placed(tmp_path) as second:
        who = name("memory")
        client = await first.away("async", who)
        assert await client.back(to=second.server) == ""
        assert client.why in ("gone", "elsewhere")
        await client.send("echo 1")
        assert await client.numbers(1) == [1]
        await client.leave()
        assert not first.notes("disconnect", who) or first.notes("disconnect", who)[0]["code"] == 1000
        for place in (first, second):
            place.no_failure()


def test_P6_the_doctor_warns_of_a_memory_layer() -> None:
    told = examined(RESUME_SECRET=SECRET)
    assert "CHANNEL_RESUME_SECONDS" in told or "come back" in told or "resumable" in told, told


def test_P6_the_doctor_warns_of_a_missing_key() -> None:
    assert "SECRET_KEY" in examined(RESUME_SECRET="")


def examined(**env: str) -> str:
    """What the doctor says of the application on four workers."""
    said = subprocess.run(
        [
            Path(sys.executable).with_name("channels-compat"),
            "doctor",
            "tests.resume.app:app",
            "--workers",
            "4",
        ],
        cwd=REPO,
        env=child_environment({"PYTHONPATH": os.fspath(REPO), "RESUME_NOTES": os.devnull, **env}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "several processes" in said.stdout or said.returncode in (3, 4), said.stdout + said.stderr
    return " ".join(said.stdout.split())


@pytest.mark.usefixtures("patient")
async def test_servers_in_one_process_find_the_connections_of_each_other(redis_url: str) -> None:
    """Was: what the other event loop had was not asked for over the layer, and counted as gone."""

    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.send(text_data)

    config = {"hosts": [redis_url], "prefix": unique_prefix()}
    layers = {"default": {"BACKEND": LAYERS["queue"], "CONFIG": config}}
    with (
        override(CHANNEL_LAYERS=layers),
        LiveServer(Echo.as_asgi()) as one,
        LiveServer(Echo.as_asgi()) as other,
    ):
        client = await Resuming(one, f"/{name('loops')}").open()
        for number, server in enumerate((other, one, other)):
            client.cut()
            assert await client.back(to=server) == "all", client.why
            await client.send(f"{number}")
            assert await client.receive() == f"{number}"
        await client.leave()


class Bounded(AsyncWebsocketConsumer):
    max_message_size: float | None = 100
    ended: list[int]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data, bytes_data)

    async def disconnect(self, code: int) -> None:
        self.ended.append(code)


class Unbounded(Bounded):
    max_message_size = None


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("consumer", "most", "frame"),
    [(Bounded, 100, "x" * 101), (Bounded, 100, b"x" * 1_000_000), (Unbounded, 50, "ä" * 26)],
    ids=["text", "binary", "setting"],
)
async def test_a_frame_that_is_too_large_goes_to_no_other_process(
    redis_url: str, consumer: type[Bounded], most: int, frame: str | bytes
) -> None:
    """Was: it went there through the layer, and its client was closed by its consumer only."""
    consumer.ended = []
    prefix = unique_prefix()
    layers = {"default": {"BACKEND": LAYERS["queue"], "CONFIG": {"hosts": [redis_url], "prefix": prefix}}}
    with (
        override(CHANNEL_LAYERS=layers, CHANNEL_MAX_MESSAGE_SIZE=50),
        LiveServer(consumer.as_asgi()) as one,
        LiveServer(consumer.as_asgi()) as other,
    ):
        client = await Resuming(one, f"/{name('large')}").open()
        client.cut()
        assert await client.back(to=other) == "all", client.why
        for good in ("x" * most, b"x" * most, "\x10" * most):
            await client.send(good)
            assert await client.receive() == good
        with recorded() as records:
            await client.send(frame)
            with pytest.raises(Closed) as closed:
                await client.receive()
            assert closed.value.code == 1009
            await until_async(lambda: consumer.ended, "it has ended")
        assert consumer.ended == [1009]
        assert "a relayed client is closed with 1009" in "\n".join(records.messages())
        assert await client.back(to=other) == "" and client.why == "left"
        await client.leave()


class MadeLarger(Bounded):
    """Its instances take more than its class says."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.max_message_size = 1000


class Computed(Bounded):
    @functools.cached_property
    def max_message_size(self) -> float:  # type: ignore[override]
        return 1000


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("consumer", [MadeLarger, Computed])
async def test_a_limit_that_the_class_does_not_know_is_that_of_its_consumer(
    redis_url: str, consumer: type[Bounded]
) -> None:
    """Was: the class's was taken elsewhere, and with a computed one nobody came back anywhere."""
    consumer.ended = []
    prefix = unique_prefix()
    layers = {"default": {"BACKEND": LAYERS["queue"], "CONFIG": {"hosts": [redis_url], "prefix": prefix}}}
    with (
        override(CHANNEL_LAYERS=layers),
        LiveServer(consumer.as_asgi()) as one,
        LiveServer(consumer.as_asgi()) as other,
    ):
        client = await Resuming(one, f"/{name('own')}").open()
        for server in (one, other):
            client.cut()
            assert await client.back(to=server) == "all", client.why
            await client.send("x" * 1000)
            assert await client.receive() == "x" * 1000
        await client.send("x" * 1001)
        with recorded(), pytest.raises(Closed) as closed:
            await client.receive()
        assert closed.value.code == 1009
        await client.leave()
