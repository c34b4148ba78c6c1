"""A server that speaks the wire of resumable connections, as the tests tell it to."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

__all__ = ["ServedLink", "WireServer", "wire_server"]

PATIENCE_S = 15.0


class ServedLink:
    """The server's end of one link."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.over = asyncio.Event()

    @property
    def offered(self) -> list[str]:
        assert self.socket.request is not None
        header = self.socket.request.headers.get("Sec-WebSocket-Protocol", "")
        return [one.strip() for one in header.split(",")]

    async def hello(self, ticket: str, have: int = 0, **more: Any) -> None:
        """Greet, and take the acknowledgement."""
        await self.control("hello", ticket=ticket, have=have, park=120, **more)
        assert (await self.next_control())["type"] == "ack"

    async def control(self, type: str, **fields: Any) -> None:
        await self.send("\x10" + json.dumps({"type": type, **fields}))

    async def send(self, frame: str | bytes) -> None:
        await self.socket.send(frame)

    async def next(self) -> str | bytes:
        return await asyncio.wait_for(self.socket.recv(), PATIENCE_S)

    async def next_data(self) -> str | bytes:
        """Return the next frame that is no acknowledgement."""
        while True:
            frame = await self.next()
            if not (isinstance(frame, str) and frame.startswith('\x10{"type": "ack"')):
                return frame

    async def next_control(self) -> dict[str, Any]:
        frame = await self.next()
        assert isinstance(frame, str) and frame[0] == "\x10" and frame[1] == "{", frame
        control: dict[str, Any] = json.loads(frame[1:])
        return control

    async def end(self, code: int, reason: str = "") -> None:
        await self.socket.close(code, reason)

    async def ended(self) -> int:
        """Wait for the end; return the client's close code, 1006 without one."""
        try:
            while True:
                await self.next()
        except ConnectionClosed as closed:
            return 1006 if closed.rcvd is None else closed.rcvd.code


class WireServer:
    """Answers each handshake with ``subprotocol``, or refuses it with ``status`` (and a ``Location``)."""

    def __init__(self, subprotocol: str | None) -> None:
        self.subprotocol = subprotocol
        self.status: int | None = None
        self.location = ""
        self.handshakes = 0
        self.port = 0
        self.links: asyncio.Queue[ServedLink] = asyncio.Queue()
        self.all: list[ServedLink] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/"

    async def link(self) -> ServedLink:
        """Return the next link that a client opens."""
        return await asyncio.wait_for(self.links.get(), PATIENCE_S)

    async def handle(self, socket: ServerConnection) -> None:
        link = ServedLink(socket)
        self.all.append(link)
        self.links.put_nowait(link)
        await link.over.wait()

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes += 1
        if self.status is None:
            return None
        response = connection.respond(HTTPStatus(self.status), "")
        if self.location:
            response.headers["Location"] = self.location
        return response

    def choose(self, connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return None if self.subprotocol is None else Subprotocol(self.subprotocol)


@asynccontextmanager
async def wire_server(
    subprotocol: str | None = "channels.resume.v1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[WireServer]:
    server = WireServer(subprotocol)
    async with serve(
        server.handle,
        "127.0.0.1",
        0,
        select_subprotocol=server.choose,
        process_request=server.refuse,
        ping_interval=None,
        compression=None,
        max_size=None,
        close_timeout=1,
        ssl=tls,
    ) as listening:
        server.port = next(iter(listening.sockets)).getsockname()[1]
        try:
            yield server
        finally:
            for link in server.all:
                link.over.set()
                link.socket.transport.abort()
