"""Short text frames that are taken apart here say what they say when the server does it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import socket
import struct
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.resume.inbound import MAX_FRAMES
from compat.resume.link import MAX_CONTROLS
from tests.hostile.corpus import handshake
from tests.hostile.wire import frame
from tests.support.waiting import turns, until_async

pytestmark = pytest.mark.usefixtures("layer")

MARK = "\x10"
RESUMABLE = b"Sec-WebSocket-Protocol: channels.resume.v1"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate"
CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
masked = functools.partial(frame, mask=b"\x01\x02\x03\x04")
PLAIN = "scheduling,reading,write_batching,bridge"
"""All parts but ``framing``: the server takes all frames apart."""


def text(said: str) -> bytes:
    return masked(TEXT, said.encode())


class Recording:
    """What a consumer has been told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def consumer(self, kind: str) -> Any:
        told = self.told

        class Async(AsyncWebsocketConsumer):
            async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
                told.append(text_data if text_data is not None else bytes_data)
                if text_data == "stop":
                    await self.close(4000)

            async def disconnect(self, code: int) -> None:
                told.append(code)

        class Sync(WebsocketConsumer):
            def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
                told.append(text_data if text_data is not None else bytes_data)
                if text_data == "stop":
                    self.close(4000)

            def disconnect(self, code: int) -> None:
                told.append(code)

        return (Async if kind == "async" else Sync).as_asgi()


class Wire:
    """The server's protocol on a real socket; what comes from the client is given to it by hand."""

    def __init__(self, app: Any, **options: Any) -> None:
        options = {"ws": "websockets-sansio", "lifespan": "off", "log_config": None} | options
        self.config = uvicorn.Config(app, **options)
        self.config.load()
        self.state = ServerState()
        self.protocol: Any = None
        self.peer: socket.socket
        self.heard = b""

    async def open(self, more: bytes = b"") -> Wire:
        await self.begin(more)
        await until_async(lambda: b"\r\n\r\n" in self.listen(), "the handshake is answered")
        self.heard = self.heard.partition(b"\r\n\r\n")[2]
        return self

    async def begin(self, more: bytes = b"") -> None:
        self.peer, ours = socket.socketpair()
        self.peer.setblocking(False)
        loop = asyncio.get_running_loop()

        def made() -> Any:
            self.protocol = WebSocketsSansIOProtocol(self.config, self.state, {})
            return self.protocol

        await loop.connect_accepted_socket(made, ours)
        self.feed(handshake("/", *([more] if more else []), origin=""))

    def feed(self, data: bytes) -> None:
        if not self.protocol.transport.is_closing():  # as the transport does
            self.protocol.data_received(data)

    def listen(self) -> bytes:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while data := self.peer.recv(1 << 16):
                self.heard += data
        return self.heard

    async def end(self) -> None:
        self.peer.close()
        await asyncio.gather(*self.state.tasks)

    @property
    def here(self) -> bool:
        """Whether short frames are taken apart here."""
        return hasattr(type(self.protocol), "compat_base")


def run(main: Coroutine[Any, Any, Any], parts: str = "1") -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CHANNEL_FAST", parts)
        return asyncio.run(main)


async def told(
    pieces: list[bytes], pauses: list[int], kind: str, more: bytes = b""
) -> tuple[list[Any], bytes, bool]:
    """What a consumer is told of a client whose bytes come in ``pieces``, and the close frame that its client
    gets; and whether short frames were taken apart here. ``pauses``: the turns of the loop after each piece.
    """
    recording = Recording()
    wire = await Wire(recording.consumer(kind)).open(more)
    for piece, count in zip(pieces, pauses, strict=True):
        wire.feed(piece)
        await turns(count)
    here = wire.here
    wire.feed(masked(CLOSE, struct.pack("!H", 1000)))
    await until_async(lambda: any(isinstance(one, int) for one in recording.told), "it is told of the end")
    heard = wire.listen()
    await wire.end()
    return recording.told, heard[heard.rfind(bytes((0x80 | CLOSE,))) :], here


