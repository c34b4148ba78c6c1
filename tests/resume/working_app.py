"""A consumer that works for a second on each frame, and at /endpoint/ an endpoint that does the same.

Their texts go to the file WORK_DONE as they begin, and "disconnect" when they end.
"""

from __future__ import annotations

import asyncio
import os
from functools import cache

from starlette.routing import Router, WebSocketRoute
from starlette.websockets import WebSocket

from compat import AsyncWebsocketConsumer, configure
from compat.fallback import Fallback
from compat.resume import Resumable

configure(ALLOWED_HOSTS=["127.0.0.1"], CHANNEL_FALLBACK=True, SECRET_KEY="a key of this server")


class Working(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        note(text_data)
        await asyncio.sleep(1)

    async def disconnect(self, code: int) -> None:
        note("disconnect")


async def work(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        async for text in websocket.iter_text():
            note(text)
            await asyncio.sleep(1)
    finally:
        note("disconnect")


def note(text: str | None) -> None:
    os.write(_done(), f"{text}\n".encode())


@cache
def _done() -> int:
    """The file, opened once: on a busy disk that holds up the event loop."""
    return os.open(os.environ["WORK_DONE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


routes = [WebSocketRoute("/", Working.as_asgi()), WebSocketRoute("/endpoint/", Resumable(work))]
app = Fallback(Router(routes))
