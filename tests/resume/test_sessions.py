"""A connection outlives its sockets: the rows S of the acceptance list, on real servers."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.resume.place import FLAVOURS, Place, name, phrase, placed, value_of
from tests.support.clients import Client, Refused
from tests.support.proxy import Proxy
from tests.support.resuming import MARK, PROTOCOL, Closed, Resuming
from tests.support.servers import Address

BOTH = ("async", "sync")
ONE = ("async", pytest.param("sync", marks=pytest.mark.slow))
"""The other one is slow: what is tested lies below what they differ in."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sessions")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Place]:
    with placed(folder) as place:
        yield place


@pytest.fixture
def place(running: Place) -> Iterator[Place]:
    """The server that all tests share, which has not failed at their end."""
    yield running
    running.no_failure()


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The same with resuming turned off."""
    with placed(tmp_path_factory.mktemp("without"), CHANNEL_RESUME_SECONDS="0") as place:
        yield place


async def transcript(server: Address, path: str, *offered: str) -> bytes:
    """Every byte that the server sends to a plain client, but for the date."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    protocols = f"Sec-WebSocket-Protocol: {', '.join(offered)}\r\n" if offered else ""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(
        (
            f"GET {path} HTTP/1.1\r\nHost: {server.host}\r\nOrigin: http://{server.host}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"{protocols}Sec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
    )
    said = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)  # uvicorn loses frames that come before
    for text in ("echo one", f"echo {MARK}two", f"{MARK}{{}}", "count 0 20", "size 70000", "close 4001"):
        payload = text.encode()
        assert len(payload) < 126
        writer.write(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)  # masked with zeros
    said += await asyncio.wait_for(_to_the_close(reader), 30)
    writer.close()
    assert b" 101 " in said
    return re.sub(rb"\r\ndate: [^\r]*", b"", said)


async def _to_the_close(reader: asyncio.StreamReader) -> bytes:
    """All up to the close frame: with it the server waits for ours."""
    said = b""
    while True:
        head = await reader.readexactly(2)
        size, more = head[1], b""
        if size >= 126:
            more = await reader.readexactly(2 if size == 126 else 8)
            size = int.from_bytes(more, "big")
        said += head + more + await reader.readexactly(size)
        if head[0] == 0x88:
            return said


@pytest.mark.parametrize("flavour", BOTH)
async def test_S1_a_plain_client_sees_the_same_bytes(place: Place, without: Place, flavour: str) -> None:
    who = name("plain")
    on, off = [await transcript(one.server, f"/{flavour}/?{who}") for one in (place, without)]
    assert on == off
    assert b"hello" not in on and (MARK + "{}").encode() in on, "no frame is special"


async def test_S1_the_same_bytes_with_a_subprotocol_of_its_own(place: Place, without: Place) -> None:
    on, off = [
        await transcript(one.server, f"/async/?{name('chat')}", "chat.v1", "chat.v2")
        for one in (place, without)
    ]
    assert on == off and b"chat.v2" in on


@pytest.mark.parametrize("where", ["off", "without"])
async def test_S1_a_server_or_class_without_it_answers_plainly(
    place: Place, without: Place, where: str
) -> None:
    server, flavour = (place.server, "off") if where == "off" else (without.server, "async")
    with Client(server, f"/{flavour}/?{name('plain')}", subprotocols=[PROTOCOL]) as client:
        assert client.subprotocol is None
        client.send(f"echo {MARK}one")
        assert client.receive() == f"{MARK}one", "its first frame, as it is"
        client.send("who")
        said = client.receive_json()
        assert said["subprotocols"] == [] and PROTOCOL not in str(said["offered"])


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "end"])
async def test_S2_cut_and_back_every_frame_once_in_order(place: Place, reset: bool) -> None:
    await missed_nothing(place, "async", reset)


@pytest.mark.parametrize("flavour", [one for one in FLAVOURS if one != "async"])
async def test_S6_every_kind_of_consumer_passes_S2(place: Place, flavour: str) -> None:
    await missed_nothing(place, flavour, reset=True)


async def missed_nothing(place: Place, flavour: str, reset: bool) -> None:
    """100 numbered frames over two cuts: one that the server notices at once, and one in the middle."""
    before = (await place.resumable())["parked"]
    client = await place.open(flavour, name("misses"))
    await client.send(phrase(flavour, "echo 7"))
    assert value_of(await client.receive()) == 7, "it is in its groups"
    await place.publish(0, 30)
    got = await client.numbers(20)
    client.cut(reset=reset)
    await place.parked(before + 1)
    await place.publish(30, 70)
    assert await client.back() == "all"
    sending = asyncio.ensure_future(place.publish(70, 100))
    got += await client.numbers(35)
    client.cut(reset=reset)
    assert await client.back() == "all"
    got += await client.numbers(45)
    await sending
    assert got == list(range(100))
    await client.leave()


