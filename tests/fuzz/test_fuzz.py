"""Whatever clients send to a real server: no answer of 500, no handler that hangs, nothing left behind.

A few examples of each in every run; thousands under the slow marker.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from compat.auth import AuthMiddlewareStack
from compat.auth.tokens import Header, Query, Subprotocol, TokenAuthMiddleware
from compat.exceptions import ImproperlyConfigured
from compat.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, JsonWebsocketConsumer
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.metrics import connections
from compat.names import group_name
from compat.patterns import path, re_path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.security.websocket import OriginValidator
from compat.types import Message
from tests.support.clients import Client, Refused
from tests.support.servers import LiveServer
from tests.support.waiting import until

DEADLINE_S = 20.0
ANY_PACE = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=ANY_PACE)
MANY = settings(max_examples=1500, deadline=None, suppress_health_check=ANY_PACE)

SOME = [
    pytest.param(FEW, id="few"),
    pytest.param(MANY, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
]
ends: list[int] = []


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data, bytes_data)


class Room(AsyncJsonWebsocketConsumer):
    """Sends to its group whatever it gets, and echoes what cannot be sent there as null."""

    async def connect(self) -> None:
        self.group = group_name(self.scope["url_route"]["kwargs"]["room"], prefix="fuzz_")
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept(next(iter(self.scope["subprotocols"]), None))

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send(self.group, {"type": "said", "content": content})

    async def said(self, event: Message) -> None:
        await self.send_json(event["content"])

    async def disconnect(self, code: int) -> None:
        ends.append(code)


class Sync(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json(content)


async def user_of(token: str) -> str | None:
    return token if token == "good" else None


class Generated:
    """An application that a test puts a router into."""

    router: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.router({**scope, "path": scope["path"].removeprefix("/generated")}, receive, send)


generated = Generated()


def application() -> Any:
    tokens = TokenAuthMiddleware(
        AuthMiddlewareStack(Room.as_asgi()), user_of, places=[Header(), Query(), Subprotocol()]
    )
    urls = [
        path("echo/", Echo.as_asgi()),
        path("sync/", Sync.as_asgi()),
        path("room/<path:room>/", tokens),
        path("nested/<slug:a>/", URLRouter([re_path(r"^(?P<n>\d+)/?$", Echo.as_asgi())])),
        re_path(r"^pattern/(?P<word>\w+)/(?P<n>[0-9]{1,4})?/?$", Echo.as_asgi()),
        path("checked/", OriginValidator(Echo.as_asgi(), [".example.com", "http://localhost:8000"])),
    ]
    urls.append(re_path(r"^generated/", generated))
    return ProtocolTypeRouter({"websocket": URLRouter(urls)})


@pytest.fixture(scope="module")
def layer() -> Iterator[InMemoryChannelLayer]:
    layer = InMemoryChannelLayer()
    register_channel_layer("default", layer)
    yield layer
    unregister_channel_layer("default")


@pytest.fixture(scope="module")
def server(layer: InMemoryChannelLayer) -> Iterator[LiveServer]:
    # Without pings: uvicorn makes their contents with ``random``, and Hypothesis refuses an example during
    # which any thread does.
    with LiveServer(application(), log_level="warning", ws_ping_interval=None) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_left_behind(
    server: LiveServer, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    caplog.set_level(logging.ERROR)
    before, others = tasks_of(server), connections.current
    yield
    until(lambda: connections.current == others, "every consumer has ended", deadline_s=DEADLINE_S)
    until(lambda: not layer.groups and not layer.channels, "no group, no channel", deadline_s=DEADLINE_S)
    until(lambda: tasks_of(server) <= before, "every task has ended", deadline_s=DEADLINE_S)


def tasks_of(server: LiveServer) -> int:
    """How many tasks the server's loop has, the one that counts left out."""

    async def count() -> int:
        return len(asyncio.all_tasks()) - 1

    assert server.loop is not None
    return asyncio.run_coroutine_threadsafe(count(), server.loop).result(DEADLINE_S)


def status(server: LiveServer, where: str, **options: Any) -> int:
    try:
        with Client(server, where, **options):
            return 101
    except Refused as refused:
        return refused.status


def ask(server: LiveServer, lines: list[bytes]) -> int:
    """The status of a handshake that is written by hand; 0 where the server only hangs up."""
    with socket.create_connection((server.host, server.port), timeout=DEADLINE_S) as connection:
        connection.sendall(b"\r\n".join([*lines, b"", b""]))
        answer = connection.recv(4096)
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


def handshake(where: bytes, *headers: bytes) -> list[bytes]:
    return [
        b"GET " + where + b" HTTP/1.1",
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
        *headers,
    ]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
header_text = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=80
)
url_text = st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/%?[]{}|^<>\"\\", max_size=60)


@pytest.mark.parametrize("amount", SOME)
def test_frames_come_back(amount: settings, server: LiveServer) -> None:
    with Client(server, "/echo/") as client:

        @amount
        @given(st.text(max_size=500) | st.binary(max_size=500))
        def check(frame: str | bytes) -> None:
            client.send(frame)
            assert client.receive() == frame

        check()


@pytest.mark.parametrize("amount", SOME)
@pytest.mark.parametrize("where", ["/room/json/", "/sync/"])
def test_json_comes_back(amount: settings, where: str, server: LiveServer) -> None:
    with Client(server, where) as client:

        @amount
        @given(json_values)
        def check(content: Any) -> None:
            client.send_json(content)
            assert client.receive_json() == content

        check()


