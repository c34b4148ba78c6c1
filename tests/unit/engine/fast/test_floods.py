"""Who sends very many small frames in a row may keep less of them in the kernel; nobody else is touched."""

from __future__ import annotations

from collections.abc import Iterator
from socket import SO_RCVBUF, SOL_SOCKET
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from compat.engine.fast import conversation
from compat.engine.fast.reading import NARROW_BYTES, SMALL
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


def buffer_after(server: LiveServer, frame: str | bytes) -> int:
    """Send so many at once, and return what the server says of its buffer."""
    payload = frame.encode() if isinstance(frame, str) else frame
    opcode = Opcode.TEXT if isinstance(frame, str) else Opcode.BINARY
    frames = b"".join(Frame(opcode, payload).serialize(mask=True) for _ in range(FRAMES))
    with Client(server, "/") as client:
        client.connection.socket.sendall(frames)
        return int(client.receive())


@pytest.mark.parametrize("frame", ["", "x", "x" * SMALL, b"x" * SMALL])
def test_a_flood_of_small_frames_is_held_back_and_all_of_it_handled(server: LiveServer, frame: Any) -> None:
    assert buffer_after(server, frame) <= NARROW_BYTES


@pytest.mark.parametrize("frame", ["x" * (SMALL + 1), b"x" * 8192])
def test_large_frames_are_not(server: LiveServer, frame: Any) -> None:
    assert buffer_after(server, frame) > NARROW_BYTES


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