@pytest.mark.parametrize("flavour", BOTH)
async def test_S3_connect_and_disconnect_once_over_ten_cuts(place: Place, flavour: str) -> None:
    who = name("kept")
    client = await place.open(flavour, who)
    await client.send("who")
    first = await client.receive_json()
    assert first["resume"] is None
    for number in range(10):
        client.cut(reset=number % 2 == 0)
        assert await client.back() == "all"
        await client.send("who")
        assert await client.receive_json() == first, "the same object, channel and scope"
    assert len(place.notes("connect", who)) == 1 and not place.notes("disconnect", who)
    await client.leave()
    await place.code(who)


@pytest.mark.parametrize("flavour", [*BOTH, "mixed"])
async def test_S3_the_consumer_hears_of_its_clients_absence(place: Place, flavour: str) -> None:
    who = name("hears")
    client = await place.away(flavour, who)
    assert not place.notes("resumed", who)
    assert await client.back() == "all"
    await place.noted("resumed", who)
    assert [len(place.notes(what, who)) for what in ("parked", "resumed")] == [1, 1]
    await client.leave()


@pytest.mark.parametrize("flavour", ["short", "shortsync"])
async def test_S4_not_back_is_disconnected_once_and_its_groups_are_left(place: Place, flavour: str) -> None:
    who = name("gone")
    client = await place.open(flavour, who)
    assert client.park == 1
    client.cut()
    assert await place.code(who) == 1006
    stays = await place.open("async", name("stays"))
    here = await place.ask("numbers")
    assert await client.back() == "" and client.why == "gone"
    (_, again) = await place.noted("connect", who, 2)
    assert again["resume"] == {"recovered": "", "why": "gone"}, "it is told what it replaces"
    await place.tell(who, "echo 1")
    assert await client.receive() == "1", "the old consumer is in no group any more"
    assert (await place.ask("numbers"))["groups"] > here["groups"]
    for one in (client, stays):
        await one.leave()
    await place.noted("disconnect", who, 2)
    assert place.notes("disconnect", who)[0]["code"] == 1006


async def test_S4_the_environment_says_how_long(without: Place) -> None:
    with Client(without.server, f"/short/?{name('short')}", subprotocols=[PROTOCOL]) as client:
        assert client.subprotocol == PROTOCOL, "the class comes before the environment"


@pytest.mark.parametrize("flavour", ONE)
@pytest.mark.parametrize(
    "how", ["1000", "1001", "4007", "bye", "bye and a cut", "bye alone", "bye and a return"]
)
async def test_S5_a_goodbye_is_a_disconnect_at_once(place: Place, flavour: str, how: str) -> None:
    who = name("leaves")
    client = await place.open(flavour, who)
    if how.startswith("bye"):
        await client.pong()
        await client.say("bye")
        if how == "bye":
            await client.close()
        elif how == "bye and a cut":
            await client.pong()
            client.cut()
        elif how == "bye and a return":
            await client.pong()
            assert await client.back() == "" and client.why == "left"
            await client.leave()
    else:
        await client.close(int(how))
    code = await place.code(who)
    assert code == int(how) if how.isdigit() else code != 1001
    assert code == 1000 or how != "bye alone"
    assert not place.notes("parked", who)
    assert await client.back() == "", "there is nothing to come back to"
    assert client.why == "left"
    await client.leave()


async def test_S5_a_close_without_a_code_is_no_goodbye(place: Place) -> None:
    """The server reports a cut connection in the same way."""
    who = name("unclear")
    client = await place.open("async", who)
    await client.close_without_code()
    await place.noted("parked", who)
    assert await client.back() == "all"
    await client.leave()


async def test_S7_a_quiet_connection_comes_back(place: Place) -> None:
    client = await place.away("async", name("quiet"))
    assert client.received == 0
    assert await client.back() == "all"
    await client.leave()


