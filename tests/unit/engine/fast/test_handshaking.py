"""A handshake that is read here is the one that the server would read."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import re
import socket
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from compat.engine.fast import handshaking
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.types import Receive, Scope, Send
from tests.hostile.wire import frame
from tests.support.servers import LiveServer
from tests.support.waiting import turns, until_async

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
Headers = list[tuple[str, str]]
USUAL: Headers = [
    ("Host", "localhost"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
]
CHROME: Headers = [
    *USUAL,
    ("Pragma", "no-cache"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"),
    ("Origin", "http://localhost"),
    ("Accept-Language", "de-DE,de;q=0.9"),
    ("Cookie", "sessionid=a1b2; theme=dark"),
    ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
]
FIREFOX: Headers = [
    ("Host", "localhost"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ("Sec-WebSocket-Key", KEY),
    ("Connection", "keep-alive, Upgrade"),
    ("Upgrade", "websocket"),
]
NGINX: Headers = [("Upgrade", "websocket"), ("Connection", "upgrade"), *CHROME[:1], *CHROME[3:]]


def request(headers: Headers, line: str = "GET /ws/?a=1 HTTP/1.1") -> bytes:
    said = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{line}\r\n{said}\r\n".encode("latin-1")


def but(name: str, *values: str) -> Headers:
    """The usual headers, with these values of one of them."""
    return [one for one in USUAL if one[0] != name] + [(name, value) for value in values]


class Echo:
    """Accepts as it is told to, and echoes."""

    def __init__(self, **accept: Any) -> None:
        self.accept = accept
        self.scope: dict[str, Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = {name: value for name, value in scope.items() if name != "state"}
        assert scope["type"] == "websocket"  # a request may announce a body that never comes
        assert (await receive())["type"] == "websocket.connect"
        await turns()
        await send({"type": "websocket.accept", **self.accept})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close"})


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    start = {"type": "websocket.http.response.start", "status": 402, "headers": [(b"x-pay", b"now")]}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": b"pay"})


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError


class Client:
    """A client of uvicorn's HTTP protocol ``http``, on a socket of its own."""

    def __init__(self, app: Any, *, here: bool, http: str = "httptools", **options: Any) -> None:
        self.config = uvicorn.Config(
            app, ws="websockets-sansio", http=http, lifespan="off", log_config=None, **options
        )
        self.config.load()
        if here:
            handshaking.read_for(self.config)
        self.state = ServerState()
        self.state.default_headers = self.config.encoded_headers
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.heard = b""
        self.ended = False

    async def open(self) -> Client:
        loop = asyncio.get_running_loop()
        http: Any = self.config.http_protocol_class
        await loop.connect_accepted_socket(lambda: http(self.config, self.state, {}, loop), self.theirs)
        return self

    async def says(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.ours, data)

    async def hears(self, what: Callable[[bytes], bool]) -> None:
        def done() -> bool:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while data := self.ours.recv(1 << 16):
                    self.heard += data
                self.ended = True
            return self.ended or what(self.heard)

        await until_async(done, "the server has answered")

    async def end(self) -> None:
        self.ours.close()
        await asyncio.gather(*self.state.tasks)


DATED = re.compile(rb"(?i)(date: )[^\r]+")


async def heard(data: bytes, app: Any, **options: Any) -> bytes:
    """What a client that begins with ``data`` hears until its end, without the date."""
    client = await Client(app, **options).open()
    await client.says(data)
    await turns(20)
    if not client.state.tasks:  # the server does not answer each request that is wrong
        client.ours.shutdown(socket.SHUT_WR)
    await client.hears(lambda heard: b"\r\n\r\n" in heard)
    if client.heard.startswith(b"HTTP/1.1 101 "):
        await client.says(frame(1, b"said") + frame(1, b"x" * 200))
        await client.hears(lambda heard: b"x" * 200 in heard or b"\xc1" in heard.partition(b"\r\n\r\n")[2])
        await client.says(frame(8, b"\x03\xe8"))
    await client.hears(lambda heard: False)
    await client.end()
    return DATED.sub(rb"\1-", client.heard)


@contextlib.contextmanager
def counting() -> Iterator[list[int]]:
    """Count the requests that are read here."""
    read: list[int] = []
    plain = handshaking._Answered.accept

    def accept(self: Any, request: Any) -> Any:
        read.append(1)
        return plain(self, request)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(handshaking._Answered, "accept", accept)
        yield read


