"""The client for Python over real sockets, with a server that says what the test wants."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from compat.client import Client, Closed, QueueFull
from compat.client.frames import LIMIT_BYTES
from compat.client.links import origin_of
from tests.resume.false_world import FalseWorld, settle
from tests.resume.wire_server import ServedLink, WireServer, wire_server
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.proxy import Proxy
from tests.support.waiting import until_async


@pytest.fixture
async def server() -> AsyncIterator[WireServer]:
    async with wire_server() as one:
        yield one


@pytest.fixture
async def plain_server() -> AsyncIterator[WireServer]:
    """It has never heard of resuming."""
    async with wire_server(None) as one:
        yield one


def state_of(client: Client) -> str:
    """Its state, of which a type checker believes that it may change."""
    return client.state


async def state(client: Client, wanted: str) -> None:
    await until_async(lambda: client.state == wanted, f"the client is {wanted}")


async def enter(client: Client, server: WireServer) -> ServedLink:
    """Connect, with T1 as ticket."""
    entering = asyncio.ensure_future(client.__aenter__())
    link = await server.link()
    await link.hello("T1")
    assert await entering is client
    return link


# Frames


async def test_frames_go_both_ways(server: WireServer) -> None:
    client = Client(server.url, subprotocols=["chat"], headers={"Cookie": "sessionid=1"})
    link = await enter(client, server)
    assert link.offered == ["channels.resume.v1", "chat"]
    assert link.socket.request is not None and link.socket.request.headers["Cookie"] == "sessionid=1"
    assert (client.state, client.recovered) == ("open", None)
    for frame in ("text", b"bytes", "", b"", "ü" * 200_000, "\x10marked"):
        await client.send(frame)
        arrived = await link.next_data()
        assert arrived == ("\x10\x10marked" if frame == "\x10marked" else frame)
        await link.send(arrived)
        assert await client.receive() == frame
    await client.send(bytearray(b"copied"))
    assert await link.next_data() == b"copied"
    await client.close()


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        (None, "http://127.0.0.1:{port}"),
        ({"Cookie": "a=b"}, "http://127.0.0.1:{port}"),
        ({"Origin": "https://example.com"}, "https://example.com"),
        ({"oRIGIN": "null"}, "null"),
    ],
)
async def test_the_origin_is_that_of_the_server(
    server: WireServer, headers: dict[str, str] | None, origin: str
) -> None:
    client = Client(server.url, headers=headers)
    link = await enter(client, server)
    port = urlsplit(server.url).port
    assert link.socket.request is not None
    assert link.socket.request.headers.get_all("Origin") == [origin.format(port=port)]
    await client.close()


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("ws://Example.org/x", "http://example.org"),
        ("ws://example.org:80", "http://example.org"),
        ("wss://ada:secret@example.org:443/x?y", "https://example.org"),
        ("wss://example.org:80/", "https://example.org:80"),
        ("ws://[::1]:8000/", "http://[::1]:8000"),
        ("wss://bücher.example/", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_written_as_browsers_do(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize("frame", [7, None, {"type": "x"}, ["text"]])
async def test_only_text_and_bytes_are_frames(server: WireServer, frame: object) -> None:
    client = Client(server.url)
    await enter(client, server)
    with pytest.raises(TypeError, match="expected text or bytes"):
        await client.send(frame)  # type: ignore[arg-type]  # a mistake of the user's
    with pytest.raises(UnicodeEncodeError):
        await client.send("\ud800")
    await client.close()


async def test_a_reader_that_does_not_read_stops_the_socket(server: WireServer) -> None:
    client = Client(server.url)
    link = await enter(client, server)

    async def send_much() -> None:
        for number in range(512):
            await link.send(bytes([number % 256]) * 65536)

    sending = asyncio.ensure_future(send_much())
    await until_async(lambda: client._inbox.is_full, "the inbox is full")
    await until_async(lambda: link.socket.transport.get_write_buffer_size() > 0, "the server waits")
    assert not sending.done()
    assert client._inbox.size <= LIMIT_BYTES + 65536
    for number in range(512):
        assert (await client.receive())[:1] == bytes([number % 256])
    await sending
    await client.close()


async def test_a_sender_waits_for_acknowledgements(server: WireServer) -> None:
    client = Client(server.url)
    link = await enter(client, server)
    half = b"x" * (LIMIT_BYTES // 2)
    await client.send(half)
    await client.send(half)
    third = asyncio.ensure_future(client.send(half))
    assert await link.next_data() == half == await link.next_data()
    assert not third.done()
    await link.control("ack", n=1)
    await third
    assert await link.next_data() == half
    await client.close()


async def test_a_frame_over_the_limit_goes_alone(server: WireServer) -> None:
    client = Client(server.url)
    link = await enter(client, server)
    large = b"x" * (LIMIT_BYTES + 1)
    await client.send(large)
    small = asyncio.ensure_future(client.send(b"y"))
    assert await link.next_data() == large and not small.done()
    await link.control("ack", n=1)
    assert await link.next_data() == b"y"
    await small
    await client.close()


# Cuts


async def test_a_cut_loses_nothing_and_repeats_nothing(server: WireServer) -> None:
    changes: list[tuple[str, str | None]] = []
    with Proxy(server.port) as proxy:
        client = Client(
            f"ws://127.0.0.1:{proxy.port}/", on_change=lambda one: changes.append((one.state, one.recovered))
        )
        link = await enter(client, server)
        await link.send("first")
        assert await client.receive() == "first"
        await client.send("0")
        await client.send("1")
        assert [await link.next_data(), await link.next_data()] == ["0", "1"]
        proxy.cut()
        await state(client, "away")
        assert client.end is not None and client.end.code == 1006
        await client.send("2")
        link = await server.link()
        assert link.offered[-1] == "channels.ticket.T1.1"
        await link.hello("T2", have=1, recovered="all")
        assert [await link.next_data(), await link.next_data()] == ["1", "2"]
        await link.send("second")
        assert await client.receive() == "second"
        assert client.unsure == []
        await client.close()
    assert changes == [("open", None), ("away", None), ("open", "all"), ("closed", "all")]


async def test_handshakes_that_are_cut_are_tried_again(server: WireServer) -> None:
    with Proxy(server.port) as proxy:
        proxy.before = lambda data, to_server: None if proxy.connections == 1 else data
        client = Client(f"ws://127.0.0.1:{proxy.port}/")
        link = await enter(client, server)
        assert proxy.connections == 2
        proxy.before = lambda data, to_server: None if proxy.connections < 5 else data
        proxy.cut()
        link = await server.link()
        assert (proxy.connections, client.state) == (5, "away")
        assert link.offered[-1] == "channels.ticket.T1.0"
        await link.hello("T2", recovered="all")
        await state(client, "open")
        await client.close()


async def test_a_new_connection_says_what_it_is_unsure_of(server: WireServer) -> None:
    client = Client(server.url)
    link = await enter(client, server)
    for frame in ("0", "1", b"2"):
        await client.send(frame)
        assert await link.next_data() == frame
    await link.control("ack", n=1)
    await link.end(1012)
    await state(client, "away")
    await client.send("3")
    link = await server.link()
    await link.hello("T2", recovered="groups", why="home")
    assert await link.next_data() == "3"
    assert (client.state, client.recovered, client.why) == ("open", "groups", "home")
    assert client.unsure == ["1", b"2"]
    assert client.take_unsure() == ["1", b"2"]
    assert client.unsure == client.take_unsure() == []
    await link.send("goes on")
    assert await client.receive() == "goes on"
    await client.close()


@pytest.mark.parametrize("reason", ["keepalive ping timeout", "another"])
async def test_a_link_whose_pings_were_not_answered_is_lost(server: WireServer, reason: str) -> None:
    client = Client(server.url)
    link = await enter(client, server)
    await link.end(1011, reason)
    if reason == "another":
        with pytest.raises(Closed, match=reason):
            await client.receive()
        return
    link = await server.link()
    await link.hello("T2", recovered="all")
    await state(client, "open")
    await client.close()


async def test_only_ends_with_the_connection(server: WireServer) -> None:
    client = Client(server.url, only=True)
    link = await enter(client, server)
    await client.send("0")
    assert await link.next_data() == "0"
    await link.end(1012)
    link = await server.link()
    assert link.offered[-1] == "channels.ticket.T1.0.only"
    await link.end(4410)
    with pytest.raises(Closed, match="has not kept the connection") as closed:
        await client.receive()
    assert closed.value.code == 1006 and client.take_unsure() == ["0"]
    await client.close()


@pytest.mark.parametrize("subprotocol", [None, "json"])
async def test_only_ends_where_the_server_does_not_resume_any_more(
    server: WireServer, subprotocol: str | None
) -> None:
    """Was: it went on with a new connection, to which it wrote what waited."""
    client = Client(server.url, subprotocols=["json"], only=True)
    link = await enter(client, server)
    await client.send("kept")
    assert await link.next_data() == "kept"
    server.subprotocol = subprotocol
    await link.end(1012)
    link = await server.link()
    if subprotocol is not None:
        await link.send("from a plain server")
    with pytest.raises(Closed, match="has not kept the connection"):
        await client.receive()
    assert client.take_unsure() == ["kept"]
    await client.close()


# People


async def test_people_are_watched_over_links(server: WireServer) -> None:
    ada, bob = {"metas": [{}], "away": False}, {"metas": [{}, {}], "away": True}
    client = Client(server.url)
    presence = client.presence("chat_x")  # before there is a link
    link = await enter(client, server)
    assert await link.next_data() == '\x10{"type": "presence", "group": "chat_x"}'
    seen = aiter(presence)
    await link.control("presence", group="chat_x", people={"ada": ada}, version=1)
    assert await anext(seen) == {"ada": ada}
    await link.control("presence", group="chat_x", joins={"bob": bob}, leaves={"ada": ada}, version=2)
    await link.control("presence", group="chat_y", people={}, version=1)  # that nobody watches
    assert await anext(seen) == {"bob": bob}
    await link.end(1012)
    link = await server.link()
    await link.hello("T2", recovered="all")
    assert await link.next_data() == '\x10{"type": "presence", "group": "chat_x"}'
    other = client.presence("chat_y")
    assert await link.next_data() == '\x10{"type": "presence", "group": "chat_y"}'
    assert client.presence("chat_x") is presence
    await link.control("presence", group="chat_y", refused="not joined")
    assert await anext(aiter(other)) == {} and other.refused == "not joined"
    await client.close()
    assert presence.people == {"bob": bob}
    assert [people async for people in seen] == []
    assert [people async for people in client.presence("chat_z")] == []


async def test_people_are_asked_for_again_after_a_refusal(server: WireServer) -> None:
    """The consumer may have joined the group since."""
    asked = '\x10{"type": "presence", "group": "chat_x"}'
    client = Client(server.url)
    link = await enter(client, server)
    presence = client.presence("chat_x")
    seen = aiter(presence)
    assert await link.next_data() == asked
    await link.control("presence", group="chat_x", refused="not joined")
    assert await anext(seen) == {}
    for _ in range(2):
        assert client.presence("chat_x") is presence
    await client.send("behind the only question")
    assert [await link.next_data() for _ in range(2)] == [asked, "behind the only question"]
    ada = {"metas": [{}], "away": False}
    await link.control("presence", group="chat_x", people={"ada": ada}, version=1)
    assert await anext(seen) == {"ada": ada} and not presence.refused
    client.presence("chat_x")
    await client.send("behind no question")
    assert await link.next_data() == "behind no question"
    await client.close()


@pytest.mark.parametrize("told", [{"people": []}, {"joins": 7}, {"leaves": "ada"}])
async def test_people_that_are_no_objects_end_the_link(server: WireServer, told: dict[str, object]) -> None:
    client = Client(server.url)
    link = await enter(client, server)
    client.presence("chat_x")
    await link.next_data()
    await link.control("presence", group="chat_x", **told)
    assert await link.ended() == 4400
    await client.close()


async def test_while_it_is_away_a_mebibyte_waits(server: WireServer) -> None:
    client = Client(server.url)
    link = await enter(client, server)
    server.status = 503
    await link.end(1012)
    await state(client, "away")
    for _ in range(4):
        await client.send(b"x" * (LIMIT_BYTES // 4))
    with pytest.raises(QueueFull, match="1 MiB"):
        await client.send(b"y")
    await until_async(lambda: server.handshakes >= 2, "another attempt")
    server.status = None
    link = await server.link()
    await link.hello("T2", recovered="all")
    for _ in range(4):
        assert len(await link.next_data()) == LIMIT_BYTES // 4
    await link.control("ack", n=4)
    await client.send(b"y")
    assert await link.next_data() == b"y"
    await client.close()


# Ends


async def test_close_writes_what_waits_and_says_goodbye(server: WireServer) -> None:
    client = Client(server.url)
    link = await enter(client, server)
    await link.send("unread")
    await until_async(lambda: len(client._inbox), "a frame has come")
    await client.send("last")
    closing = asyncio.ensure_future(client.close(4001, "enough"))
    assert await link.next_data() == "last"
    assert await link.next_data() == '\x10{"type": "bye"}'
    assert await link.ended() == 4001
    await closing
    await client.close()
    assert await client.receive() == "unread"
    with pytest.raises(Closed) as closed:
        await client.receive()
    assert (closed.value.code, client.state) == (4001, "closed")
    with pytest.raises(Closed, match="closed with 4001"):
        await client.send("late")


@pytest.mark.parametrize(("code", "reason"), [(1001, ""), (2999, ""), (5000, ""), (1000, "x" * 124)])
async def test_close_takes_what_a_close_frame_may_carry(server: WireServer, code: int, reason: str) -> None:
    client = Client(server.url)
    await enter(client, server)
    with pytest.raises(ValueError, match="expected"):
        await client.close(code, reason)
    await client.close()


async def test_the_end_of_a_loop(server: WireServer) -> None:
    for code in (1000, 4003):
        client = Client(server.url)
        link = await enter(client, server)
        await link.send("a")
        await link.send(b"b")
        await link.end(code, "so")
        read = []
        try:
            async for frame in client:
                read.append(frame)
        except Closed as closed:
            assert (closed.code, closed.reason) == (4003, "so")
        else:
            assert code == 1000
        assert read == ["a", b"b"]


async def test_the_block_closes(server: WireServer) -> None:
    entering = asyncio.ensure_future(server.link())

    async def greet() -> ServedLink:
        link = await entering
        await link.hello("T1")
        return link

    greeting = asyncio.ensure_future(greet())
    async with Client(server.url) as client:
        link = await greeting
        assert state_of(client) == "open"
    assert state_of(client) == "closed" and await link.ended() == 1000
    with pytest.raises(RuntimeError, match="connects once"):
        await client.__aenter__()
    with pytest.raises(RuntimeError, match="not connected"):
        await Client(server.url).receive()


async def test_a_malformed_control_frame_ends_it(
    server: WireServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(server.url)
    link = await enter(client, server)
    await link.send("\x10{")
    assert await link.ended() == 4400
    with pytest.raises(Closed) as closed:
        await client.receive()
    assert closed.value.code == 4400 and "U+0010" in caplog.text


@pytest.mark.parametrize(("status", "attempts"), [(403, 1), (401, 1), (404, 2)])
async def test_a_refusal_is_told(server: WireServer, status: int, attempts: int) -> None:
    """The second attempt is a plain one, for servers that refuse unknown subprotocols."""
    server.status = status
    with pytest.raises(Closed, match=f"HTTP {status}") as closed:
        async with Client(server.url):
            pytest.fail("it is not open")
    assert (closed.value.code, closed.value.reason) == (1006, f"HTTP {status}")
    assert server.handshakes == attempts


async def test_a_refused_return_is_the_end(server: WireServer) -> None:
    client = Client(server.url)
    link = await enter(client, server)
    server.status = 401
    await link.end(1012)
    with pytest.raises(Closed, match="HTTP 401"):
        await client.receive()


async def test_a_return_that_is_refused_with_403_is_tried_again(server: WireServer) -> None:
    """Its consumer's ``connect()`` may have failed, in an outage of the database."""
    client = Client(server.url)
    link = await enter(client, server)
    server.status = 403
    await link.end(1012)
    await until_async(lambda: server.handshakes >= 3, "it has tried twice")
    assert client.state == "away"
    server.status = None
    link = await server.link()
    assert link.offered == ["channels.resume.v1", "channels.ticket.T1.0"]
    await link.hello("T2", recovered="", why="gone")
    await state(client, "open")
    await client.close()


