"""A socket that a test holds in its hand, and a connection on it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from compat import tickets
from compat.resume.connection import ResumableConnection
from compat.resume.link import Link
from compat.types import Message
from tests.support.waiting import turns

PLACE = tickets.Place(b"user", b"path", "")


class FalseSocket:
    """What a server gives an application; ``stick()`` lets each send wait until ``flow()``."""

    def __init__(self, *, few_codes: bool = False) -> None:
        self.few_codes = few_codes
        """It takes the codes that daphne takes."""
        self.sent: list[Message] = []
        self.coming: asyncio.Queue[Message] = asyncio.Queue()
        self.reads = 0
        self._flow = asyncio.Event()
        self._flow.set()

    def stick(self) -> None:
        self._flow.clear()

    def flow(self) -> None:
        self._flow.set()

    def say(self, text: str) -> None:
        """The client sends a frame."""
        self.coming.put_nowait({"type": "websocket.receive", "text": text})

    async def receive(self) -> Message:
        self.reads += 1
        return await self.coming.get()

    async def send(self, message: Message) -> None:
        await self._flow.wait()
        if self.few_codes and message["type"] == "websocket.close" and 1000 < message["code"] < 3000:
            raise ValueError(f"invalid close code {message['code']}")
        self.sent.append(message)

    @property
    def controls(self) -> list[dict[str, Any]]:
        """The control frames that were sent."""
        texts = [message.get("text") or "" for message in self.sent]
        return [json.loads(text[1:]) for text in texts if text.startswith("\x10")]

    @property
    def codes(self) -> list[int]:
        """The codes of the closes that were sent."""
        return [message["code"] for message in self.sent if message["type"] == "websocket.close"]


async def connected(*, posts: bool = False) -> tuple[ResumableConnection, FalseSocket]:
    """Return a connection that the application has accepted; ``posts``: its client is one of requests."""
    socket = FalseSocket()
    connection = ResumableConnection(120, PLACE, None)
    connection.begin(socket.receive, socket.send, posts=posts)
    await connection.send({"type": "websocket.accept"})
    await turns()
    return connection, socket


async def returned(connection: ResumableConnection) -> FalseSocket:
    """Bring its client back on another socket."""
    socket = FalseSocket()
    link = Link(socket.receive, socket.send, connection, connection.journal.end)
    connection.resume(link, PLACE)
    link.begin()
    await turns()
    return socket