SHORT = st.text(max_size=40).map(text)
SIZED = st.sampled_from((0, 1, 2, 124, 125, 126, 127, 300, 65536)).map(lambda size: text("x" * size))
ODD = st.sampled_from(
    (
        masked(BINARY, b"\x00\x01"),
        masked(PING, b"p"),
        masked(PONG, b"p"),
        masked(TEXT, b"one", final=False) + masked(CONTINUED, b"two"),
        masked(TEXT, b"one", final=False)
        + masked(PING, b"p")
        + masked(CONTINUED, b"two", final=False)
        + masked(CONTINUED, b"three"),
        masked(TEXT, "é".encode()[:1], final=False) + masked(CONTINUED, "é".encode()[1:]),
        text(MARK + "marked"),
        frame(TEXT, b"zero"),
    )
)
WRONG = st.sampled_from(
    (
        masked(TEXT, b"\xff\xfe"),
        masked(TEXT, b"\xed\xa0\x80"),
        frame(TEXT, b"no mask", mask=None),
        masked(TEXT, b"compressed", reserved=4),
        masked(3, b"reserved"),
        masked(TEXT, b"rsv3", reserved=1),
        masked(CONTINUED, b"alone"),
        masked(TEXT, b"one", final=False) + text("out of turn"),
        masked(CLOSE, b"\x03"),
        masked(CLOSE, struct.pack("!H", 4321) + b"bye") + text("after it"),
    )
)


@st.composite
def streams(draw: Callable[[Any], Any], wrong: int) -> tuple[list[bytes], list[int]]:
    """A client's bytes, cut anywhere, and how many turns of the loop follow each piece."""
    frames = draw(st.lists(st.one_of(SHORT, SHORT, SIZED, ODD), max_size=8))
    frames += draw(st.lists(WRONG, min_size=wrong, max_size=wrong))
    data = b"".join(frames)
    if draw(st.booleans()):
        pieces = [one for one in frames if one]
    else:
        cuts = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=6)))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if data[a:b]]
    return pieces, draw(st.lists(st.integers(0, 3), min_size=len(pieces), max_size=len(pieces)))


@pytest.mark.parametrize("more", [b"", DEFLATE], ids=["plain", "deflate"])
@pytest.mark.parametrize("kind", ["async", "sync"])
@settings(max_examples=25, deadline=None)
@given(stream=streams(wrong=0))
def test_it_is_told_the_same_as_by_the_server(
    stream: tuple[list[bytes], list[int]], kind: str, more: bytes
) -> None:
    *by_us, here = run(told(*stream, kind, more))
    *by_server, there = run(told(*stream, kind, more), PLAIN)
    assert by_us == by_server
    assert here
    assert not there


@pytest.mark.parametrize("kind", ["async", "sync"])
@settings(max_examples=25, deadline=None)
@given(stream=streams(wrong=1))
def test_what_is_wrong_is_the_servers_to_say(stream: tuple[list[bytes], list[int]], kind: str) -> None:
    by_us, ends, _ = run(told(*stream, kind))
    by_server, ended, _ = run(told(*stream, kind), PLAIN)
    assert ends == ended
    assert by_us[-1] == by_server[-1]
    # The server loses the frames that come in one piece with a wrong one.
    assert by_us[: len(by_server) - 1] == by_server[:-1]


INNER = frame(BINARY, b"outer " + text("inner"))
BETWEEN = len(INNER) - len(text("inner"))


@pytest.mark.parametrize(
    "pieces",
    [
        (INNER[:BETWEEN], INNER[BETWEEN:], text("next")),
        (INNER[:1], INNER[1:BETWEEN], INNER[BETWEEN:] + text("next")),
        (text("first") + INNER[:BETWEEN], INNER[BETWEEN:]),
        (masked(TEXT, b"one", final=False), text("out of turn")),
        (masked(TEXT, b"one", final=False), masked(PING, b"p"), text("out of turn")),
        (masked(CLOSE, struct.pack("!H", 1000)), text("after it")),
    ],
)
def test_what_only_looks_like_a_text_frame(pieces: tuple[bytes, ...]) -> None:
    pauses = [3] * len(pieces)
    *by_us, here = run(told(list(pieces), pauses, "async"))
    assert by_us == list(run(told(list(pieces), pauses, "async"), PLAIN)[:2])
    assert here