async def test_the_log_says_once_why_a_server_cannot_be_reached(caplog: pytest.LogCaptureFixture) -> None:
    tried = 0

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tried
        tried += 1
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as plain_server:
        client = Client(f"wss://127.0.0.1:{plain_server.sockets[0].getsockname()[1]}/")
        entering = asyncio.ensure_future(client.__aenter__())
        await until_async(lambda: tried > 2, "it has tried more than once")
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
    (said,) = [record.getMessage() for record in caplog.records if record.name == "compat.client"]
    assert said.startswith(f"{client.url} cannot be reached: ") and "ssl" in said.lower()


async def test_no_connection_in_time(server: WireServer) -> None:
    client = Client(server.url)
    entering = asyncio.ensure_future(client.__aenter__())
    link = await server.link()
    await (await link.socket.ping())  # then its side of the handshake is done, too
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert state_of(client) == "closed"
    assert await link.ended() == 1000


# Servers that do not resume


async def test_a_server_that_does_not_resume(plain_server: WireServer) -> None:
    client = Client(plain_server.url)
    async with client:
        link = await plain_server.link()
        await client.send("\x10{")
        assert await link.next() == "\x10{"
        await link.send('\x10{"type": "hello"}')
        assert await client.receive() == '\x10{"type": "hello"}'
        link.socket.transport.abort()
        link = await plain_server.link()
        assert link.offered == ["channels.resume.v1"]
        await state(client, "open")
        assert (client.recovered, client.why) == ("", "plain")
        await client.send("again")
        assert await link.next() == "again"
    assert await link.ended() == 1000


