"""Text frames that are made here are those that the server would make, and leave only when it would send."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from websockets.exceptions import ConnectionClosed

from compat.engine.fast import framing
from compat.engine.fast.framing import (
    MOST_AT_ONCE,
    MOST_BYTES,
    MOST_FRAMES,
    MOST_PLAIN,
    frame_of,
    framing_of,
    goes_plain,
)
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer, register_channel_layer
from compat.patterns import path
from compat.resume.journal import MAX_BYTES, MAX_FRAMES
from compat.resume.wire import is_control
from compat.routing import URLRouter
from compat.settings import override
from tests.support.choices import slow_but
from tests.support.clients import Client
from tests.support.resuming import MARK, Resuming, end_links
from tests.support.servers import LiveServer
from tests.support.transports import Failing
from tests.support.waiting import until, until_async

pytestmark = pytest.mark.usefixtures("layer")

PLAIN: dict[str, Any] = {"ws_per_message_deflate": False}
SIZES = (0, 1, 2, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 200_000)
KINDS = ("async", "sync")


@pytest.fixture(autouse=True)
def no_frames_of_other_tests() -> Iterator[None]:
    framing._frames.clear()
    yield
    framing._frames.clear()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts whose frames were made here, without control frames."""
    texts: list[str] = []
    make = framing.frame_of

    def noted(text: str) -> bytes:
        if not is_control(text):
            texts.append(text)
        return make(text)

    monkeypatch.setattr("compat.engine.fast.framing.frame_of", noted)
    monkeypatch.setattr("compat.resume.outward.frame_of", noted)
    return texts


async def _echo(self: Any, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
    await self.send(text_data=text_data, bytes_data=bytes_data)


class AsyncEcho(AsyncWebsocketConsumer):
    receive = _echo


class SyncEcho(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=text_data, bytes_data=bytes_data)


class AsyncRoom(AsyncEcho):
    groups = ["room"]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = {"type": "websocket.send", "text": text_data, "bytes": bytes_data}
        await self.channel_layer.group_send("room", {k: v for k, v in message.items() if v is not None})


class SyncRoom(SyncEcho):
    groups = ["room"]

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = {"type": "websocket.send", "text": text_data, "bytes": bytes_data}
        self.channel_layer.group_send_sync("room", {k: v for k, v in message.items() if v is not None})


passed: list[Any] = []


async def wrapped(scope: Any, receive: Any, send: Any) -> None:
    async def noting(message: Any) -> None:
        passed.append(message.get("text"))
        await send(message)

    await AsyncEcho.as_asgi()(scope, receive, noting)


APP = URLRouter(
    [
        path("async/echo/", AsyncEcho.as_asgi()),
        path("sync/echo/", SyncEcho.as_asgi()),
        path("async/room/", AsyncRoom.as_asgi()),
        path("sync/room/", SyncRoom.as_asgi()),
        path("async/wrapped/", wrapped),
    ]
)


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with LiveServer(APP, **PLAIN) as server:
        yield server


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["echo", "room"])
def test_texts_of_every_size_arrive_as_they_were_sent(server: LiveServer, kind: str, where: str) -> None:
    with Client(server, f"/{kind}/{where}/") as client:
        for text in ["x" * size for size in SIZES] + ["é" * 63, "é" * 64, "日" * 21_846, "🂡\0\n"]:
            for _ in range(3):  # the second and third time it may be at hand
                client.send(text)
                assert client.receive() == text


@pytest.mark.parametrize("kind", KINDS)
def test_binary_frames_and_texts_keep_their_order(server: LiveServer, kind: str, made: list[str]) -> None:
    with Client(server, f"/{kind}/room/") as client:
        sent: list[str | bytes] = [b"1", "2", "2", b"2", b"3", "4", "2"]
        for frame in sent:
            client.send(frame)
        assert [client.receive() for _ in sent] == sent
        client.send("5")  # texts behind a binary frame are the server's to make
        assert client.receive() == "5"
    assert made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["echo", "room"])
def test_a_client_that_compresses_gets_long_texts_from_the_server(
    kind: str, where: str, made: list[str]
) -> None:
    sizes = (1000, MOST_PLAIN, MOST_PLAIN + 1, 1000, 5000, MOST_PLAIN)
    texts = [f"{size:04}".ljust(size, "x") for size in sizes]
    with LiveServer(APP) as server, Client(server, f"/{kind}/{where}/") as client:
        assert "permessage-deflate" in client.response_headers["Sec-WebSocket-Extensions"]
        for _ in range(3):
            for text in texts:
                client.send(text)
            assert [client.receive() for _ in texts] == texts
    assert {len(text) for text in made} == {1000, MOST_PLAIN}


