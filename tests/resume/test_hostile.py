"""Whatever clients say or show: no traceback, no consumer that hangs, no way to another's connection."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.resume.place import Place, name, placed
from tests.support.clients import Refused
from tests.support.resuming import MARK, PROTOCOL, Closed, Resuming, end_links

ANY_PACE = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=ANY_PACE)
MANY = settings(max_examples=1500, deadline=None, suppress_health_check=ANY_PACE)
SOME = [
    pytest.param(FEW, id="few"),
    pytest.param(MANY, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
]
MALFORMED = 4400

TYPES = ("ack", "ping", "bye", "hello", "verdict", "pong", "go", "attach", "presence", "", "compat.parked")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 300)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["1", 10**400, 1e400, -0.0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES) | VALUES}, optional={"n": VALUES, "ticket": VALUES, "x": VALUES}
)
CONTROLS = (
    OBJECTS.map(json.dumps)
    | VALUES.map(json.dumps)
    | st.text(max_size=40)
    | st.text(st.characters(max_codepoint=127), max_size=2000)
    | OBJECTS.map(lambda members: json.dumps(members)[:-1])
    | st.sampled_from(['{"type": "ack", "n": ' + "9" * 5000 + "}", "[" * 3000, '{"type":' * 900])
)
TOKEN = st.characters(codec="ascii", categories=("L", "N")) | st.sampled_from("!#$%&'*+-.^_`|~")
ITEMS = (
    st.text(TOKEN, min_size=1, max_size=200)
    | st.tuples(st.text(TOKEN, max_size=300), st.text(TOKEN, max_size=10)).map(
        lambda parts: f"channels.ticket.{parts[0]}.{parts[1]}"
    )
    | st.sampled_from(
        [
            "channels.ticket.",
            "channels.ticket",
            "channels.ticket...",
            "channels.resume.v2",
            PROTOCOL,
            "channels.ticket.x.0.only",
            "channels.ticket.x.only",
            f"channels.ticket.{'A' * 4097}.0",
        ]
    )
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(tmp_path_factory.mktemp("hostile")) as place:
        yield place


@pytest.fixture
def place(running: Place) -> Iterator[Place]:
    yield running
    running.no_failure()


@pytest.mark.parametrize("how", SOME)
def test_any_control_frame_is_understood_ignored_or_4400(place: Place, how: settings) -> None:
    async def said(flavour: str, frames: list[str]) -> None:
        who = name("fuzzed")
        client = await place.open(flavour, who, acks=False)
        await client.send("count 0 5")
        assert await client.numbers(5) == [0, 1, 2, 3, 4]
        for frame in frames:
            if not frame.startswith(MARK):
                await client.write(MARK + frame)
        await client.send("echo 6")
        try:
            assert await client.numbers(1) == [6]
        except Closed as closed:
            assert closed.code == MALFORMED
            assert await place.code(who) == MALFORMED, "its consumer has ended in order"
        else:
            assert not place.notes("disconnect", who)
            await client.close()
            await place.code(who)
        await end_links()

    @how
    @given(flavour=st.sampled_from(("async", "sync")), frames=st.lists(CONTROLS, min_size=1, max_size=6))
    def fuzzed(flavour: str, frames: list[str]) -> None:
        asyncio.run(said(flavour, frames))
        place.no_failure()

    fuzzed()


@pytest.mark.parametrize("how", SOME)
def test_any_offer_gets_a_new_connection_or_none(place: Place, how: settings) -> None:
    async def offered(items: list[str]) -> None:
        client = place.client("async", name("fuzzed"))
        try:
            await client._open(None, items)
        except Closed as closed:
            assert closed.code == 4410 and any(item.endswith(".only") for item in items)
        except Refused as refused:
            assert refused.status in (400, 403)
        else:
            if client.recovered is None:
                assert not any(item.startswith("channels.ticket.") for item in items)
            else:
                assert client.recovered == "" and client.why == "invalid", items
            await client.send("echo 1")
            assert await client.numbers(1) == [1]
            await client.leave()
        await end_links()

    @how
    @given(items=st.lists(ITEMS, min_size=1, max_size=4).filter(lambda items: len("".join(items)) < 7000))
    def fuzzed(items: list[str]) -> None:
        asyncio.run(offered(items))
        place.no_failure()

    fuzzed()


MALFORMED_ONES = [
    "",
    "{",
    "[]",
    "1",
    "{}",
    '{"type": 1}',
    '{"type": "ack"}',
    '{"type": "ack", "n": -1}',
    '{"type": "ack", "n": "1"}',
    '{"type": "ack", "n": 1.5}',
    '{"type": "ack", "n": true}',
    '{"type": "ack", "n": null}',
    '{"type": "ack", "n": ' + "9" * 400 + "}",
    "{" * 5000,
]


@pytest.mark.parametrize("flavour", ["async", pytest.param("sync", marks=pytest.mark.slow)])
@pytest.mark.parametrize("frame", MALFORMED_ONES, ids=range(len(MALFORMED_ONES)))
async def test_a_malformed_control_frame_is_closed_with_4400(place: Place, flavour: str, frame: str) -> None:
    who = name("malformed")
    client = await place.open(flavour, who)
    await client.write(MARK + frame)
    assert await client.closed() == MALFORMED
    assert await place.code(who) == MALFORMED
    assert f"a client of '/{flavour}/' is closed with {MALFORMED}" in place.server.log(), "without its query"
    assert await client.back() == "", "that was its end"
    await client.leave()


async def test_unknown_types_and_members_are_ignored(place: Place) -> None:
    client = await place.open("async", name("unknown"))
    for kind in ("hello", "verdict", "pong", "go", "attach", "whatever", ""):
        await client.say(kind, ticket=client.ticket, have=9, n="x", recovered="all")
    await client.say("ack", n=0, more=[1])
    await client.send("echo 1")
    assert await client.numbers(1) == [1]
    client.cut()
    assert await client.back() == "all"
    await client.leave()


async def test_acknowledging_what_was_never_sent_harms_nobody_but_itself(place: Place) -> None:
    who = name("lies")
    client = await place.open("async", who, acks=False)
    await client.say("ack", n=10**9)
    await client.send("count 0 5")
    assert await client.numbers(5) == list(range(5))
    await client.say("ack", n=2)
    await client.say("ack", n=1)
    await client.say("ack", n=0)
    await client.pong()
    client.cut()
    assert await client.back() == "all"
    await client.say("ack", n=10**14)
    await place.tell(who, "count 5 10")
    assert await client.numbers(5) == list(range(5, 10)), "frames that come later are not taken for known"
    client.cut()
    await place.noted("parked", who)
    await place.tell(who, "count 10 12")
    assert await client.back() == "all"
    assert await client.numbers(2) == [10, 11]
    await client.leave()


async def test_what_follows_a_bye_is_heard_until_the_end(place: Place) -> None:
    who = name("bye")
    client = await place.open("async", who)
    await client.say("bye")
    await client.say("bye")
    await client.send("echo 1")
    assert await client.numbers(1) == [1]
    client.cut()
    await place.code(who)
    assert await client.back() == ""
    await client.leave()


@pytest.mark.holds_the_loop  # uvicorn does: it takes thousands of frames of one read apart
async def test_a_flood_of_pings_and_acknowledgements(place: Place) -> None:
    """Nobody reads the answers; others are served meanwhile."""
    client = await place.open("async", name("flood"), acks=False)
    other = await place.open("async", name("other"))
    client.link.transport.pause_reading()
    frame = MARK + json.dumps({"type": "ping"})
    flooding = asyncio.ensure_future(_flood(client, frame, 20_000))
    for number in range(20):
        await other.send(f"echo {number}")
        assert await other.numbers(1) == [number]
    flooding.cancel()
    await asyncio.wait((flooding,))
    client.cut()
    await other.leave()


async def _flood(client: Resuming, frame: str, count: int) -> None:
    for _ in range(count):
        await client.link.send(frame)


async def test_two_links_at_once_share_nothing(place: Place) -> None:
    """The older one ends: it neither gets frames nor is it heard any more."""
    who = name("twice")
    client = await place.open("async", who)
    old = client.link
    assert await client.back() == "all"
    await asyncio.wait_for(old.wait_closed(), 30)
    assert old.protocol.close_code == 4409
    await client.send("echo 1")
    assert await client.numbers(1) == [1]
    await client.leave()


async def test_many_links_at_once_with_one_ticket(place: Place) -> None:
    """One of them has the connection in the end; all of them end in order."""
    who = name("crowd")
    client = await place.open("async", who)
    crowd = []
    for _ in range(10):
        other = place.client("async", who)
        other.ticket, other.received = client.ticket, 0
        crowd.append(other)
    results = await asyncio.gather(*(one.back() for one in crowd))
    assert "all" in results and set(results) <= {"all", ""}
    assert await client.closed() == 4409
    alive = []
    for one, recovered in zip(crowd, results, strict=True):
        try:
            await one.send("who")
            alive.append((await one.receive_json())["self"])
        except Closed as closed:
            assert closed.code == 4409 and recovered == "all"
    assert len(set(alive)) == len(alive), "no two talk to the same consumer"
    assert len(place.notes("connect", who)) == 1 + results.count("")
    await end_links()


async def test_a_handshake_that_is_left_half_way(place: Place) -> None:
    """A ticket in a handshake that is cut, or cut at once after it, does not take the connection away."""
    who = name("half")
    client = await place.away("async", who)
    request = (
        f"GET /async/?{who} HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {client.origin}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {PROTOCOL}, channels.ticket.{client.ticket}.0\r\n\r\n"
    ).encode()
    for size in (len(request) // 2, len(request) - 2, len(request)):
        with socket.create_connection((place.server.host, place.server.port)) as sock:
            sock.sendall(request[:size])
    await place.tell(who, "echo 1")
    assert await client.back() == "all"
    assert await client.numbers(1) == [1]
    await client.leave()


async def test_frames_at_once_with_the_return(place: Place) -> None:
    """Data before the hello has come, which no client should send: heard, or not, and nothing worse."""
    who = name("quick")
    client = await place.away("async", who)
    await client.present(hear=False)
    for number in range(5):
        await client.write(f"hear {number}")
    frame = await client.link.recv()
    hello = json.loads(str(frame)[1:])
    assert (hello["type"], hello["recovered"], hello["have"]) == ("hello", "all", 0)
    await client.write("echo 1")
    assert await client.numbers(1) == [1]
    await client.leave()
    await place.code(who)