async def test_it_gives_resuming_up_where_the_server_has(server: WireServer) -> None:
    client = Client(server.url, subprotocols=["chat"])
    link = await enter(client, server)
    assert client.subprotocol is None, "that of resuming is not the application's"
    await client.send("0")
    assert await link.next_data() == "0"
    server.subprotocol = "chat"
    await link.end(1012)
    link = await server.link()
    await link.send("no hello")
    assert await client.receive() == "no hello"
    assert (client.state, client.recovered, client.why) == ("open", "", "plain")
    assert client.subprotocol == "chat"
    assert client.take_unsure() == ["0"]
    await client.close()


# Time


async def test_a_plain_server_is_asked_for_a_sign_of_life() -> None:
    world = FalseWorld()
    client = Client("ws://example.org/", world=world)
    entering = asyncio.ensure_future(client.__aenter__())
    await settle()
    world.link.accept("")
    await entering
    await world.wait(100)
    assert state_of(client) == "open"
    world.link.answers_pings = False
    await world.wait(28)
    assert state_of(client) == "away"
    await client.close()


async def test_an_answer_that_is_behind_a_large_frame_is_waited_for_longer_on_the_next_link() -> None:
    """Was: a frame that took more than 28 s began again on each link, for ever."""
    world = FalseWorld()
    client = Client("ws://example.org/", world=world)
    entering = asyncio.ensure_future(client.__aenter__())
    await settle()

    async def linked(recovered: str = "") -> None:
        world.link.accept("channels.resume.v1")
        world.link.serve(f'\x10{{"type": "hello", "ticket": "T1", "have": 0, "park": 120{recovered}}}')
        await settle()

    await linked()
    await entering
    for seconds in (3, 6, 12):
        await world.wait(25 + seconds - 0.5)
        assert state_of(client) == "open"
        await world.wait(1)
        assert state_of(client) == "away"
        await world.wait(1)
        await linked(', "recovered": "all"')
    await world.wait(25 + 20)
    world.link.serve('\x10{"type": "pong"}')
    await settle()
    await world.wait(25 + 20)
    assert state_of(client) == "open", "the next one may be as late"
    await world.wait(5)
    assert state_of(client) == "away"
    await world.wait(1)
    await linked(', "recovered": "all"')
    await world.wait(26)
    world.link.serve('\x10{"type": "pong"}')
    await settle()
    await world.wait(29)
    assert state_of(client) == "away", "but one that was soon there is waited for as long"
    await world.wait(1)
    await linked(', "recovered": "all"')
    for _ in range(8):
        await world.wait(1)
        world.link.serve("a frame")
        await settle()
    await world.wait(29)
    assert state_of(client) == "away", "and so is one on a link with many frames"
    await client.close()