@pytest.mark.parametrize("amount", SOME)
def test_bad_json_ends_with_1011_and_nobody_else_notices(amount: settings, server: LiveServer) -> None:
    with Client(server, "/room/other/") as other:

        @amount
        @given(st.text(max_size=30) | st.binary(max_size=30))
        def check(frame: str | bytes) -> None:
            with Client(server, "/sync/") as client:
                client.send(frame)
                try:
                    answer = client.connection.recv(DEADLINE_S)
                    assert repr(json.loads(answer)) == repr(json.loads(frame))  # NaN is not equal to itself
                except ConnectionClosed:
                    assert client.close_code == 1011

        check()
        other.send_json("still here")
        assert other.receive_json() == "still here"


@pytest.mark.parametrize("amount", SOME)
def test_any_path_is_served_or_not_found(amount: settings, server: LiveServer) -> None:
    prefixes = st.sampled_from(["", "/", "/room/", "/pattern/", "/nested/", "/echo/", "//"])

    @amount
    @given(prefixes, url_text)
    def check(prefix: str, rest: str) -> None:
        where = f"/{prefix}{rest}".replace(" ", "").encode()
        assert ask(server, handshake(where, b"Origin: http://localhost")) in (101, 400, 403, 404)

    check()


@pytest.mark.parametrize("amount", SOME)
def test_any_room_name_makes_a_group(amount: settings, server: LiveServer) -> None:
    @amount
    @given(st.text(min_size=1, max_size=150))
    def check(name: str) -> None:
        assert status(server, f"/room/{quote(name)}/") in (101, 404)

    check()


@pytest.mark.parametrize("amount", SOME)
@pytest.mark.parametrize("header", ["Cookie", "Origin", "Authorization", "Sec-WebSocket-Protocol"])
def test_any_header_is_served_or_refused(amount: settings, header: str, server: LiveServer) -> None:
    where = st.sampled_from([b"/room/x/", b"/checked/"])

    @amount
    @given(where, header_text)
    def check(where: bytes, value: str) -> None:
        line = header.encode() + b": " + value.strip().encode("latin1")
        assert ask(server, handshake(where, line)) in (0, 101, 400, 403, 404)

    check()


pattern_text = st.lists(
    st.sampled_from(
        ["a", "b/", "é", "-", "<int:n>", "<slug:s>/", "<path:p>", "<str:n>", "(?P<n>\\d+)", "^", "$", ".*"]
    ),
    max_size=4,
).map("".join)
generated_routes = st.lists(
    st.tuples(st.sampled_from([path, re_path]), pattern_text, st.booleans()), min_size=1, max_size=4
)


@pytest.mark.parametrize("amount", SOME)
def test_any_patterns_serve_what_they_match_and_nothing_else(amount: settings, server: LiveServer) -> None:
    """Also where two of them match, or one leads to a router within."""

    @amount
    @given(generated_routes, st.text("ab1é-/", max_size=8))
    def check(routes: list[tuple[Any, str, bool]], rest: str) -> None:
        inner = URLRouter([path("", Echo.as_asgi()), re_path(r"^(?P<m>[a-z]+)/?$", Echo.as_asgi())])
        try:
            router = URLRouter(
                [make(text, inner if nested else Echo.as_asgi()) for make, text, nested in routes]
            )
        except ImproperlyConfigured:
            return
        generated.router = router
        expected = 101 if router.serves(rest) else 404
        where = f"/generated/{quote(rest)}"
        assert ask(server, handshake(where.encode(), b"Origin: http://localhost")) == expected

    check()


@pytest.mark.parametrize("amount", SOME)
async def test_any_name_is_a_channels_or_is_refused(amount: settings, layer: InMemoryChannelLayer) -> None:
    """Names of channels and groups: TypeError, or the message arrives; nothing is kept of a name refused."""

    @amount
    @given(st.text(max_size=120) | st.text(string.ascii_letters + string.digits + "-_.!", max_size=120))
    def check(name: str) -> None:
        asyncio.run(use(name))

    async def use(name: str) -> None:
        own = InMemoryChannelLayer()
        for send in (own.send(name, {"type": "x"}), own.group_add("g", name), own.group_add(name, "c")):
            try:
                await send
            except TypeError:
                continue
        if valid_channel(name):
            assert await own.receive(name) == {"type": "x"} and name in own.groups["g"]
        else:
            assert not own.channels and "g" not in own.groups
        assert (name in own.groups) == valid_group(name) or name == "g"

    await asyncio.to_thread(check)


def valid_group(name: str) -> bool:
    return bool(re.fullmatch(r"[a-zA-Z0-9\-_.]{1,99}", name))


def valid_channel(name: str) -> bool:
    return len(name) < 100 and bool(re.fullmatch(r"[a-zA-Z0-9\-_.]+(![a-zA-Z0-9\-_.]*)?", name))


@pytest.mark.parametrize("amount", SOME)
def test_any_query_is_served(amount: settings, server: LiveServer) -> None:
    @amount
    @given(st.binary(max_size=80).map(lambda raw: bytes(c for c in raw if 33 <= c <= 126 and c != 35)))
    def check(query: bytes) -> None:
        assert ask(server, handshake(b"/room/x/?token=" + query, b"Origin: http://localhost")) in (101, 400)

    check()
