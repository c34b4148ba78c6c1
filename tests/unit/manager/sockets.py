"""Clients of a manager without a network: a real WebSocket, and its other end in the test's hand."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.websockets import WebSocket

__all__ = ["Peer", "until_it_is"]

DEADLINE_S = 15.0


async def until_it_is(wanted: Any, ask: Callable[[], Awaitable[Any]]) -> None:
    """Return when `await ask()` is `wanted`; AssertionError with what it is when the deadline has passed."""
    end = time.monotonic() + DEADLINE_S
    while True:
        found = await ask()
        if found == wanted:
            return
        assert time.monotonic() < end, f"{found!r} is not {wanted!r}"
        await asyncio.sleep(0.02)


class Peer:
    """One client. ``websocket`` is what an endpoint gets; the rest is what the client does and sees."""

    def __init__(self, path: str = "/ws") -> None:
        self.scope: dict[str, Any] = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "path": path,
            "headers": [],
            "query_string": b"",
            "subprotocols": [],
        }
        self.websocket = WebSocket(self.scope, self._receive, self._send)
        self.accepted: dict[str, Any] | None = None
        self.closed_with: int | None = None
        self.gone = False
        """True: writing to the client fails, as with a server that knows it has left."""
        self._to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_client: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reading = asyncio.Event()
        self._reading.set()
        self._to_server.put_nowait({"type": "websocket.connect"})

    async def _receive(self) -> dict[str, Any]:
        return await self._to_server.get()

    async def _send(self, message: Any) -> None:
        await self._reading.wait()
        if self.gone:
            raise OSError("the client has left")
        if message["type"] == "websocket.accept":
            self.accepted = dict(message)
        elif message["type"] == "websocket.close":
            self.closed_with = message.get("code", 1000)
            self._to_server.put_nowait({"type": "websocket.disconnect", "code": self.closed_with})
        else:
            self._to_client.put_nowait(dict(message))

    # What the client does

    def stop_reading(self) -> None:
        """Be slow: the server cannot write until ``go_on_reading``."""
        self._reading.clear()

    def go_on_reading(self) -> None:
        self._reading.set()

    def say(self, content: Any) -> None:
        """Send a text frame: a str as it is, anything else as JSON."""
        text = content if isinstance(content, str) else json.dumps(content)
        self._to_server.put_nowait({"type": "websocket.receive", "text": text})

    def say_bytes(self, data: bytes) -> None:
        self._to_server.put_nowait({"type": "websocket.receive", "bytes": data})

    def frame(self, message: dict[str, Any]) -> None:
        """Let the server see any ASGI message."""
        self._to_server.put_nowait(message)

    def leave(self, code: int = 1000) -> None:
        """Close, or with 1006 vanish."""
        self._to_server.put_nowait({"type": "websocket.disconnect", "code": code})

    # What the client sees

    async def hear(self) -> dict[str, Any]:
        """The next frame as an ASGI message."""
        return await asyncio.wait_for(self._to_client.get(), DEADLINE_S)

    async def hear_json(self) -> Any:
        """The content of the next frame."""
        return json.loads((await self.hear())["text"])

    async def hear_all(self, count: int) -> list[Any]:
        return [await self.hear_json() for _ in range(count)]

    @property
    def unheard(self) -> list[Any]:
        """Frames that have come and were not asked for, as JSON."""
        return [json.loads(frame["text"]) for frame in self._to_client._queue]  # type: ignore[attr-defined]