async def resuming_in(world: FalseWorld) -> Client:
    """A client on a link of a server that resumes."""
    client = Client("ws://example.org/", world=world)
    entering = asyncio.ensure_future(client.__aenter__())
    await settle()
    world.link.accept("channels.resume.v1")
    world.link.serve('\x10{"type": "hello", "ticket": "T1", "have": 0, "park": 120}')
    await entering
    return client


@pytest.mark.parametrize("parts", [1, 0], ids=["in_parts", "in_bytes"])
async def test_an_answer_is_waited_for_as_long_as_what_is_before_it_goes_on_leaving(parts: int) -> None:
    world = FalseWorld()
    client = await resuming_in(world)
    for left in range(120, 0, -1):
        world.link.unsent = (left * parts, left)
        await world.wait(1)
        assert state_of(client) == "open", f"cut with {left} left"
    await world.wait(120)
    assert state_of(client) == "away", "it is stuck: the network is gone"
    await client.close()


async def test_after_a_large_frame_an_answer_is_waited_for_longer() -> None:
    """What is on its way through the network is not seen."""
    world = FalseWorld()
    client = await resuming_in(world)
    world.link.unsent = (10, 0)
    await world.wait(25)
    world.link.unsent = (0, 0)
    await world.wait(3 + 5.5)
    assert state_of(client) == "open"
    await world.wait(1)
    assert state_of(client) == "away"
    await client.close()