@pytest.mark.parametrize("more", [b"", DEFLATE], ids=["plain", "deflate"])
@pytest.mark.parametrize(
    "close",
    [
        *(masked(CLOSE, struct.pack("!H", code)) for code in (999, 1000, 1001, 1002, 1005, 1006, 3000, 5000)),
        masked(CLOSE),
        masked(CLOSE, b"\x03"),
        masked(CLOSE, struct.pack("!H", 1000) + b"bye"),
        masked(CLOSE, struct.pack("!H", 1001) + b"\xff"),
        masked(CLOSE, struct.pack("!H", 1000)) + b"more",
        masked(CLOSE, struct.pack("!H", 1000), reserved=4),
        masked(CLOSE, struct.pack("!H", 1000), final=False),
        masked(CLOSE, struct.pack("!H", 1000), length=0),
        frame(CLOSE, struct.pack("!H", 1000), mask=None),
        frame(CLOSE, bytes(4) + struct.pack("!H", 1000), mask=None),
        masked(TEXT, b"one", final=False) + masked(CLOSE),
        text("said") + masked(CLOSE),
    ],
)
def test_its_close_is_answered_as_by_the_server(close: bytes, more: bytes) -> None:
    by_us = run(told([text("1"), close], [3, 3], "async", more))
    assert by_us[:2] == run(told([text("1"), close], [3, 3], "async", more), PLAIN)[:2]
    in_parts = [text("1"), close[:1], close[1:6], close[6:]]
    assert by_us == run(told(in_parts, [3] * 4, "async", more))


@pytest.mark.parametrize("close", [masked(CLOSE), masked(CLOSE, struct.pack("!H", 1001))])
def test_after_its_close_all_is_as_after_that_of_the_server(close: bytes) -> None:
    async def main() -> list[Any]:
        held = asyncio.Event()

        class Slow(AsyncWebsocketConsumer):
            async def disconnect(self, code: int) -> None:
                await held.wait()

        wire = await Wire(Slow.as_asgi()).open()
        wire.feed(close)
        conn = wire.protocol.conn
        parser = conn.parser.gi_code
        await turns()
        wire.listen()
        assert wire.peer.recv(1) == b"", "the client need not wait for disconnect()"
        found = [conn.state, conn.close_rcvd, conn.close_sent, conn.close_rcvd_then_sent, conn.eof_sent]
        held.set()
        await wire.end()
        return [wire.heard, *found, parser, conn.current_size, conn.events, conn.writes]

    assert run(main()) == run(main(), PLAIN)


ENDS = {
    "a close": masked(CLOSE),
    "a close with a text": masked(CLOSE, b"\x0f\xa0bye"),
    "the server's close": text("stop"),
    "half a frame": b"\x81",
    "a cut": b"",
}