def same(data: bytes, make: Callable[[], Any] = Echo, **options: Any) -> bool:
    """Assert that all is the same, whoever reads it; return whether it has been read here."""
    apps = make(), make()
    by_server = asyncio.run(heard(data, apps[0], here=False, **options))
    with counting() as read:
        by_us = asyncio.run(heard(data, apps[1], here=True, **options))
    assert by_us == by_server
    if isinstance(apps[0], Echo):
        assert apps[1].scope == apps[0].scope
    return bool(read)


@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize("deflate", [True, False])
@pytest.mark.parametrize(
    "headers", [USUAL, CHROME, FIREFOX, NGINX], ids=["few", "chrome", "firefox", "nginx"]
)
def test_those_of_most_clients_are_read_here(headers: Headers, http: str, *, deflate: bool) -> None:
    assert same(request(headers), http=http, ws_per_message_deflate=deflate)


@pytest.mark.parametrize(
    "data",
    [
        request(but("Connection", "close, upgrade")),
        request(but("Upgrade", "websocket", "websocket")),
        request(but("Sec-WebSocket-Version", "8")),
        request(but("Sec-WebSocket-Version")),
        request(but("Sec-WebSocket-Key", KEY[:-3] + "===")),
        request(but("Sec-WebSocket-Key", base64.b64encode(b"15 bytes are few"[:15]).decode())),
        request(but("Sec-WebSocket-Key")),
        request([*USUAL, ("Origin", "http://a"), ("Origin", "http://b")]),
        request([*USUAL, ("Content-Length", "0")]),
        request([*but("Upgrade"), ("Content-Length", "13")]),
        request([*USUAL, ("Sec-WebSocket-Extensions", "permessage-deflate; =")]),
        request([*USUAL, ("Cookie", "name=caf\xe9")]),
        request([*USUAL, ("Cookie", "x" * 8192)]),
        request([*USUAL, ("Cookie", "x" * 5000), ("X-Other", "x" * 5000)]),
        request(USUAL + [(f"X-{number}", "1") for number in range(124)]),
        request(USUAL, "POST / HTTP/1.1"),
        request([*USUAL, ("Sec-WebSocket-Protocol", "")]),
        request([*USUAL, ("Sec-WebSocket-Protocol", "a,,b")]),
        request([*USUAL, ("Sec-WebSocket-Protocol", "not, [a] token")]),
    ],
)
def test_the_others_are_the_servers(data: bytes) -> None:
    assert not same(data)


@pytest.mark.parametrize(("more", "here"), [(122, True), (123, True), (124, False)])
def test_so_many_headers(more: int, *, here: bool) -> None:
    assert same(request(USUAL + [(f"X-{number}", "1") for number in range(more)])) is here


VALUES = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20),
    st.sampled_from(("", "upgrade", "Upgrade, keep-alive", "keep-alive, Upgrade", "WebSocket", "13", KEY)),
    st.sampled_from(
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=10", "x-y, z", "a,,b")
    ),
    st.sampled_from(("\t", " tab\tand blank ", '"quoted, list"', "0", "chunked", "1, 2")),
)
NAMES = st.sampled_from(
    (
        *(name for name, _ in USUAL),
        *("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Origin", "Cookie", "Content-Length"),
        *("Transfer-Encoding", "X-Any", "x_odd!name", "ACCEPT"),
    )
)
LINES = st.sampled_from(
    (
        *("GET / HTTP/1.1", "GET /a%20b/%C3%A9/?q=%20&r=\xe4 HTTP/1.1", "GET /a?b?c#d HTTP/1.1"),
        *("GET http://other/ws/ HTTP/1.1", "GET * HTTP/1.1", "PUT / HTTP/1.1", "GET / HTTP/1.0"),
    )
)


@settings(max_examples=150, deadline=None)
@given(
    st.permutations(USUAL),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.sets(st.integers(0, 4), max_size=1),
    LINES,
    st.sampled_from(({}, {"subprotocol": "chat"}, {"headers": [(b"X-One", b"1"), (b"x-one", b"2")]})),
)
def test_whatever_is_asked(
    usual: Headers, more: Headers, left_out: set[int], line: str, accept: dict[str, Any]
) -> None:
    headers = [one for number, one in enumerate(usual) if number not in left_out]
    same(request([*headers[:2], *more, *headers[2:]], line), lambda: Echo(**accept))