async def test_that_the_question_has_left_is_no_sign_of_life() -> None:
    world = FalseWorld()
    client = await resuming_in(world)
    await world.wait(25)
    world.link.unsent = (0, 20)
    await world.wait(2.5)
    world.link.unsent = (0, 0)
    await world.wait(1)
    assert state_of(client) == "away"
    await client.close()


async def test_a_goodbye_waits_for_as_long_as_what_is_before_it_goes_on_leaving() -> None:
    world = FalseWorld()
    client = await resuming_in(world)
    world.link.unsent = (60, 0)
    closing = asyncio.ensure_future(client.close())
    for left in range(60, 0, -1):
        world.link.unsent = (left, 0)
        await world.wait(1)
        assert state_of(client) == "open", f"cut with {left} left"
    await world.wait(20)
    assert state_of(client) == "closed", "it is stuck"
    await closing


async def test_before_a_goodbye_one_frame_leaves_after_the_other() -> None:
    world = FalseWorld()
    client = await resuming_in(world)
    world.link.lets_through = asyncio.Semaphore(0)
    for _ in range(5):
        await client.send(b"x" * 200_000)
    world.link.unsent = (6, 0)
    closing = asyncio.ensure_future(client.close())
    for number in range(4):
        world.link.unsent = (1, 0)
        await world.wait(1)
        world.link.lets_through.release()  # and then another frame begins
        world.link.unsent = (6, 0)
        world.link.serve('\x10{"type": "pong"}')
        await world.wait(8)
        assert state_of(client) == "open", f"cut after {number} frames"
    await world.wait(20)
    assert state_of(client) == "closed"
    await closing