async def test_S8_a_new_link_takes_over_before_the_server_has_noticed(place: Place) -> None:
    who = name("half")
    with Proxy(place.server.port) as proxy:
        client = await place.client("async", who).open(to=Address(proxy.port))
        await client.send("count 0 3")
        assert await client.numbers(3) == [0, 1, 2]
        proxy.hold()  # nothing passes any more, and nobody is told
        old = client.link
        await place.tell(who, "count 3 6")
        assert await client.back(to=place.server) == "all"
        assert await client.numbers(3) == [3, 4, 5]
        await client.send("echo 6")
        assert await client.numbers(1) == [6]
        proxy.release()
        await asyncio.wait_for(old.wait_closed(), 30)
        assert old.protocol.close_code == 4409
    assert not place.notes("disconnect", who) and not place.notes("parked", who)
    await place.tell(who, "echo 7")
    assert await client.numbers(1) == [7], "the end of the old link is not the connection's"
    await client.leave()


async def test_S8_frames_of_the_replaced_link_are_not_heard_twice(place: Place) -> None:
    who = name("late")
    with Proxy(place.server.port) as proxy:
        client = await place.client("async", who).open(to=Address(proxy.port))
        await client.pong()
        proxy.hold()
        old = client.link
        for number in range(5):
            await client.send(f"hear {number}")
        assert await client.back(to=place.server) == "all"
        proxy.release()  # the same frames come by the old link
        await asyncio.wait_for(old.wait_closed(), 30)
        await client.send("heard")
        assert await client.receive_json() == [0, 1, 2, 3, 4]
    await client.leave()


@pytest.mark.parametrize("flavour", BOTH)
async def test_S9_a_stuck_link_delays_no_handler(place: Place, flavour: str) -> None:
    who = name("stuck")
    path = "small" if flavour == "async" else "smallsync"
    client = await place.open(path, who, receive_buffer=4096, acks=False)
    client.link.transport.pause_reading()
    await place.tell(who, "count 0 200 1000")  # more than the sockets take, less than the journal
    await place.tell(who, "note done")
    await place.noted("noted", who)
    client.link.transport.resume_reading()
    client.acks = True
    assert await client.numbers(200) == list(range(200))
    await client.leave()


@pytest.mark.parametrize("flavour", ONE)
async def test_S9_a_full_journal_waits_for_a_link_that_reads_again(place: Place, flavour: str) -> None:
    who = name("full")
    client = await place.open("small" if flavour == "async" else "smallsync", who, receive_buffer=4096)
    client.link.transport.pause_reading()
    await place.tell(who, "count 0 3000 200")
    await place.tell(who, "note done")
    client.link.transport.resume_reading()
    assert await client.numbers(3000) == list(range(3000))
    await place.noted("noted", who)
    await client.leave()


FRAMES: list[str | bytes] = [
    b"\x00\xff binary",
    b"",
    "",
    "ä€𝄞",
    MARK,
    MARK * 3,
    f'{MARK}{{"type": "bye"}}',
    f'{MARK}{{"type": "hello", "ticket": "x", "have": 9}}',
    b"\x10{}",
    "x" * 200_000,
    b"\x10" * 50_000,
    "last",
]


async def test_S10_frames_of_every_kind_are_intact_over_a_cut(place: Place) -> None:
    client = await place.open("echo", name("frames"))
    got: list[str | bytes] = []
    for number, frame in enumerate(FRAMES):
        await client.send(frame)
        if number % 3 == 1:  # some are answered before the cut, some after it
            got.append(await client.receive())
        if number % 3 == 2:
            client.cut()
            assert await client.back() == "all"
    while len(got) < len(FRAMES):
        got.append(await client.receive())
    assert got == FRAMES
    await client.leave()


async def on_the_wire(client: Resuming) -> str | bytes:
    """The next frame of the application as it comes; an acknowledgement may come before."""
    while True:
        frame = await asyncio.wait_for(client.link.recv(), 30)
        if not (isinstance(frame, str) and frame.startswith(MARK + "{")):
            return frame
        client.ticket = json.loads(frame[1:]).get("ticket", client.ticket)


async def test_S10_a_leading_mark_is_doubled_on_the_wire(place: Place) -> None:
    client = await place.open("async", name("mark"))
    await client.write(f"echo {MARK}one")  # no mark leads here
    assert await on_the_wire(client) == f"{MARK}{MARK}one"
    await client.write(f"{MARK}{MARK}two")  # an unknown command: echoed as the consumer has it
    assert await on_the_wire(client) == f"{MARK}{MARK}two"
    await client.write(b"\x10three")
    assert await on_the_wire(client) == b"\x10three"
    client.received += 3
    client.sent += ["one", "two", "three"]
    client.cut()
    assert await client.back() == "all"
    await client.leave()


