"""Where uvicorn ends TLS itself, a connection whose client has left is no other than over TCP.

asyncio's TLS transport forgets its protocol when it is closed a second time, as uvicorn does when a client
has left. From then on it cannot be given another protocol, nor be asked for its socket.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compat.engine.fast.reading import FLOOD
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from tests.hostile.corpus import handshake
from tests.hostile.wire import frame
from tests.support.logs import recorded
from tests.support.servers import LiveServer
from tests.support.tls import certificate
from tests.support.waiting import until, until_async

pytestmark = pytest.mark.usefixtures("layer")

told: list[object] = []


class Async(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        told.append("connect")
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        told.append(text_data)
        if text_data == "last":
            protocol = self.scope["test.protocol"]
            await until_async(lambda: protocol.disconnected, "the client has left")

    async def disconnect(self, code: int) -> None:
        told.append(code)


class Sync(WebsocketConsumer):
    def connect(self) -> None:
        told.append("connect")
        self.accept()

    def disconnect(self, code: int) -> None:
        told.append(code)


async def app(scope: Any, receive: Any, send: Any) -> None:
    protocol = receive.__self__
    if scope["path"].startswith("/late/"):
        await until_async(lambda: protocol.disconnected, "the client has left before the consumer begins")
    inner: Any = (Sync if scope["path"].endswith("/sync/") else Async).as_asgi()
    await inner({**scope, "test.protocol": protocol}, receive, send)


@pytest.fixture(params=["asyncio", "uvloop"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveServer]:
    cert, key = certificate(tmp_path)
    told.clear()
    with LiveServer(app, loop=request.param, ssl_certfile=str(cert), ssl_keyfile=str(key)) as server:
        yield server


def visit(server: LiveServer, request: bytes, *frames: bytes) -> None:
    """Connect, send the frames at once when the server answers, if there are any, and leave."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((server.host, server.port), 15) as plain,
        context.wrap_socket(plain) as wire,
    ):
        wire.sendall(request)
        if frames:
            wire.recv(1)
            wire.sendall(b"".join(frames))


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("more", [[], ["Sec-WebSocket-Protocol: channels.resume.v1"]])
def test_who_leaves_before_the_consumer_begins(server: LiveServer, kind: str, more: list[str]) -> None:
    """Was: an AttributeError of asyncio's, and neither connect() nor disconnect() ran."""
    with recorded() as records:
        visit(server, handshake(f"/late/{kind}/", *more, origin=""))
        until(lambda: len(told) == 2, "the consumer has begun and ended")
    assert told == ["connect", 1006]
    assert not records.messages()


@pytest.mark.parametrize("number", [FLOOD - 1, FLOOD, FLOOD + 1, 2 * FLOOD])
def test_who_leaves_behind_a_flood(server: LiveServer, number: int) -> None:
    """Was: an AttributeError of asyncio's, and what was left of the flood was lost."""
    texts = ["x"] * (number - 1) + ["last"]
    with recorded() as records:
        visit(
            server,
            handshake("/", origin=""),
            *(frame(1, text.encode(), mask=b"\x01\x02\x03\x04") for text in texts),
        )
        until(lambda: told[-1:] == [1005], "the consumer has ended")
    assert told == ["connect", *texts, 1005]
    assert not records.messages()