async def test_a_client_that_compresses_and_comes_back_has_missed_nothing(made: list[str]) -> None:
    texts = ["1", "1", "1", "x" * 5000, "1", "1", "y" * 2000, "1"]
    with LiveServer(APP) as server:
        client = await Resuming(server, "/async/room/", acks=False, compression="deflate").open()
        for text in texts:
            await client.send(text)
            assert await client.receive() == text
        client.cut()
        assert await client.back(received=2) == "all"
        assert [await client.receive() for _ in texts[2:]] == texts[2:]
        await client.leave()
        await end_links()
    assert set(made) == {"1"}


def test_other_extensions_are_the_servers() -> None:
    class Extended:
        conn = type("Conn", (), {"extensions": [object()]})

    assert not goes_plain(Extended(), 1)


def test_a_wrapped_send_sees_every_frame(server: LiveServer, made: list[str]) -> None:
    with Client(server, "/async/wrapped/") as client:
        client.send("hello")
        client.receive()
    assert "hello" in passed
    assert made == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_comes_back_has_every_frame_once_and_in_order(
    server: LiveServer, kind: str, made: list[str]
) -> None:
    client = await Resuming(server, f"/{kind}/room/", acks=False).open()
    frames: list[str | bytes] = ["1", "é", b"2", "1", MARK, "{}", "x" * 70_000, "", "1"]
    for frame in frames:
        await client.send(frame)
    assert [await client.receive() for _ in frames] == frames
    client.cut()
    assert await client.back(received=3) == "all"
    assert [await client.receive() for _ in frames[3:]] == frames[3:]
    await client.leave()
    await end_links()
    assert made.count("1") >= (2 if kind == "async" else 3), "the async consumer has the last one at hand"
    assert "{}" in made


@pytest.mark.parametrize("received", [0, 1, 5, 17])
@pytest.mark.parametrize("acks", [None, 0, 1, 2])
async def test_frames_that_are_at_hand_come_again_as_those_before_them(
    server: LiveServer, made: list[str], received: int, acks: int | None
) -> None:
    """The consumer writes a text that was sent before by itself, between others that its link has to send.

    ``acks``: all but so many of what has been received are acknowledged.
    """
    client = await Resuming(server, "/async/room/", acks=False).open()
    others: list[str | bytes] = ["é", b"2", MARK, "x" * 5000, "", "{}"]
    frames = [frame for other in others for frame in ("1", "1", "1", other, "1")]
    for number, frame in enumerate(frames):
        await client.send(frame)
        assert await client.receive() == frame
        if acks is not None and number + 1 == received:
            await client.ack(max(received - acks, 0))
    made_here = made.count("1")
    client.cut()
    assert await client.back(received=received) == "all"
    assert [await client.receive() for _ in frames[received:]] == frames[received:]
    for _ in range(3):
        await client.send("1")
        assert await client.receive() == "1"
    await client.leave()
    await end_links()
    assert 1 <= made_here < frames.count("1")


async def test_a_text_that_begins_as_control_frames_do_is_not_shared(server: LiveServer) -> None:
    client = await Resuming(server, "/async/room/").open()
    for text in ("1", "1", MARK + "{}", MARK + "{}", "1", MARK + "{}"):
        with Client(server, "/async/room/") as plain:  # another frame of the same text
            plain.send(text)
            assert plain.receive() == text
        assert await client.receive() == text
    await client.leave()
    await end_links()


@pytest.mark.parametrize("missing", [1, 2, 3])
async def test_what_is_said_after_an_ack_of_less_than_all_is_kept(server: LiveServer, missing: int) -> None:
    client = await Resuming(server, "/async/room/", acks=False).open()
    texts = [f"{number} and more" for number in range(8)]
    for text in texts:
        await client.send(text)
        assert await client.receive() == text
        await client.ack(client.received - min(missing, client.received))
        await client.pong()
    client.cut()
    assert await client.back(received=len(texts) - missing) == "all"
    assert [await client.receive() for _ in range(missing)] == texts[-missing:]
    await client.leave()
    await end_links()