@pytest.mark.parametrize("flavour", BOTH)
async def test_S11_frames_that_a_group_shares_are_journaled(place: Place, flavour: str) -> None:
    clients = [await place.open(flavour, name("shares")) for _ in range(3)]
    for one in clients:
        await one.send("echo 0")
        assert await one.numbers(1) == [0]
    clients[0].cut()
    await place.noted("parked", clients[0].path.partition("?")[2])
    await place.publish(1, 100, frames="yes")
    clients[1].cut()
    for one in clients[:2]:
        assert await one.back() == "all"
    for one in clients:
        assert await one.numbers(99) == list(range(1, 100))
        await one.leave()


@pytest.mark.parametrize("flavour", ONE)
@pytest.mark.parametrize("passed", [1, 300, 1_200])
async def test_S11_a_burst_is_cut_in_the_middle(place: Place, flavour: str, passed: int) -> None:
    """The proxy drops the connection when so many bytes have passed, wherever in a frame that is."""
    with Proxy(place.server.port) as proxy:
        client = await place.client(flavour, name("burst")).open(to=Address(proxy.port))
        await client.send("echo 0")
        assert await client.numbers(1) == [0]
        left = passed

        def before(data: bytes, to_server: bool) -> bytes | None:
            nonlocal left
            if to_server:
                return data
            if left <= 0:
                return None
            data, left = data[:left], left - len(data)
            return data

        proxy.before = before
        sending = asyncio.ensure_future(place.publish(1, 400))
        got: list[int] = []
        with pytest.raises(Closed):
            while True:
                got += await client.numbers(1)
        assert await client.back(to=place.server) == "all"
        got += await client.numbers_until(399)
        await sending
    assert got == list(range(1, 400))
    await client.leave()


@pytest.mark.parametrize("flavour", BOTH)
async def test_S12_the_clients_frames_none_lost_none_twice(place: Place, flavour: str) -> None:
    with Proxy(place.server.port) as proxy:
        client = await place.client(flavour, name("says")).open(to=Address(proxy.port))
        left = 1000

        def before(data: bytes, to_server: bool) -> bytes | None:
            nonlocal left
            if to_server:
                left -= len(data)
                return data if left > 0 else None
            return data

        proxy.before = before
        for number in range(300):
            await client.send(f"hear {number}")
            await asyncio.sleep(0)
        await client.closed()
        left = 2000
        assert await client.back(to=Address(proxy.port)) == "all"
        await client.closed()
        proxy.before = None
        assert await client.back(to=place.server) == "all"
        for number in range(300, 310):
            await client.send(f"hear {number}")
        await client.send("heard")
        assert await client.receive_json() == list(range(310))
    await client.leave()


async def test_S12_the_clients_frames_are_acknowledged(place: Place) -> None:
    client = await place.open("async", name("acked"))
    for number in range(10):
        await client.send(f"hear {number}")
    await client.all_acknowledged()
    for number in range(256):  # at once after each 128
        await client.send(f"hear {number}")
    await client.all_acknowledged()
    client.cut()
    assert await client.back() == "all"
    assert client.acknowledged == 266
    await client.leave()


@pytest.mark.parametrize("flavour", ONE)
@pytest.mark.parametrize("command", ["count 0 1100", "count 0 300 1000"], ids=["frames", "bytes"])
async def test_S13_a_journal_that_overflows_ends_the_park(place: Place, flavour: str, command: str) -> None:
    who = name("over")
    client = await place.away(flavour, who)
    before = await place.resumable()
    await place.tell(who, command)
    assert await place.code(who) == 1006
    now = await place.resumable()
    assert now["lost"]["overflow"] == before["lost"].get("overflow", 0) + 1
    assert now["replaced"] == before["replaced"], "it may never come back"
    assert await client.back() == "" and client.why == "overflow"
    now = await place.resumable()
    assert now["replaced"] == before["replaced"] + 1 and now["resumed"] == before["resumed"]
    await client.send("echo 1")
    assert await client.numbers(1) == [1], "a new connection, without what was lost"
    await client.leave()