async def test_what_is_not_read_is_no_silence() -> None:
    world = FalseWorld()
    client = Client("ws://example.org/", world=world)
    entering = asyncio.ensure_future(client.__aenter__())
    await settle()
    link = world.link
    link.accept("channels.resume.v1")
    link.serve('\x10{"type": "hello", "ticket": "T1", "have": 0, "park": 120}')
    await entering
    for _ in range(3):
        link.serve(b"x" * LIMIT_BYTES)
    await settle()
    await world.wait(300)
    assert state_of(client) == "open" and link.frames.qsize() == 2
    for _ in range(3):
        assert len(await client.receive()) == LIMIT_BYTES
        await settle()
    await world.wait(24)
    assert state_of(client) == "open"
    await world.wait(4)
    assert state_of(client) == "away"
    await client.close()


async def test_a_promised_hello_that_does_not_come() -> None:
    world = FalseWorld()
    client = Client("ws://example.org/", world=world)
    entering = asyncio.ensure_future(client.__aenter__())
    await settle()
    world.link.accept("channels.resume.v1")
    await world.wait(11)
    assert state_of(client) == "connecting" and len(world.links) == 2
    entering.cancel()
    await asyncio.wait((entering,))


async def test_a_silent_server_with_the_users_subprotocol_counts_as_plain() -> None:
    """It takes more than 1 MiB, though it acknowledges nothing."""
    world = FalseWorld()
    client = Client("ws://example.org/", subprotocols=["chat"], world=world)
    entering = asyncio.ensure_future(client.__aenter__())
    await settle()
    world.link.accept("chat")
    await entering
    await client.send(b"x" * LIMIT_BYTES)
    second = asyncio.ensure_future(client.send("\x10marked"))
    await settle()
    assert not second.done()
    await world.wait(10)
    await second
    await settle()
    assert world.wire[-1] == ("client", "\x10marked")
    world.link.end(1000)
    await client.close()