@pytest.mark.parametrize(("text", "most"), [("1", MAX_FRAMES), (2_000 * "2", MAX_BYTES // 2_000)])
@pytest.mark.parametrize("more", [0, 1, 2])
async def test_a_client_that_acknowledges_nothing_has_a_full_journal(
    server: LiveServer, text: str, most: int, more: int
) -> None:
    client = await Resuming(server, "/async/room/", acks=False).open()
    for _ in range(most):
        await client.send(text)
        assert await client.receive() == text
    for _ in range(more):
        await client.send(text)
    await client.pong()
    assert not client.frames
    await client.ack()
    assert [await client.receive() for _ in range(more)] == [text] * more
    await client.leave()
    await end_links()


class Overtaking(AsyncEcho):
    """While one frame waits for room, the journal is asked for it again and again, for another one."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data != "both":
            await super().receive(text_data, bytes_data)
            return
        journal = self._compat_socket.resumed.journal
        waiting = asyncio.create_task(self.send(text_data="waiting"))
        while len(journal.frames or ()) >= MAX_FRAMES:  # noqa: ASYNC110 - it looks in each turn of the loop
            await asyncio.sleep(0)
        await self.send(text_data="1")
        await waiting


async def test_a_frame_that_has_waited_for_room_is_sent_beside_those_at_hand() -> None:
    with LiveServer(Overtaking.as_asgi(), **PLAIN) as server:
        client = await Resuming(server, "/", acks=False).open()
        for _ in range(MAX_FRAMES):
            await client.send("1")
            assert await client.receive() == "1"
        await client.send("both")
        await client.pong()
        await client.ack()
        assert sorted([await client.receive(), await client.receive()]) == ["1", "waiting"]
        await client.leave()
        await end_links()


class Greeting(AsyncEcho):
    async def compat_resumed(self, message: Any) -> None:
        for _ in range(3):
            await self.send(text_data="1")


async def test_a_link_that_another_has_replaced_gets_nothing_more() -> None:
    with LiveServer(Greeting.as_asgi(), **PLAIN) as server:
        client = await Resuming(server, "/").open()
        for _ in range(3):
            await client.send("1")
            assert await client.receive() == "1"
        old = client.link
        assert await client.back() == "all"
        assert [await client.receive() for _ in range(3)] == ["1"] * 3
        with pytest.raises(ConnectionClosed):
            await old.recv()
        await client.leave()
        await end_links()


async def test_a_frame_at_hand_that_cannot_be_written_waits_for_the_client() -> None:
    answered = []

    class Breaking(AsyncEcho):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            if text_data == "break":
                gone = RuntimeError("unable to perform operation; the handler is closed")
                self._compat_socket.framed.transport = Failing(self._compat_socket.framed.transport, gone)
            await self.send(text_data="answer")
            answered.append(text_data)

    with LiveServer(Breaking.as_asgi(), **PLAIN) as server:
        client = await Resuming(server, "/").open()
        for text in ("a", "b"):
            await client.send(text)
            assert await client.receive() == "answer"
        await client.send("break")
        await until_async(lambda: "break" in answered, "the answer could not be written")
        client.cut()
        assert (await client.back(), client.why) == ("all", None)
        assert await client.receive() == "answer"
        await client.leave()
        await end_links()


@pytest.mark.parametrize("kind", KINDS)
def test_on_starlettes_routes_too(kind: str, made: list[str]) -> None:
    consumer: Any = AsyncRoom if kind == "async" else SyncRoom
    app = Starlette(routes=[Mount("/in", routes=[WebSocketRoute("/{name}/", consumer.as_asgi())])])
    with LiveServer(app, **PLAIN) as server, Client(server, "/in/room/") as client:
        client.send("hello")
        assert client.receive() == "hello"
    assert made == ["hello"]


def test_an_exception_of_a_handler_is_still_starlettes_to_handle() -> None:
    class Failing(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.send(text_data="first")
            raise ZeroDivisionError

    app = Starlette(routes=[WebSocketRoute("/", Failing.as_asgi())])
    with LiveServer(app, **PLAIN) as server, Client(server, "/") as client:
        client.send("hello")
        assert client.receive() == "first"
        assert client.wait_closed()[0] == 1011


def test_another_protocol_makes_its_frames(made: list[str]) -> None:
    with LiveServer(APP, ws="wsproto", **PLAIN) as server, Client(server, "/async/echo/") as client:
        client.send("hello")
        assert client.receive() == "hello"
    assert made == []


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_surrogate_pair_is_an_error_of_the_handler(kind: str) -> None:
    raised = threading.Event()

    class Async(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            try:
                await self.send(text_data="\ud83d")
            except UnicodeEncodeError:
                raised.set()
            await self.send(text_data="next")

    class Sync(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            self.send(text_data="first")
            self.send(text_data="\ud83d")

    consumer = Async if kind == "async" else Sync
    with LiveServer(consumer.as_asgi(), **PLAIN) as server, Client(server, "/") as client:
        client.send("go")
        if kind == "async":
            assert client.receive() == "next" and raised.is_set()
        else:  # it runs ahead of the server, which refuses the second: the consumer ends
            assert client.receive() == "first"
            assert client.wait_closed()[0] == 1011


@pytest.mark.parametrize("kind", KINDS)
def test_who_does_not_read_holds_its_handler_up_and_loses_nothing(kind: str) -> None:
    """A frame is written only while the server would: its send() waits for a client that does not read."""
    count, text = 400, "x" * 65_536  # more than the buffers of both ends can hold
    sent: list[int] = []

    class Async(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            for number in range(count):
                await self.send(text_data=f"{number} {text}")
                sent.append(number)

    class Sync(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            for number in range(count):
                self.send(text_data=f"{number} {text}")
                sent.append(number)

    consumer = Async if kind == "async" else Sync
    with LiveServer(consumer.as_asgi(), **PLAIN) as server, Client(server, "/") as client:
        client.send("go")
        until(lambda: len(sent) > 30, "the handler has sent some")
        for number in range(count):
            assert len(sent) < count or number
            assert str(client.receive()).partition(" ")[0] == str(number)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_sent_after_the_consumers_close(server: LiveServer, kind: str) -> None:
    class Async(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.send(text_data="one")
            await self.close(4001)
            await self.send(text_data="late")

    class Sync(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            self.send(text_data="one")
            self.close(4001)
            self.send(text_data="late")

    consumer = Async if kind == "async" else Sync
    with LiveServer(consumer.as_asgi(), **PLAIN) as server, Client(server, "/") as client:
        client.send("go")
        assert client.receive() == "one"
        assert client.wait_closed()[0] == 4001


def test_the_kept_frames_are_bounded() -> None:
    for number in range(3 * MOST_FRAMES):
        frame_of(str(number))
        frame_of("x" * (MOST_BYTES + 1 + number))
        assert len(framing._frames) <= MOST_FRAMES
    assert all(len(frame) <= MOST_BYTES for frame in framing._frames.values())


def test_members_that_get_the_same_text_share_one_frame() -> None:
    assert frame_of("".join(["a", "b"])) is frame_of("".join(["ab"]))


def test_it_can_be_turned_off(made: list[str]) -> None:
    with override(CHANNEL_FAST=["scheduling", "reading"]), LiveServer(APP, **PLAIN) as server:
        with Client(server, "/async/echo/") as client:
            client.send("hello")
            assert client.receive() == "hello"
    assert made == []


async def test_what_is_no_server_makes_its_frames() -> None:
    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    assert framing_of(send) is None


# Finished frames for a group, which need not wake the consumer


class Mixed(AsyncRoom):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        for kind in str(text_data):
            if kind == "f":
                await self.channel_layer.group_send("room", {"type": "websocket.send", "text": "f"})
            elif kind == "b":
                await self.channel_layer.group_send("room", {"type": "websocket.send", "bytes": b"b"})
            else:
                await self.channel_layer.group_send("room", {"type": "handled"})

    async def handled(self, event: Any) -> None:
        await self.send(text_data="h")


MORE = [count * "f" for count in (MOST_AT_ONCE - 1, MOST_AT_ONCE, MOST_AT_ONCE + 1, 4 * MOST_AT_ONCE + 1)]


@pytest.mark.parametrize(
    "said", ["f", "ff", "fff", "hf", "fh", "ffhff", "fbf", "bfhbf" * 5, *MORE, "h".join(MORE[:3])]
)
def test_finished_frames_keep_their_order_among_others(said: str) -> None:
    with LiveServer(Mixed.as_asgi(), **PLAIN) as server, Client(server, "/") as one:
        with Client(server, "/") as other:
            other.send(said)
            for client in (one, other):
                got = [client.receive() for _ in said]
                assert "".join(frame if isinstance(frame, str) else "b" for frame in got) == said


def test_a_handler_of_their_type_is_called() -> None:
    class Own(AsyncRoom):
        async def websocket_send(self, message: Any) -> None:
            await self.send(text_data=message["text"] + "!")

    with LiveServer(Own.as_asgi(), **PLAIN) as server, Client(server, "/") as client:
        client.send("one")
        assert client.receive() == "one!"


def test_a_replaced_base_send_gets_them() -> None:
    class Replaced(AsyncRoom):
        async def connect(self) -> None:
            send, self.base_send = self.base_send, self.marked
            self.plain = send
            await self.accept()

        async def marked(self, message: Any) -> None:
            await self.plain({**message, "text": message["text"] + "!"} if "text" in message else message)

    with LiveServer(Replaced.as_asgi(), **PLAIN) as server, Client(server, "/") as client:
        client.send("one")
        assert client.receive() == "one!"


def test_a_handler_that_connect_sets_is_called() -> None:
    class Set(AsyncRoom):
        async def connect(self) -> None:
            setattr(self, "websocket_send", self.marked)  # noqa: B010 - mypy knows it as a method
            await self.accept()

        async def marked(self, message: Any) -> None:
            await self.send(text_data=message["text"] + "!")

    with LiveServer(Set.as_asgi(), **PLAIN) as server, Client(server, "/") as client:
        for text in ("one", "two", "three"):
            client.send(text)
            assert client.receive() == text + "!"


class ReadByReceive(InMemoryChannelLayer):
    """A layer of others: it has no ``attach()`` that the engine would use, only ``receive()``."""

    async def receive(self, channel: str) -> Any:
        return await super().receive(channel)


def test_a_layer_that_is_read_by_receive_is_read_on(layer: Any) -> None:
    register_channel_layer("default", ReadByReceive())
    with LiveServer(AsyncRoom.as_asgi(), **PLAIN) as server, Client(server, "/") as client:
        for number in range(5):
            client.send(str(number))
            assert client.receive() == str(number)


@pytest.mark.parametrize("kind", slow_but(("async",), KINDS))
def test_little_waits_in_the_server_for_a_client_that_does_not_read(kind: str, layer: Any) -> None:
    count, text = 40, "x" * 1_000_000
    protocols: list[Any] = []

    class Async(AsyncWebsocketConsumer):
        groups = ["room"]

    class Sync(WebsocketConsumer):
        groups = ["room"]

    consumer: Any = (Async if kind == "async" else Sync).as_asgi()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        protocols.append(receive.__self__)
        await consumer(scope, receive, send)

    def largest() -> int:
        return int(protocols[0].transport.get_write_buffer_size())

    with LiveServer(app, **PLAIN) as server, Client(server, "/"):
        assert server.loop is not None

        async def send_all() -> int:
            most = 0
            for number in range(count):
                await layer.group_send("room", {"type": "websocket.send", "text": f"{number} {text}"})
                if number % 4 == 3:
                    for _ in range(20):
                        await asyncio.sleep(0)
                        most = max(most, largest())
            return most

        most = asyncio.run_coroutine_threadsafe(send_all(), server.loop).result(60)
    assert most < 2.5 * len(text)


def test_a_transport_that_raises_is_the_consumers_to_report(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        inner: Any = Breaking.as_asgi()
        await inner({**scope, "test.protocol": receive.__self__}, receive, send)

    class Breaking(AsyncRoom):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            protocol = self.scope["test.protocol"]
            protocol.transport = Failing(protocol.transport, RuntimeError("no writes today"))
            await self.channel_layer.group_send("room", {"type": "websocket.send", "text": "lost"})

    with LiveServer(app, **PLAIN) as server, Client(server, "/") as client:
        client.send("go")
        until(lambda: "no writes today" in caplog.text, "it is reported")
        client.drop()
    assert "Exception in callback" not in caplog.text


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_that_is_too_late_is_counted_and_not_sent(layer: Any, count: int) -> None:
    layer.expiry = -1.0
    with LiveServer(AsyncRoom.as_asgi(), **PLAIN) as server, Client(server, "/") as client:
        for _ in range(count):
            client.send("late")
        until(lambda: layer.metrics.dropped.get("expired") == count, "all are counted")


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_has_left_is_no_error(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    consumer: Any = AsyncRoom if kind == "async" else SyncRoom
    with LiveServer(consumer.as_asgi(), **PLAIN) as server, Client(server, "/") as stays:
        for number in range(20):
            leaving = Client(server, "/")
            stays.send(str(number))
            leaving.drop()
            assert stays.receive() == str(number)
    errors = [f"{one.name}: {one.getMessage()}" for one in caplog.records if one.levelname == "ERROR"]
    # The thread of a client that was dropped may complain itself.
    assert [error for error in errors if not error.startswith("websockets.client: ")] == []
