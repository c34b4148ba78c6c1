"""What ``delivered()`` says of frames that a consumer sends after its close: they never arrive."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from compat.engine.draining import drain
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from tests.support.waiting import until_async
from tests.unit.resume.sockets import FalseSocket

SCOPE = {
    "type": "websocket",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "path": "/",
    "headers": [],
    "subprotocols": ["channels.resume.v1"],
}


class Working(AsyncWebsocketConsumer):
    """Works on a frame until it may go on, and then asks whether its client has the result."""

    go: asyncio.Event
    notes: list[object]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.notes.append("begun")
        await self.go.wait()
        if text_data == "close":
            await self.close(4000)
        await self.send(text_data="the result")
        self.notes.append(await self.delivered(5))


class SideBySide(Working):
    concurrency = 2


class InThreads(WebsocketConsumer):
    go: asyncio.Event
    notes: list[object]

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.notes.append("begun")
        async_to_sync(self.go.wait)()
        if text_data == "close":
            self.close(4000)
        self.send(text_data="the result")
        self.notes.append(self.delivered(5))


class OnOneThread(InThreads):
    thread_sensitive = True


@pytest.mark.parametrize("by", ["a drain", "itself"])
@pytest.mark.parametrize("kind", [Working, SideBySide, InThreads, OnOneThread])
async def test_what_is_sent_after_the_close_is_not_delivered(
    kind: Any, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: it was, as the frame was dropped without being counted."""
    go, notes, socket = asyncio.Event(), list[object](), FalseSocket()
    monkeypatch.setattr(kind, "go", go, raising=False)
    monkeypatch.setattr(kind, "notes", notes, raising=False)
    socket.coming.put_nowait({"type": "websocket.connect"})
    running = asyncio.ensure_future(kind.as_asgi()(dict(SCOPE), socket.receive, socket.send))
    socket.say("close" if by == "itself" else "work")
    await until_async(lambda: notes, "it has begun")
    if by == "a drain":
        loop = asyncio.get_running_loop()
        [connection] = [one for one, its_loop in drain.open.items() if its_loop is loop]
        await connection.close(1012)
    go.set()
    await until_async(lambda: len(notes) == 2, "it has its answer")
    assert notes == ["begun", False]
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": socket.codes[0]})
    await asyncio.wait_for(running, 10)