# Around it


async def test_a_mistake_in_on_change_is_logged(server: WireServer, caplog: pytest.LogCaptureFixture) -> None:
    def fail(client: Client) -> None:
        raise LookupError("mine")

    client = Client(server.url, on_change=fail)
    link = await enter(client, server)
    await link.send("goes on")
    assert await client.receive() == "goes on"
    assert "mine" in caplog.text
    await client.close()


async def test_tickets_are_not_logged(server: WireServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = Client(server.url)
    entering = asyncio.ensure_future(client.__aenter__())
    link = await server.link()
    await link.hello("SECRET-1")
    await entering
    caplog.clear()  # the server of the test logs what it sends
    await link.end(1012)
    await server.link()
    ours = [record for record in caplog.records if record.name.startswith("compat")]
    assert not any("SECRET" in record.getMessage() for record in ours)
    client_side = [record for record in caplog.records if record.name == "websockets.client"]
    assert client_side == []
    await client.close()


def test_without_websockets_it_names_the_extra(bare: Environment) -> None:
    code = (
        "import sys; sys.modules['websockets'] = None\n"
        "import compat.client\n"
        "try:\n    compat.client.Client\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = bare.run("python", "-c", code, cwd=REPO)
    assert done.returncode == 0, done.stderr
    assert "pip install 'channels-compat[client]'" in done.stdout
