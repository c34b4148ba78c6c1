"""A server of one connection that leaves its event loop without closing it, while a handler waits for it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from asgiref.sync import async_to_sync

from compat import AsyncWebsocketConsumer, WebsocketConsumer, configure

configure(CHANNEL_ORIGIN_CHECK=False)

loop = asyncio.new_event_loop()
left = asyncio.Event()


class Sync(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        async_to_sync(self.wait)()

    async def wait(self) -> None:
        left.set()
        await asyncio.Event().wait()

    def disconnect(self, code: int) -> None:
        print(f"disconnect {code}", flush=True)


class Async(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        left.set()
        await asyncio.Event().wait()

    async def disconnect(self, code: int) -> None:
        print(f"disconnect {code}", flush=True)


async def serve(consumer: Any) -> asyncio.Task[None]:
    inbound: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    inbound.put_nowait({"type": "websocket.connect"})
    inbound.put_nowait({"type": "websocket.receive", "text": "hello"})

    async def send(message: dict[str, Any]) -> None:
        pass

    scope = {"type": "websocket", "path": "/", "asgi": {"version": "3.0"}, "headers": [], "subprotocols": []}
    task: asyncio.Task[None] = asyncio.ensure_future(consumer.as_asgi()(scope, inbound.get, send))
    await left.wait()
    return task


running = loop.run_until_complete(serve({"sync": Sync, "async": Async}[sys.argv[1]]))