@pytest.mark.parametrize("end", [*ENDS, "goodbye"])
def test_its_parser_goes_without_a_collection(end: str) -> None:
    """Were: 10 objects of each connection, until a full collection."""
    parsers: list[weakref.ref[Any]] = []

    async def main() -> None:
        offered, last = (b"", ENDS[end]) if end in ENDS else (RESUMABLE, BYE)
        wire = await Wire(Recording().consumer("async")).open(offered)
        await until_async(lambda: wire.here, "its frames are read here")
        parsers.extend(weakref.ref(one) for one in (wire.protocol.conn.parser, wire.protocol.conn.reader))
        for part in (text("1"), masked(BINARY, b"2"), last) if end in ENDS else (last,):
            if part:
                wire.feed(part)
                await turns()
        wire.peer.close()
        await until_async(lambda: not wire.state.connections, "the connection is lost")
        wire.protocol = None
        await wire.end()

    gc.disable()
    try:
        run(main())
        assert [there() for there in parsers] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_stop_first_tells_those_whose_handshake_waits(kind: str) -> None:
    """Was: in any order, so that they came back behind thousands of others, and had waited twice."""

    async def main() -> list[Any]:
        recording = Recording()
        wires = [await Wire(recording.consumer(kind)).open() for _ in range(3)]
        await until_async(lambda: all(wire.here for wire in wires), "their frames are read here")
        held = asyncio.Event()

        class Deciding(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                await held.wait()

        waiting = Wire(Deciding.as_asgi())
        await waiting.begin()
        for wire in (*wires[:2], waiting, wires[2]):
            wire.protocol.shutdown()
        assert b" 500 " in waiting.listen()
        assert [wire.listen() for wire in wires] == [b""] * 3
        await until_async(lambda: len(recording.told) == 3, "they are told of the end")
        heard = [wire.listen() for wire in wires]
        held.set()
        for wire in (*wires, waiting):
            await wire.end()
        return [*recording.told, *heard]

    assert run(main()) == [1012] * 3 + [frame(CLOSE, struct.pack("!H", 1012), mask=None)] * 3


@pytest.mark.parametrize("ended", ["before the stop", "meanwhile"])
def test_a_stop_does_not_fail_for_one_that_has_closed(ended: str) -> None:
    """Was: InvalidState for a client that closes and does not read; the server then told nobody else."""

    async def main() -> list[Any]:
        recording = Recording()
        wire = await Wire(recording.consumer("async")).open()
        await until_async(lambda: wire.here, "its frames are read here")
        while not wire.protocol.transport.get_write_buffer_size():
            wire.protocol.transport.write(bytes(1 << 16))
        if ended == "before the stop":
            wire.feed(masked(CLOSE))
            wire.protocol.shutdown()
        else:
            wire.protocol.shutdown()
            wire.feed(masked(CLOSE))
        await until_async(lambda: recording.told, "it is told of the end")
        await until_async(lambda: b"\x88\x00" in wire.listen(), "its client is answered")
        assert wire.heard.endswith(b"\x88\x00"), "one close"
        await wire.end()
        return recording.told

    failures: list[Any] = []

    async def watched() -> list[Any]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        return await main()

    assert run(watched()) == [1005]
    assert not failures


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_nothing_is_told_after_a_close(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[Any]:
        recording = Recording()
        wire = await Wire(recording.consumer(kind)).open()
        wire.feed(text("1") + text("stop"))
        await until_async(lambda: bytes((0x80 | CLOSE, 2)) in wire.listen(), "the consumer has closed")
        assert wire.here
        wire.feed(text("2") + text("3"))
        wire.feed(masked(CLOSE, struct.pack("!H", 4000)))
        await until_async(lambda: len(recording.told) > 2, "it is told of the end")
        await wire.end()
        return recording.told

    assert run(main()) == ["1", "stop", 4000]
    assert not caplog.records


def test_a_close_after_that_of_the_server_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[Any]:
        recording = Recording()
        wire = await Wire(recording.consumer("async")).open()
        wire.feed(text("stop") + frame(TEXT, b"no mask", mask=None))
        await until_async(lambda: len(recording.told) > 1, "it is told of the end")
        await wire.end()
        return recording.told

    assert run(main()) == ["stop", 1002]
    assert not caplog.records


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("together", [True, False])
def test_the_socket_is_not_read_while_two_messages_wait(count: int, *, together: bool) -> None:
    async def main() -> None:
        held = asyncio.Event()

        class Busy(AsyncWebsocketConsumer):
            async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
                if text_data == "hold":
                    await held.wait()
                heard.append(text_data)

        heard: list[Any] = []
        wire = await Wire(Busy.as_asgi()).open()
        wire.feed(text("hold"))
        await until_async(lambda: wire.protocol.queue.empty(), "it is being handled")
        # One frame may be read ahead of the handler, beside the queue.
        pieces = [text(str(number)) for number in range(1 + count)]
        for piece in [b"".join(pieces)] if together else pieces:
            wire.feed(piece)
            await turns()
        waits = wire.protocol.queue.qsize()
        assert waits in (count, 1 + count)
        assert wire.protocol.transport.is_reading() is (waits < 2)
        held.set()
        await until_async(lambda: len(heard) == 2 + count, "all are handled")
        assert heard == ["hold", *map(str, range(1 + count))]
        await until_async(lambda: wire.protocol.transport.is_reading(), "the socket is read again")
        wire.feed(masked(CLOSE))
        await wire.end()

    run(main())


@pytest.mark.parametrize(("limit", "here"), [(124, False), (125, True), (126, True)])
def test_a_server_that_takes_less_takes_them_apart_itself(limit: int, *, here: bool) -> None:
    async def main() -> None:
        recording = Recording()
        wire = await Wire(recording.consumer("async"), ws_max_size=limit).open()
        wire.feed(text("x" * 124))
        await until_async(lambda: bool(recording.told), "it is told")
        assert wire.here is here
        wire.feed(text("x" * 125))
        wire.feed(masked(CLOSE))
        await until_async(lambda: len(recording.told) > 1, "it is told of what comes next")
        assert (recording.told[1] == 1009) is not here
        await wire.end()

    run(main())


class Counting(AsyncWebsocketConsumer):
    """Sends as many texts as it is told to, and waits until its client has them."""

    told: list[Any]

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        for number in range(int(text_data)):
            await self.send(text_data=str(number))
        self.told.append(await self.delivered(timeout=30))


def ack(count: int, form: str) -> bytes:
    return text(MARK + form % count)


BYE = text(MARK + '{"type":"bye"}') + masked(CLOSE, struct.pack("!H", 1000))


@pytest.mark.parametrize(
    "form", ['{"type":"ack","n":%d}', '{"type": "ack", "n": %d}', '{"n":%d,"type":"ack"}']
)
def test_a_client_that_may_come_back_acknowledges(form: str) -> None:
    async def main() -> None:
        told: list[Any] = []

        class Counts(Counting):
            pass

        Counts.told = told
        wire = await Wire(Counts.as_asgi()).open(RESUMABLE)
        await until_async(lambda: b"hello" in wire.listen(), "it is told hello")
        wire.feed(ack(0, form) + text("3"))
        await until_async(lambda: b'"ask":true' in wire.listen(), "it is asked what it has")
        for count in (1, 2, 1):
            wire.feed(ack(count, form))
            await turns()
            assert not told
        wire.feed(ack(99, form))  # more than was sent: it has all
        await until_async(lambda: told == [True], "all have come")
        wire.feed(BYE)
        await wire.end()

    run(main())


@pytest.mark.parametrize("most", [1, 7, 1000])
@pytest.mark.parametrize("kind", ["async", "sync"])
def test_what_it_sends_keeps_its_order(kind: str, most: int) -> None:
    """Also where more comes than may wait for the consumer, and control frames and long ones are between."""
    said = [str(number) * (100 if number % 7 == 0 else 1) for number in range(300)]
    said[::5] = [MARK + one for one in said[::5]]
    sent = [MARK + one if one[0] == MARK else one for one in said]
    frames = [text(one) for one in sent]
    for at in range(0, 300, 50):
        frames.insert(at, ack(0, '{"type":"ack","n":%d}') + text(MARK + '{"type":"ping"}'))

    async def main() -> list[Any]:
        recording = Recording()
        wire = await Wire(recording.consumer(kind)).open(RESUMABLE)
        await until_async(lambda: b"hello" in wire.listen(), "it is told hello")
        for at in range(0, len(frames), most):
            await until_async(lambda: wire.protocol.transport.is_reading(), "the socket is read")
            wire.feed(b"".join(frames[at : at + most]))
        await until_async(lambda: len(recording.told) == 300, "all are told")
        assert wire.listen().count(b'"pong"') == 6
        wire.feed(BYE)
        await wire.end()
        return recording.told[:300]

    assert run(main()) == said


def test_its_socket_is_not_read_while_too_much_waits() -> None:
    async def main() -> None:
        held = asyncio.Event()
        heard: list[Any] = []

        class Busy(AsyncWebsocketConsumer):
            async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
                await held.wait()
                heard.append(text_data)

        wire = await Wire(Busy.as_asgi()).open(RESUMABLE)
        await until_async(lambda: b"hello" in wire.listen(), "it is told hello")
        sent = 0
        while wire.protocol.transport.is_reading():
            wire.feed(text(str(sent)))
            sent += 1
            await turns()
            assert sent <= MAX_FRAMES + 5  # it handles one, and some are on their way
        assert sent >= MAX_FRAMES
        held.set()
        for _ in range(300):  # whatever waits where
            if wire.protocol.transport.is_reading():
                wire.feed(text(str(sent)))
                sent += 1
            await asyncio.sleep(0)
        await until_async(lambda: len(heard) == sent, "all are handled")
        assert heard == [str(number) for number in range(sent)]
        wire.feed(BYE)
        await wire.end()

    run(main())


@pytest.mark.parametrize("useless", ['{"type":"ping"}', '{"type":"ack","n":0}', '{"type":"ack","n":99999}'])
def test_a_flood_of_control_frames_is_read_slowly(useless: str) -> None:
    async def main() -> None:
        wire = await Wire(Counting.as_asgi()).open(RESUMABLE)
        await until_async(lambda: b"hello" in wire.listen(), "it is told hello")
        sent, loop = 0, asyncio.get_running_loop()
        with pytest.MonkeyPatch.context() as patched:
            now = loop.time()
            patched.setattr(loop, "time", lambda: now)  # on a slow machine, too, it takes less than a second
            while wire.protocol.transport.is_reading():
                wire.feed(text(MARK + useless))
                sent += 1
                await turns()
                assert sent <= 2 * MAX_CONTROLS + 5  # they are counted from the first ones that were many
        assert sent >= MAX_CONTROLS
        wire.feed(BYE)
        await wire.end()

    run(main())