@pytest.mark.parametrize("flavour", BOTH)
@pytest.mark.parametrize("how", ["raise", "close", "kick", "user"])
async def test_S15_an_end_while_away_is_told_on_return(place: Place, flavour: str, how: str) -> None:
    who = name("ends")
    client = await place.away(flavour, who, headers={"Cookie": f"user={who}"})
    await place.tell(who, "count 0 3")
    if how == "raise":
        await place.tell(who, "raise")
    elif how == "close":
        await place.tell(who, "close 4003")
    else:
        await place.ask("kick", **{how if how == "user" else "who": who})
    code = 1011 if how == "raise" else 4003
    assert await place.code(who) == code
    await client.present()
    assert await client.closed() == code
    assert await client.numbers(3) == [0, 1, 2], "what was sent before"
    assert await client.back() == "" and client.why == "gone", "told once"
    await client.leave()


@pytest.mark.parametrize("flavour", BOTH)
async def test_S15_the_last_frames_and_the_close_are_not_lost_with_a_dead_link(
    place: Place, flavour: str
) -> None:
    who = name("last")
    with Proxy(place.server.port) as proxy:
        client = await place.client(flavour, who).open(to=Address(proxy.port))
        await client.send("count 0 2")
        assert await client.numbers(2) == [0, 1]
        proxy.hold()  # nothing passes any more, and nobody is told
        parked = (await place.resumable())["parked"]
        await place.tell(who, "count 2 4")
        await place.tell(who, "close 4003")
        assert await place.code(who) == 4003, "the application is told at once"
        assert (await place.resumable())["parked"] == parked, "no consumer waits"
        for count in (2, 3):  # the second time it has had one of the frames, but not the close
            await client.present(to=place.server, received=count)
            assert client.recovered == "all"
            assert await client.closed() == 4003
            assert await client.numbers(4 - count) == list(range(count, 4))
        assert await client.back(to=place.server, received=4) == "", "it has had all, and so the close"
        assert client.why == "gone"
    await client.leave()


async def test_S15_nothing_is_kept_of_a_client_that_has_acknowledged_all(place: Place) -> None:
    who = name("had")
    client = await place.open("async", who)
    await client.send("count 0 2")
    assert await client.numbers(2) == [0, 1]
    await client.ack()
    await client.pong()
    await place.tell(who, "close 4003")
    assert await client.closed() == 4003
    assert await client.back() == "" and client.why == "gone"
    await client.leave()


async def test_S16_the_consumers_own_subprotocol_and_ours_hidden(place: Place) -> None:
    client = await place.open("async", name("chat"), protocols=["chat.v1", "chat.v2"])
    for _ in range(2):
        assert client.link.subprotocol == "chat.v2"
        await client.send("who")
        said = await client.receive_json()
        assert said["subprotocols"] == ["chat.v1", "chat.v2"]
        assert re.split(", *", said["offered"][0]) == ["chat.v1", "chat.v2"]
        client.cut()
        assert await client.back() == "all"
    await client.leave()


async def test_S16_without_a_subprotocol_of_its_own_it_is_ours(place: Place) -> None:
    client = await place.open("async", name("none"), protocols=["chat.v1"])
    assert client.link.subprotocol == PROTOCOL
    client.cut()
    assert await client.back() == "all"
    assert client.link.subprotocol == PROTOCOL
    await client.leave()


@pytest.mark.parametrize("flavour", BOTH)
async def test_S17_a_refusal_is_still_403(place: Place, flavour: str) -> None:
    who = name("refused")
    with pytest.raises(Refused) as refused:
        await place.client(flavour, who).open()
    assert refused.value.status == 403
    other = await place.open(flavour, name("other"))
    client = place.client(flavour, who)
    with pytest.raises(Refused) as refused:
        await client.back(ticket=other.ticket)
    assert refused.value.status == 403
    await other.leave()


async def test_S18_a_client_that_is_away_is_not_idle(place: Place) -> None:
    who = name("idle")
    client = await place.away("idle", who)
    beside = await place.open("idle", name("beside"))
    assert await beside.closed() == 1001, "the time has passed for one that is here"
    assert await client.back() == "all"
    await client.leave()
    assert await place.code(who) == 1000


async def test_S18_a_client_that_is_away_has_no_heartbeat(place: Place) -> None:
    who = name("beats")
    client = await place.open("beating", who)
    await place.noted("beat", who, 2)
    client.cut()
    await place.noted("parked", who)
    before = len(place.notes("beat", who))
    other = name("beats")
    beside = await place.open("beating", other)
    await place.noted("beat", other, 4)
    assert len(place.notes("beat", who)) <= before + 1, "one may have waited in its inbox"
    assert await client.back() == "all"
    await place.noted("beat", who, before + 3)
    for one in (client, beside):
        await one.leave()