@pytest.mark.parametrize("app", [refuses, answers, fails])
def test_the_application_refuses(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert same(request(CHROME), lambda: app)


ADDED = (
    (b"x", b"a\r\nb: c"),
    (b"Date", b"never"),
    (b"server", b"other"),
    (b"x", b"\x00"),
    (b"x", b"caf\xe9"),
    (b"caf\xe9", b"x"),
)


@pytest.mark.parametrize("headers", [[added] for added in ADDED])
def test_what_the_application_adds(headers: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    assert same(request(USUAL), lambda: Echo(headers=headers))


@pytest.mark.parametrize("here", [True, False])
def test_a_client_that_does_not_wait_for_the_answer(*, here: bool) -> None:
    async def main() -> bytes:
        client = await Client(Echo(), here=here).open()
        await client.says(request(USUAL))
        await until_async(lambda: bool(client.state.tasks), "the request has been read")
        await client.says(frame(1, b"early"))
        await client.hears(lambda heard: b"early" in heard)
        await client.says(frame(8))
        await client.hears(lambda heard: False)
        await client.end()
        return client.heard.partition(b"\r\n\r\n")[2]

    assert asyncio.run(main()) == b"\x81\x05early\x88\x00"


@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize(
    "headers", [USUAL, [*USUAL, ("X-Way", "1"), ("X-Way", "2")]], ids=["usual", "the_servers"]
)
def test_what_has_read_the_request_goes_without_a_collection(headers: Headers, http: str) -> None:
    made: list[weakref.ref[Any]] = []

    async def main() -> None:
        client = Client(Echo(), here=True, http=http)
        kind: Any = client.config.http_protocol_class

        def watched(*given: Any) -> Any:
            protocol = kind(*given)
            made.append(weakref.ref(protocol))
            return protocol

        client.config.http_protocol_class = watched  # type: ignore[assignment]
        await client.open()
        await client.says(request(headers))
        await client.hears(lambda heard: b"\r\n\r\n" in heard)
        await turns()
        assert [there() for there in made] == [None]
        await client.says(frame(1, b"said"))
        await client.hears(lambda heard: heard.endswith(b"said"))
        await client.says(frame(8))
        await client.hears(lambda heard: False)
        await client.end()

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


class Said(AsyncWebsocketConsumer):
    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        await self.send(text_data=f"{self.scope['path']} {text_data}")


async def refused(websocket: WebSocket) -> None:
    await websocket.close()


async def beside(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="chat", headers=[(b"x-beside", b"yes")])
    async for text in websocket.iter_text():
        await websocket.send_text(f"beside {text}")


@pytest.mark.parametrize(("parts", "count"), [("1", 4), ("scheduling,reading", 0), ("0", 0)])
@pytest.mark.usefixtures("layer")
def test_a_server_is_known_by_its_first_consumer(parts: str, count: int) -> None:
    """From then on the handshakes of all its connections are read here."""
    app = Starlette(
        routes=[
            WebSocketRoute("/said/", Said.as_asgi()),
            WebSocketRoute("/beside/", beside),
            WebSocketRoute("/refused/", refused),
        ]
    )

    async def main(server: LiveServer) -> None:
        for _ in range(2):
            async with connect(server.ws("/said/"), compression=None) as client:
                await client.send("1")
                assert await client.recv() == "/said/ 1"
        for compression in ("deflate", None):
            chat = [Subprotocol("x"), Subprotocol("chat")]
            async with connect(server.ws("/beside/"), subprotocols=chat, compression=compression) as client:
                await client.send("1")
                assert await client.recv() == "beside 1"
                assert client.subprotocol == "chat"
                assert client.response is not None
                assert client.response.headers["x-beside"] == "yes"
        with pytest.raises(InvalidStatus, match="403"):
            await connect(server.ws("/refused/"))

    with counting() as read, pytest.MonkeyPatch.context() as patched:
        patched.setenv("CHANNEL_FAST", parts)
        with LiveServer(app, ws="websockets-sansio") as server:
            asyncio.run(main(server))
    assert len(read) == count


def test_a_server_with_another_class_keeps_it() -> None:
    class Own(WebSocketsSansIOProtocol):
        pass

    config = uvicorn.Config(refuses, ws=Own, log_config=None)
    config.load()
    handshaking.read_for(config)
    assert config.ws_protocol_class is Own
