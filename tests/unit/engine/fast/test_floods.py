"""Who sends very many small frames in a row may keep less of them in the kernel; nobody else is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from socket import SO_RCVBUF, SOL_SOCKET
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from compat.engine.fast import conversation
from compat.engine.fast.reading import NARROW_BYTES, SMALL, narrow
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.settings import override
from tests.support.clients import Client
from tests.support.servers import LiveServer

pytestmark = pytest.mark.usefixtures("layer")

FRAMES = 48


@pytest.fixture(autouse=True)
def few_are_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a flood comes in one read, however slow its sender is."""
    monkeypatch.setattr(conversation, "FLOOD", FRAMES // 3)


class Counting(AsyncWebsocketConsumer):
    """Answers the last of ``FRAMES`` frames with the size of the kernel's buffer."""

    count = 0

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.count += 1
        if self.count == FRAMES:
            sock = self.scope["test.protocol"].transport.get_extra_info("socket")
            await self.send(text_data=str(sock.getsockopt(SOL_SOCKET, SO_RCVBUF)))


async def app(scope: Any, receive: Any, send: Any) -> None:
    inner: Any = Counting.as_asgi()
    await inner({**scope, "test.protocol": receive.__self__}, receive, send)


@pytest.fixture(params=["asyncio", "uvloop"], scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    with LiveServer(app, loop=request.param, ws_per_message_deflate=False) as server:
        yield server


def buffer_after(server: LiveServer, *frames: str | bytes) -> int:
    """Send ``FRAMES`` at once, of one or as they are, and return what the server says of its buffer."""
    sent = b""
    for frame in frames if len(frames) > 1 else frames * FRAMES:
        text = isinstance(frame, str)
        payload = frame.encode() if isinstance(frame, str) else frame
        sent += Frame(Opcode.TEXT if text else Opcode.BINARY, payload).serialize(mask=True)
    with Client(server, "/") as client:
        client.connection.socket.sendall(sent)
        return int(client.receive())


@pytest.mark.parametrize("frame", ["", "x", "x" * SMALL, b"x" * SMALL])
def test_a_flood_of_small_frames_is_held_back_and_all_of_it_handled(server: LiveServer, frame: Any) -> None:
    assert buffer_after(server, frame) <= NARROW_BYTES


@pytest.mark.parametrize("frame", ["x" * (SMALL + 1), b"x" * 8192])
def test_large_frames_are_not(server: LiveServer, frame: Any) -> None:
    assert buffer_after(server, frame) > NARROW_BYTES


@pytest.mark.parametrize("every", [2, 3])
def test_a_large_frame_now_and_then_is_no_flood(server: LiveServer, every: int) -> None:
    frames = [b"x" * 3000 if number % every == 0 else b"x" for number in range(FRAMES)]
    assert buffer_after(server, *frames) > NARROW_BYTES


class Closed:
    """The socket of a connection that has just ended; uvloop raises ValueError for it."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def getsockopt(self, *options: int) -> int:
        raise self.error


@pytest.mark.parametrize("error", [OSError("closed"), ValueError("negative file descriptor")])
def test_a_closed_socket_is_no_error(error: Exception) -> None:
    class Transport(asyncio.Transport):
        def is_closing(self) -> bool:
            return False

    class Protocol(asyncio.Protocol):
        transport: Any

    protocol = Protocol()
    protocol.transport = Transport(extra={"socket": Closed(error)})
    narrow(protocol)


def test_who_waits_for_answers_is_not() -> None:
    class Echo(Counting):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            if self.count < FRAMES - 1:
                await self.send(text_data="answer")
            await super().receive(text_data=text_data)

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        inner: Any = Echo.as_asgi()
        await inner({**scope, "test.protocol": receive.__self__}, receive, send)

    with LiveServer(echo, ws_per_message_deflate=False) as server, Client(server, "/") as client:
        found: str | bytes = ""
        for _ in range(FRAMES):
            client.send("x")
            found = client.receive()
    assert int(found) > NARROW_BYTES


def test_without_the_fast_part_the_kernel_is_left_alone() -> None:
    with override(CHANNEL_FAST=False), LiveServer(app, ws_per_message_deflate=False) as server:
        assert buffer_after(server, "x") > NARROW_BYTES
