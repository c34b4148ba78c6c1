"""broadcaster, as in its README: a subscription and a task per client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broadcaster import Broadcast
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


def build(url: str) -> Starlette:
    broadcast = Broadcast(url)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await broadcast.connect()
        yield
        await broadcast.disconnect()

    async def chat(ws: WebSocket) -> None:
        name = "chat_" + ws.path_params["room"]

        async def pump() -> None:
            async for event in subscriber:
                await ws.send_text(event.message)

        async with broadcast.subscribe(name) as subscriber:
            await ws.accept()
            task = asyncio.create_task(pump())
            try:
                while True:
                    text = json.dumps({"message": json.loads(await ws.receive_text())["message"]})
                    await broadcast.publish(name, text)
            except WebSocketDisconnect:
                pass
            finally:
                task.cancel()

    return Starlette(routes=[WebSocketRoute("/ws/chat/{room}/", chat)], lifespan=lifespan)
