"""Ours, the connection manager: each room is one of its groups."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from compat.manager import ConnectionManager, WSConfig

manager = ConnectionManager(ws_config=WSConfig(LOG_LEVEL="ERROR"))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Run the manager's heartbeats."""
    await manager.start_tasks()
    yield
    await manager.stop_tasks()


async def chat(ws: WebSocket) -> None:
    """Send each message to everybody in the room."""
    room = ws.path_params["room"]
    try:
        async with manager.session(ws) as connection:
            await manager.join_group(connection, room)
            while True:
                await manager.send_to_group(room, {"message": (await ws.receive_json())["message"]})
    except WebSocketDisconnect:
        pass


app = Starlette(routes=[WebSocketRoute("/ws/chat/{room}/", chat)], lifespan=lifespan)
