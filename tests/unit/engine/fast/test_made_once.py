"""A handler that only sends is run for one member of a room: the others get the same, and nothing else."""

from __future__ import annotations

import asyncio
import dis
import itertools
import json
import pkgutil
import socket
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any, ClassVar
from unittest import mock

import pytest

from compat.clock import steady
from compat.consumer import AsyncConsumer
from compat.engine.contracts import MARK
from compat.engine.events import LONG, LONG_KEPT_S, Copies, Event, LongFrames
from compat.engine.fast import at_once
from compat.engine.fast.at_once import MOST
from compat.engine.fast.framing import text_of
from compat.engine.fast.made_once import is_plain, is_same_for_all, judge, made_first
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.layers import InMemoryChannelLayer
from compat.resume.journal import MAX_BYTES, MAX_FRAMES
from compat.types import Message
from tests.support.clients import Client
from tests.support.logs import recorded
from tests.support.resuming import Resuming, end_links
from tests.support.servers import LiveServer
from tests.support.transports import Failing, Noting
from tests.support.waiting import until_async

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 runs each member's handler")


class Counted(int):
    """A number that is another one each time it is written."""

    written: ClassVar[int] = 0

    def __format__(self, spec: str) -> str:
        type(self).written += 1
        return f"{type(self).written}"


