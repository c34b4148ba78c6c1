"""Handlers and endpoints that only push: they end when their client has left, as with plain sockets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.routing import Router, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.resume import Resumable
from tests.resume.place import name
from tests.support.resuming import Resuming
from tests.support.servers import LiveServer
from tests.support.waiting import until_async

PARK_S = 0.2
STAYS_S = 30.0
"""For clients that come back: a busy machine may need more than ``PARK_S`` for that."""
pushing: set[Any] = set()
left: list[int | str] = []
enough = threading.Event()
"""Ends all handlers with their test, also where it fails."""


@contextmanager
def counted(who: Any) -> Iterator[None]:
    pushing.add(who)
    try:
        yield
    finally:
        pushing.discard(who)


class Async(AsyncWebsocketConsumer):
    resume_seconds = PARK_S

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        with counted(self):
            while not enough.is_set():
                await self.send("tick")
                await asyncio.sleep(0.01)

    async def disconnect(self, code: int) -> None:
        await self.send("the client hears this no more, and that is no error")
        await self.close()
        left.append(code)


class Sync(WebsocketConsumer):
    resume_seconds = PARK_S

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        with counted(self):
            while not enough.wait(0.01):
                self.send("tick")

    def disconnect(self, code: int) -> None:
        self.send("the client hears this no more, and that is no error")
        self.close()
        left.append(code)


class AsyncStays(Async):
    resume_seconds = STAYS_S


class SyncStays(Sync):
    resume_seconds = STAYS_S


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Catches nothing: a server takes the error of its own send() for no failure either."""
    await receive()
    await send({"type": "websocket.accept"})
    try:
        with counted(send):
            while not enough.is_set():
                await send({"type": "websocket.send", "text": "tick"})
                await asyncio.sleep(0.01)
    finally:
        left.append("ended")


async def endpoint(websocket: WebSocket) -> None:
    await websocket.accept()
    with counted(websocket):
        try:
            while not enough.is_set():
                await websocket.send_text("tick")
                await asyncio.sleep(0.01)
        except WebSocketDisconnect as error:
            left.append(error.code)


APP = Router(
    [
        WebSocketRoute("/async", Async.as_asgi()),
        WebSocketRoute("/sync", Sync.as_asgi()),
        WebSocketRoute("/application", Resumable(application, seconds=PARK_S)),
        WebSocketRoute("/endpoint", Resumable(endpoint, seconds=PARK_S)),
        WebSocketRoute("/stays/async", AsyncStays.as_asgi()),
        WebSocketRoute("/stays/sync", SyncStays.as_asgi()),
        WebSocketRoute("/stays/application", Resumable(application, seconds=STAYS_S)),
        WebSocketRoute("/stays/endpoint", Resumable(endpoint, seconds=STAYS_S)),
    ]
)
KINDS = ["async", "sync", "application", "endpoint"]


@pytest.fixture(params=["websockets-sansio", "wsproto"])
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    pushing.clear()
    left.clear()
    enough.clear()
    with LiveServer(APP, ws=request.param) as live:
        try:
            yield live
        finally:
            enough.set()


@pytest.mark.parametrize("how", ["goodbye", "cut"])
@pytest.mark.parametrize("kind", KINDS)
async def test_what_only_pushes_ends_with_its_client(
    server: LiveServer, kind: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = await Resuming(server, f"/{kind}?{name('push')}").open()
    await client.send("go")
    assert [await client.receive() for _ in range(2)] == ["tick", "tick"]
    assert len(pushing) == 1
    if how == "goodbye":
        await client.leave()
    else:
        client.cut()
    await until_async(lambda: bool(left) and not pushing, "it has ended")
    known = {"application": "ended", "endpoint": 1006}
    assert left == [known.get(kind, 1000 if how == "goodbye" else 1006)]
    assert [one for one in caplog.records if one.levelname in ("ERROR", "CRITICAL")] == []


async def test_threads_that_push_are_free_again(server: LiveServer) -> None:
    """Was: each client kept one, until there was none for anybody."""
    for _ in range(30):
        client = await Resuming(server, f"/sync?{name('threads')}").open()
        await client.send("go")
        assert await client.receive() == "tick"
        await client.leave()
    await until_async(lambda: len(left) == 30, "all have ended")
    assert not pushing


@pytest.mark.parametrize("kind", KINDS)
async def test_what_pushes_to_a_client_that_is_away_goes_on(server: LiveServer, kind: str) -> None:
    client = await Resuming(server, f"/stays/{kind}?{name('away')}").open()
    await client.send("go")
    assert await client.receive() == "tick"
    client.cut()
    assert await client.back() == "all"
    assert await client.receive() == "tick"
    assert len(pushing) == 1 and not left
    await client.leave()
    await until_async(lambda: bool(left) and not pushing, "it has ended")