async def back_at_last(client: Resuming) -> str:
    """Come back as often as it is asked to come later: a place is free a moment after ``disconnect()``."""
    while True:
        try:
            return await client.back()
        except Closed as closed:
            assert closed.code == 1013


async def test_S18_links_and_those_who_are_away_do_not_count_as_connections(place: Place) -> None:
    user = {"Cookie": f"user={name('counted')}"}
    await place.ask("limit", user=2)
    try:
        first, second = name("first"), name("second")
        one = await place.open("async", first, headers=user)
        two = await place.open("async", second, headers=user)
        with pytest.raises(Refused):
            await place.client("async", name("third"), headers=user).open()
        assert await one.back() == "all", "a second link of it, and the limit is reached"
        one.cut()
        await place.noted("parked", first)
        three = await place.open("async", name("third"), headers=user)
        with pytest.raises(Refused):
            await place.client("async", name("fourth"), headers=user).open()
        with pytest.raises(Closed) as closed:
            await one.back()
        assert closed.value.code == 1013, "was: there were three then, twice the limit with patience"
        await two.leave()
        await place.code(second)
        assert await asyncio.wait_for(back_at_last(one), 30) == "all", "it has waited for its place"
        assert len(place.notes("connect", first)) == 1
        for client in (one, three):
            await client.leave()
        await place.code(first)
        again = await place.open("async", name("fifth"), headers=user)
        await again.leave()
    finally:
        await place.ask("limit", user=0)


@pytest.mark.parametrize("flavour", BOTH)
async def test_a_consumer_knows_what_its_client_has(place: Place, flavour: str) -> None:
    who = name("knows")
    client = await place.open(flavour, who)

    async def answered(count: int) -> bool:
        while len(place.notes("delivered", who)) < count:
            await client.pong()  # it reads what it is asked meanwhile
        return bool(place.notes("delivered", who)[-1]["value"])

    await client.send("count 0 3")
    await client.send("delivered 30")
    assert await client.numbers(3) == [0, 1, 2]
    assert await answered(1) is True
    client.cut()
    await place.noted("parked", who)
    await place.tell(who, "count 3 5")
    await place.tell(who, "delivered 0.1")
    (_, note) = await place.noted("delivered", who, 2)
    assert note["value"] is False, "it is away"
    await place.tell(who, "delivered 30")
    assert await client.back() == "all"
    assert await client.numbers(2) == [3, 4]
    assert await answered(3) is True
    await client.leave()


async def test_only_a_connection_that_is_there(place: Place) -> None:
    who = name("only")
    client = await place.open("async", who)
    client.cut()
    await place.noted("parked", who)
    await client.present(only=True)
    assert client.recovered == "all"
    await client.leave()
    await place.code(who)
    await client.present(only=True, hear=False)
    assert await client.closed() == 4410
    assert not client.frames, "no consumer was made"
    assert len(place.notes("connect", who)) == 1


async def at_rest(place: Place) -> dict[str, Any]:
    """The counters, once those who have just left do not count any more."""
    counters = await place.resumable()
    while True:
        await asyncio.sleep(0.1)
        now = await place.resumable()
        if now == counters:
            return counters
        counters = now


async def test_counters_say_how_many_are_here_and_away(place: Place) -> None:
    before = await at_rest(place)
    client = await place.away("async", name("counted"))
    away = await place.resumable()
    assert (away["live"], away["parked"]) == (before["live"], before["parked"] + 1)
    assert await client.back() == "all"
    back = await place.resumable()
    assert (back["live"], back["parked"]) == (before["live"] + 1, before["parked"])
    assert back["resumed"] == before["resumed"] + 1
    await client.leave()


async def test_a_new_connection_begins_to_count_anew(place: Place) -> None:
    """What the server has not acknowledged of the old connection is the page's to judge."""
    who = name("anew")
    client: Resuming = await place.open("async", who)
    await client.send("count 0 3")
    await client.numbers(3)
    client.cut()
    await place.noted("parked", who)
    await place.tell(who, "count 3 1103")  # more than is kept for it
    await place.code(who)
    await client.send("hear 1")
    assert await client.back() == ""
    assert client.received == 0 and "hear 1" in client.unsure
    await client.send("count 0 2")
    assert await client.numbers(2) == [0, 1]
    client.cut()
    assert await client.back() == "all"
    await client.send("heard")
    heard: Any = json.loads(await client.receive())
    assert heard == []
    await client.leave()