class Room(AsyncWebsocketConsumer):
    groups = ("room",)
    members: ClassVar[list[Any]] = []
    traced: ClassVar[list[str]] = []

    async def connect(self) -> None:
        self.members.append(self)
        await self.accept()

    def follow(self, frame: Any, event: str, arg: Any) -> None:
        self.traced.append(frame.f_code.co_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        said = json.loads(text_data or "")
        for event in said if isinstance(said, list) else [said]:
            if "counted" in event:
                event["counted"] = Counted()
            if "trace" in event:
                sys.settrace(self.follow if event["trace"] else None)
            await self.channel_layer.group_send("room", event)

    async def chat_message(self, event: Message) -> None:
        await self.send(text_data=json.dumps(event["message"]))

    async def twice_message(self, event: Message) -> None:
        await self.send(text_data=event["message"])
        await self.send(text_data="second")

    async def raw_message(self, event: Message) -> None:
        await self.send(text_data=event["message"])

    async def closing_message(self, event: Message) -> None:
        await self.send(text_data=event["message"], close=event.get("code", False))

    async def trying_message(self, event: Message) -> None:
        try:
            await self.send(text_data=event["message"])
            await self.send(text_data="second")
        except:  # noqa: E722
            pass

    async def self_message(self, event: Message) -> None:
        await self.send(text_data=f"{self}")

    async def counted_message(self, event: Message) -> None:
        await self.send(text_data=f"{event['counted']}")

    def __str__(self) -> str:
        return self.channel_name


class Other(Room):
    async def chat_message(self, event: Message) -> None:
        await self.send(text_data=json.dumps([event["message"]]))


class Own(Room):
    """One whose instance sends otherwise."""

    async def connect(self) -> None:
        await self.accept()
        original = self.send

        async def send(text_data: str) -> None:
            await original(text_data=f"own {text_data}")

        self.send = send  # type: ignore[method-assign, assignment]


async def application(scope: Any, receive: Any, send: Any) -> None:
    kind: Any = {"/other/": Other, "/own/": Own}.get(scope["path"], Room)
    await kind.as_asgi()(scope, receive, send)


@pytest.fixture
def server(layer: InMemoryChannelLayer) -> Iterator[LiveServer]:
    Room.members.clear()
    with LiveServer(application) as server:
        yield server


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has been sent without a handler."""
    texts: list[str] = []

    def noted(*args: Any) -> list[bytes]:
        found = made_first(*args)
        texts.extend(map(text_of, found))
        return found

    monkeypatch.setattr(at_once, "made_first", noted)
    return texts


@pytest.fixture
def traced() -> list[str]:
    """The functions that the debugger has seen, once it follows the server's thread."""
    Room.traced.clear()
    return Room.traced


def chat(message: Any, kind: str = "chat.message", **more: Any) -> Message:
    return {"type": kind, "message": message, **more}


def warm(*clients: Client, kind: str = "chat.message", **more: Any) -> None:
    """By now each task has seen the type of the messages that follow."""
    for _ in range(3):
        clients[0].send_json(chat("warm", kind, **more))
        for client in clients:
            client.receive()
            if kind == "twice.message":
                client.receive()


async def leave(*members: Resuming) -> None:
    """Have them leave, so that the server waits for none."""
    for member in members:
        await member.leave()
    await end_links()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("message", ["hello", "", {"from": "me", "to": [1, None, 2.5, {"all": True}]}])
def test_the_others_get_what_the_first_one_has_sent(
    server: LiveServer, made: list[str], count: int, message: Any
) -> None:
    with Client(server, "/") as first, Client(server, "/") as second, Client(server, "/") as third:
        clients = (first, second, third)
        warm(*clients)
        made.clear()
        messages = [[number, message] for number in range(count)]
        for one in messages:
            first.send_json(chat(one))
        for client in clients:
            assert [client.receive_json() for _ in messages] == messages
        assert made
        assert {json.loads(text)[0] for text in made} <= set(range(count))


@pytest.mark.parametrize("size", [1, 1_000, 5_000, 70_000])
@pytest.mark.parametrize("count", [MOST - 1, MOST, MOST + 1])
async def test_more_than_go_at_once(server: LiveServer, made: list[str], count: int, size: int) -> None:
    """More messages than a member is sent in one turn, and more bytes than in one piece."""
    members = [await Resuming(server, "/").open() for _ in range(2)]
    with Client(server, "/") as first, Client(server, "/") as second:
        warm(first, second)
        for member in members:
            assert [await member.receive() for _ in range(3)] == ['"warm"'] * 3
        made.clear()
        for _ in range(3):
            expected = [f"{number}".ljust(size, ".") for number in range(count)]
            first.send_json([chat(text) for text in expected])
            for client in (first, second):
                assert [client.receive_json() for _ in expected] == expected
            for member in members:
                assert [json.loads(await member.receive()) for _ in expected] == expected
    assert made
    await leave(*members)


@pytest.mark.parametrize("over", [1, 2])
@pytest.mark.parametrize("missing", [0, 1, 3])
@pytest.mark.parametrize(("size", "most"), [(1, MAX_FRAMES), (60_000, MAX_BYTES // 60_000)])
async def test_no_more_is_kept_than_a_journal_holds(
    server: LiveServer, made: list[str], missing: int, over: int, size: int, most: int
) -> None:
    """None of the clients takes compressed frames: longer texts would be the server's."""
    first = await Resuming(server, "/").open()
    away = await Resuming(server, "/", acks=False).open()
    sender = await Resuming(server, "/").open()  # busy while the others get what it says
    await warmed(sender, first, away)
    await away.ack()
    await away.pong()
    made.clear()
    journal = Room.members[1]._compat_socket.resumed.journal
    texts = [f"{number}".ljust(size) for number in range(most + over)]
    said = [*range(0, most - missing, 50), most - missing, most + over]
    for begin, end in itertools.pairwise(said):
        await sender.send(json.dumps([chat(text, "raw.message") for text in texts[begin:end]]))
        for other in (first, sender):
            assert [await other.receive() for _ in texts[begin:end]] == texts[begin:end]
        assert [await away.receive() for _ in texts[begin : min(end, most)]] == texts[begin : min(end, most)]
    await away.pong()
    assert len(journal.frames) <= MAX_FRAMES
    assert journal.count() <= MAX_BYTES
    await away.ack()
    assert [await away.receive() for _ in range(over)] == texts[most:]
    assert set(made) & set(texts)
    await leave(first, away, sender)


def test_each_class_sends_its_own(server: LiveServer, made: list[str]) -> None:
    paths = ("/", "/other/", "/", "/other/", "/own/")
    clients = [Client(server, path) for path in paths]
    warm(*clients)
    made.clear()
    for number in range(3):
        clients[0].send_json(chat(number))
        assert [client.receive() for client in clients] == [
            {"/": f"{number}", "/other/": f"[{number}]", "/own/": f"own {number}"}[path] for path in paths
        ]
    assert made, "where a class has several members"
    assert not any("own" in text for text in made)
    for client in clients:
        client.close()


@pytest.mark.parametrize("kind", ["self.message", "counted.message", "twice.message"])
def test_a_handler_that_may_make_something_else_each_time(
    server: LiveServer, made: list[str], kind: str
) -> None:
    with Client(server, "/") as first, Client(server, "/") as second, Client(server, "/") as third:
        clients = (first, second, third)
        more = {"counted": 0} if kind == "counted.message" else {}
        warm(*clients, kind=kind, **more)
        first.send_json(chat("last", kind, **more))
        got = [client.receive() for client in clients]
        if kind == "twice.message":
            assert got == ["last"] * 3
            assert [client.receive() for client in clients] == ["second"] * 3
        else:
            assert len(set(got)) == 3
        assert not made


async def patched(self: Room, event: Message) -> None:
    await self.send(text_data=f"patched {event['message']}")


@pytest.mark.parametrize("where", ["chat_message", "send", "json.dumps", "json.JSONEncoder.encode", "json"])
def test_what_is_patched_later_is_called_for_each(server: LiveServer, made: list[str], where: str) -> None:
    with Client(server, "/") as first, Client(server, "/") as second:
        warm(first, second)
        events = [json.dumps(chat(number)) for number in range(3)]
        if where == "json":
            patching: Any = mock.patch(f"{__name__}.json", wraps=json)
        elif where.startswith("json"):
            path, _, name = where.rpartition(".")
            original = pkgutil.resolve_name(where)
            patching = mock.patch.object(
                pkgutil.resolve_name(path), name, autospec=True, side_effect=original
            )
        else:
            patching = mock.patch.object(Room, where, autospec=True)
        with patching as replaced:
            if where == "chat_message":
                replaced.side_effect = patched
            elif where == "send":
                replaced.side_effect = AsyncWebsocketConsumer.send
            for number, event in enumerate(events):
                first.send(event)
                expected = f"patched {number}" if where == "chat_message" else f"{number}"
                assert [client.receive() for client in (first, second)] == [expected] * 2
            assert (replaced.dumps if where == "json" else replaced).call_count == 6
        warm(first, second)


def test_code_that_is_replaced_in_place(server: LiveServer, made: list[str]) -> None:
    """As tools do that load a module anew."""

    async def own(self: Room, event: Message) -> None:
        await self.send(text_data=self.channel_name)

    code = Room.chat_message.__code__
    with Client(server, "/") as first, Client(server, "/") as second:
        warm(first, second)
        Room.chat_message.__code__ = own.__code__
        try:
            first.send_json(chat("hello"))
            assert first.receive() != second.receive()
        finally:
            Room.chat_message.__code__ = code
        warm(first, second)


def test_a_class_is_looked_at_once(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: for each of its connections, and each time the type of their messages changed."""

    class New(Room): ...

    looked: list[Any] = []
    instructions = dis.get_instructions

    def noted(code: Any) -> Any:
        looked.append(code)
        return instructions(code)

    monkeypatch.setattr(dis, "get_instructions", noted)
    for _ in range(3):
        for name in ("chat_message", "raw_message", "twice_message"):
            found = judge(New(), name)
            assert found is not None and found.same
        assert judge(New(), "receive") is None
    assert len(looked) == 3


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("comes_back", [False, True])
async def test_a_transport_that_fails_is_a_client_that_has_left(
    server: LiveServer, made: list[str], count: int, comes_back: bool
) -> None:
    """Was: with several texts the consumer ended with the error."""
    sender, other = [await Resuming(server, "/").open() for _ in range(2)]
    plain = await asyncio.to_thread(Client, server, "/") if not comes_back else None
    broken = await Resuming(server, "/").open() if comes_back else None
    consumer = Room.members[-1]
    for number in range(3):
        await sender.send(json.dumps(chat(number)))
        for client in (sender, other, broken):
            if client is not None:
                assert await client.numbers(1) == [number]
    made.clear()
    with recorded() as records:
        transport = consumer._compat_socket.framed.transport
        consumer._compat_socket.framed.transport = Failing(transport, ConnectionResetError("reset by peer"))
        for number in range(count):
            await sender.send(json.dumps(chat(number)))
        for client in (sender, other):
            assert await client.numbers(count) == [*range(count)]
        if broken is not None:
            assert await broken.back() == "all"
            assert await broken.numbers(count) == [*range(count)]
        else:
            await until_async(lambda: consumer._compat_socket.gone, "the send has failed")
    assert made
    assert [one for one in records.kept if one.levelname in ("WARNING", "ERROR")] == []
    consumer._compat_socket.loop.call_soon_threadsafe(transport.abort)
    if plain is not None:
        plain.drop()
    await leave(*(one for one in (sender, other, broken) if one is not None))


def test_while_a_debugger_is_at_work_each_handler_runs(
    server: LiveServer, made: list[str], traced: list[str]
) -> None:
    with Client(server, "/") as first, Client(server, "/") as second:
        warm(first, second)
        for on in (True, False):
            made.clear()
            traced.clear()
            first.send_json(chat("hello", trace=on))
            assert [client.receive() for client in (first, second)] == ['"hello"'] * 2
            assert (traced.count("chat_message"), len(made)) == ((2, 0) if on else (0, 1))


def test_clients_that_take_compressed_frames_get_long_texts_too(server: LiveServer, made: list[str]) -> None:
    with Client(server, "/") as first, Client(server, "/") as second:
        warm(first, second)
        for size in (1, 1022, 1023, 100_000):
            made.clear()
            first.send_json(chat("x" * size))
            assert [client.receive_json() for client in (first, second)] == ["x" * size] * 2
            assert bool(made) == (size <= 1022), size


def test_one_that_does_not_read_holds_nobody_back(server: LiveServer) -> None:
    with Client(server, "/") as first, Client(server, "/") as second, Client(server, "/") as third:
        warm(first, second, third)
        texts = [str(number) * 200_000 for number in range(50)]
        for text in texts:
            first.send_json(chat(text))
            assert [client.receive_json() for client in (first, second)] == [text] * 2
        assert [third.receive_json() for _ in texts] == texts


def test_little_waits_for_one_that_does_not_read(server: LiveServer, made: list[str]) -> None:
    """None of the clients takes compressed frames: longer texts would be the server's."""
    with (
        Client(server, "/", compression=None) as first,
        Client(server, "/", compression=None) as second,
        Client(server, "/", compression=None) as third,
    ):
        warm(first, second, third)
        transport = Room.members[-1]._compat_socket.framed.transport
        texts = [str(number % 10) * 200_000 for number in range(80)]
        waiting = []
        for text in texts:
            first.send_json(chat(text))
            assert [client.receive_json() for client in (first, second)] == [text] * 2
            waiting.append(transport.get_write_buffer_size())
        most = transport.get_write_buffer_limits()[1]  # beyond it nothing more is written
        assert 0 < max(waiting) <= most + 200_000 + 1024
        assert [third.receive_json() for _ in texts] == texts
    assert len(made) > len(texts)


def test_a_long_text_is_compressed_for_one_that_takes_it(server: LiveServer, made: list[str]) -> None:
    with (
        Client(server, "/", compression=None) as first,
        Client(server, "/", compression=None) as second,
        Client(server, "/") as third,
    ):
        warm(first, second, third)
        framed = [member._compat_socket.framed for member in Room.members]
        noting = [Noting(protocol.transport) for protocol in framed]
        for protocol, transport in zip(framed, noting, strict=True):
            protocol.transport = transport
        made.clear()
        first.send_json(chat("x" * 5000))
        assert [client.receive_json() for client in (first, second, third)] == ["x" * 5000] * 3
        assert made, "the second one's"
        assert [transport.written > 5000 for transport in noting] == [True, True, False]


async def test_clients_that_come_back_have_missed_nothing(server: LiveServer, made: list[str]) -> None:
    """Was: after each of its acknowledgements a member's task handled what waited."""
    members = [await Resuming(server, "/").open() for _ in range(3)]
    sender, stays, away = members
    number = 0

    async def say(count: int) -> list[int]:
        nonlocal number
        first, number = number, number + count
        for one in range(first, number):
            await sender.send(json.dumps(chat(one)))
        for member in (sender, stays):
            assert await member.numbers(count) == [*range(first, number)]
        return [*range(first, number)]

    for count in (3, 1, 2, 3):
        expected = await say(count)
        assert await away.numbers(count) == expected
        for member in members:
            await member.ack()
            await member.pong()
        made.clear()
        expected = await say(1)
        assert await away.numbers(1) == expected
        assert len(made) == 2, "the others of the first"
    away.cut()
    missed = await say(3)
    assert await away.back() == "all"
    missed += await say(2)
    assert await away.numbers(5) == missed
    await leave(*members)


def test_what_the_first_one_has_not_sent_yet_the_others_get(server: LiveServer) -> None:
    """The first member's handler waits with its second text, because its client does not read."""
    with Client(server, "/") as first, Client(server, "/") as second, Client(server, "/") as third:
        clients = (first, second, third)
        warm(*clients, kind="twice.message")
        first.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        long = "x" * 900_000
        second.send_json(chat(long, "twice.message"))
        for client in (second, third, first):
            assert client.receive() == long
            assert client.receive() == "second"


async def test_what_stands_twice_for_a_client_that_comes_back_stands_once_for_others(
    server: LiveServer,
) -> None:
    back = await Resuming(server, "/").open()
    plain = await asyncio.to_thread(Client, server, "/")
    for text in ("warm", "warm", "warm", f"{MARK}hello", MARK, f"{MARK}{MARK}"):
        await back.send(json.dumps(chat(text, "raw.message")))
        assert await back.receive() == text
        assert plain.receive() == text
    plain.close()
    await leave(back)


async def warmed(*members: Resuming, kind: str = "raw.message") -> None:
    """By now what these members send is made once."""
    for text in ("0", "1", "2"):
        await members[0].send(json.dumps(chat(text, kind)))
        for member in members:
            assert await member.receive() == text
            if kind == "twice.message":
                assert await member.receive() == "second"


@pytest.mark.parametrize(
    ("text", "compression"), [("grüße", None), ("x" * 2000, "deflate"), ("x" * 300_000, None)]
)
async def test_a_text_that_the_link_sends_before_others(
    server: LiveServer, text: str, compression: str | None
) -> None:
    """Was: the next message met a socket that made no frames any more, and the consumer ended."""
    members = [await Resuming(server, "/", compression=compression).open() for _ in range(3)]
    await warmed(*members)
    for member in members:
        await member.ack()
        await member.pong()
    await members[0].send(json.dumps([chat(one, "raw.message") for one in (text, "b", "c")]))
    for member in members:
        assert [await member.receive() for _ in range(3)] == [text, "b", "c"]
    await leave(*members)


async def test_what_is_kept_for_the_first_one_the_others_get(server: LiveServer) -> None:
    """Was: the first member's second text went into its journal alone, and the others did not get it."""
    first = await Resuming(server, "/", receive_buffer=4096).open()
    others = [await Resuming(server, "/").open() for _ in range(2)]
    await warmed(*others, first, kind="twice.message")
    transport = Room.members[0]._compat_socket.resumed.link.framed.transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    for member in (first, *others):
        await member.ack()
        await member.pong()
    texts = [str(number) * 190_000 for number in range(2)]
    for text in texts:
        await others[0].send(json.dumps(chat(text, "twice.message")))
        for member in others:
            assert [await member.receive() for _ in range(2)] == [text, "second"]
    assert [await first.receive() for _ in range(4)] == [texts[0], "second", texts[1], "second"]
    await leave(first, *others)


async def test_a_transport_that_fails_under_what_the_link_has_sent(server: LiveServer) -> None:
    """Was: a client that may come back was taken for one that has left."""
    sender, other = [await Resuming(server, "/").open() for _ in range(2)]
    broken = await Resuming(server, "/", compression="deflate").open()
    for _ in range(40):  # the class is known to be quick by now
        await warmed(sender, other, broken)
    consumer = Room.members[-1]
    transport = consumer._compat_socket.framed.transport
    consumer._compat_socket.framed.transport = Failing(transport, ConnectionResetError("reset by peer"))
    texts = ["a" * 2000, "b" * 2000]
    await sender.send(json.dumps([chat(text, "raw.message") for text in texts]))
    for member in (sender, other):
        assert [await member.receive() for _ in range(2)] == texts
    assert await broken.back() == "all"
    await sender.send(json.dumps(chat("later", "raw.message")))
    assert [await broken.receive() for _ in range(3)] == [*texts, "later"]
    consumer._compat_socket.loop.call_soon_threadsafe(transport.abort)
    await leave(sender, other, broken)


async def test_what_could_not_be_written_is_not_what_the_others_get(server: LiveServer) -> None:
    """Was: the close, or the second text, of a handler whose first write fails for one member."""
    for kind in ("closing.message", "trying.message"):
        clients = [await asyncio.to_thread(Client, server, "/") for _ in range(2)]
        first = await Resuming(server, "/").open() if kind == "closing.message" else None
        sender = await asyncio.to_thread(Client, server, "/")
        broken = Room.members[-2] if first is not None else Room.members[-3]
        for number in range(3):
            sender.send_json(chat(str(number), kind))
            for client in (*clients, sender):
                assert client.receive() == str(number)
                if kind == "trying.message":
                    assert client.receive() == "second"
            if first is not None:
                assert await first.receive() == str(number)
        healthy = [*clients, sender] if first is not None else [clients[1], sender]
        transport = broken._compat_socket.framed.transport
        broken._compat_socket.framed.transport = Failing(transport, ConnectionResetError("reset by peer"))
        sender.send_json(chat("last", kind, code=4001))
        for client in healthy:
            assert client.receive() == "last"
            if kind == "trying.message":
                assert client.receive() == "second"
            else:
                assert client.wait_closed() == (4001, "")
        broken._compat_socket.loop.call_soon_threadsafe(transport.abort)
        for client in (*clients, sender):
            client.drop()
        Room.members.clear()
        await leave(*([first] if first is not None else []))


def test_only_what_is_first_in_time_and_of_the_class() -> None:
    def event(deadline: float, *made: Any) -> Event:
        copies = Copies(dict)
        if made:
            copies.keep(*made)
        return deadline, {"type": "said"}, copies

    def first(*events: Event) -> list[bytes]:
        return made_first(events, "said", Room, 1.0)

    one, two = event(2.0, Room, b"one"), event(2.0, Room, b"two")
    assert first(one) == [b"one"]
    assert first(one, two) == [b"one", b"two"]
    others = (
        *(event(1.0, Room, b""), event(2.0, Other, b""), event(2.0, Room, None), event(2.0)),
        *((2.0, {"type": "said"}, None), (2.0, {"type": "said"}, dict), (2.0, {"type": "other"}, one[2])),
    )
    for last in others:
        assert first(last, one) == []
        assert first(one, two, last, one) == [b"one", b"two"]


@pytest.mark.parametrize("late", [1, 2, 3])
@pytest.mark.parametrize("size", [LONG - 1, LONG])
def test_a_long_frame_is_kept_for_a_while(size: int, late: int) -> None:
    """Was: as long as its message, for a client that does not read."""
    waiting, frames, frame = [Copies(dict) for _ in range(4)], LongFrames(), bytes(size)
    for number, copies in enumerate(waiting):
        copies.keep(Room, frame)
        copies.keep(Other, b"short")
        frames.add(copies, Room, frame, number * LONG_KEPT_S / late)
    forgotten = 3 - late if size == LONG else 0
    assert [copies.made[Room] for copies in waiting] == [None] * forgotten + [frame] * (4 - forgotten)
    assert {copies.made[Other] for copies in waiting} == {b"short"}


def test_all_long_frames_that_wait_at_the_same_time_are_kept() -> None:
    """Was: 64 of them; members of twenty rooms with more made their own, and lost messages meanwhile."""
    waiting, frames = [Copies(dict) for _ in range(1_000)], LongFrames()
    for copies in waiting:
        copies.keep(Room, b"frame")
        frames.add(copies, Room, bytes(LONG), LONG_KEPT_S)
    assert {copies.made[Room] for copies in waiting} == {b"frame"}


def test_a_long_frame_goes_with_its_message() -> None:
    frames, copies = LongFrames(), Copies(dict)
    there = weakref.ref(copies)
    frames.add(copies, Room, bytes(LONG), 0.0)
    del copies
    assert there() is None
    lasting = Copies(dict)
    lasting.keep(Room, bytes(LONG))
    frames.add(lasting, Room, bytes(LONG), LONG_KEPT_S)
    frames.add(Copies(dict), Room, bytes(LONG), 2 * LONG_KEPT_S)
    assert lasting.made[Room] is not None


def test_long_frames_are_forgotten_when_a_short_one_is_made() -> None:
    """Was: only when a long one was made."""
    waiting, frames = [Copies(dict) for _ in range(3)], LongFrames()
    for copies in waiting:
        copies.keep(Room, bytes(LONG))
        frames.add(copies, Room, bytes(LONG), 0.0)
    frames.add(Copies(dict), Room, b"short", LONG_KEPT_S)
    assert {copies.made[Room] for copies in waiting} == {bytes(LONG)}
    frames.add(Copies(dict), Room, b"short", 2 * LONG_KEPT_S)
    assert {copies.made[Room] for copies in waiting} == {None}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("size", [1, LONG])
def test_what_waits_for_one_that_does_not_read_is_not_kept_twice(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, size: int, count: int
) -> None:
    passed_s = [0.0]
    monkeypatch.setattr(at_once, "steady", lambda: steady() + passed_s[0])
    with (
        Client(server, "/", compression=None) as first,
        Client(server, "/", compression=None) as second,
        Client(server, "/", compression=None) as third,
    ):
        warm(first, second, third)
        socket = Room.members[-1]._compat_socket
        paused = threading.Event()

        def pause() -> None:
            socket.framed.pause_writing()
            paused.set()

        socket.loop.call_soon_threadsafe(pause)
        assert paused.wait(15)
        texts = [str(number).ljust(size, ".") for number in range(1 + 2 * count)]
        for number, text in enumerate(texts):
            passed_s[0] = (number > count) * 2 * LONG_KEPT_S
            first.send_json(chat(text))
            assert [client.receive_json() for client in (first, second)] == [text] * 2
        # The first one is in the hands of the third member's task.
        kept = [event[2].made.get(Room) is not None for event in socket.phase.inbox.events]
        assert kept == [size != LONG] * count + [True] * count
        socket.loop.call_soon_threadsafe(socket.framed.resume_writing)
        assert [third.receive_json() for _ in texts] == texts


async def keywords(self: Room, event: Message, *, more: int) -> None: ...
async def several(self: Room, *events: Message) -> None: ...
async def named(self: Room, event: Message, **more: Any) -> None: ...
async def assigned(self: Any, event: Any) -> None:
    self = event  # noqa: F841


async def kept(self: Any, event: Any) -> None:
    event["self"] = self


async def given(self: Any, event: Any) -> None:
    await self.send(self)


async def itself(self: Any, event: Any) -> None:
    await self.send(self == event)


async def bound(self: Any, event: Any) -> None:
    await self.send(f"{self.send}")


async def method(self: Any, event: Any) -> None:
    send = self.send
    await send(event["message"])


async def own(self: Any, event: Any) -> None:
    await self.send(self.get("name"))


@pytest.mark.parametrize(
    "handler", [keywords, several, named, assigned, kept, given, itself, bound, method, own]
)
def test_handlers_that_may_differ_from_one_consumer_to_the_next(handler: Any) -> None:
    assert not is_same_for_all(Room, handler)
    assert is_same_for_all(Room, Room.chat_message)  # type: ignore[arg-type]


class Dynamic(Room):
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Looked(Room):
    def __getattribute__(self, name: str) -> Any:
        return super().__getattribute__(name)


class Bare(AsyncConsumer):
    async def raw_message(self, event: Message) -> None:
        await self.send({"type": "websocket.send", "text": event["message"]})

    async def json_message(self, event: Message) -> None:
        await self.send_json(event["message"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["raw_message", "json_message"])
def test_a_consumer_that_is_none_of_websockets(name: str) -> None:
    """Was: it had no ``close()`` to look at, and ended."""
    found = judge(Bare(), name)
    assert found is not None and found.same


@pytest.mark.parametrize("cls", [Dynamic, Looked])
def test_classes_that_look_attributes_up_themselves(cls: type[Room]) -> None:
    assert not is_same_for_all(cls, cls.chat_message)  # type: ignore[arg-type]


class Text(str): ...


class Items(dict[str, Any]): ...


def test_plain_values() -> None:
    plain: Any
    for plain in ({"a": [1, 2.5, True, None, b"", ("b", {})]}, {1: {2: "3"}}, {}, {"a": [0] * 998}):
        assert is_plain(plain)
    others: list[Any] = [{"a": Text()}, {Text(): 1}, Items(), {"a": [Items()]}, {"a": {1}}, object()]
    for other in others:
        assert not is_plain(other)


def test_a_message_that_takes_long_to_look_at_is_not_plain() -> None:
    assert not is_plain({"a": [0] * 1000})
    itself: dict[str, Any] = {}
    itself["a"] = itself
    assert not is_plain(itself)
    shared: list[Any] = [0]
    for _ in range(100):
        shared = [shared] * 10
    assert not is_plain({"a": shared})


class Flooding(AsyncWebsocketConsumer):
    """Says what it is told, as often as it is told, and is in no group."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        for kind, count in json.loads(text_data or ""):
            key = "text" if kind == "websocket.send" else "message"
            for number in range(count):
                await self.channel_layer.group_send("room", {"type": kind, key: str(number)})


@pytest.mark.parametrize("kinds", [["raw.message"], ["websocket.send"], ["raw.message", "websocket.send"]])
async def test_a_sender_waits_for_members_whatever_was_sent_to_them_before(
    layer: InMemoryChannelLayer, kinds: list[str]
) -> None:
    """Was: after a message and a finished frame in one turn, an idle member seemed to be busy for ever, so
    nobody waited until it had read, and its inbox lost all beyond a hundred.
    """

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kind: Any = Flooding if scope["path"] == "/flooding/" else Room
        await kind.as_asgi()(scope, receive, send)

    with LiveServer(app) as server, Client(server, "/") as member, Client(server, "/flooding/") as sender:
        for _ in range(3):
            sender.send_json([["raw.message", 1]])
            assert member.receive() == "0"
        sender.send_json([[kind, 1] for kind in kinds])
        assert [member.receive() for _ in kinds] == ["0"] * len(kinds)
        sender.send_json([["websocket.send", 500]])
        assert [member.receive() for _ in range(500)] == [str(number) for number in range(500)]
