"""python-socketio: Engine.IO 4, websocket only; one room per server."""

from __future__ import annotations

from typing import Any

import socketio


def build(manager: Any = None) -> Any:
    """Return the ASGI application."""
    server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], client_manager=manager)

    @server.event
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await server.enter_room(sid, "chat")

    @server.on("chat")
    async def chat(sid: str, data: dict[str, str]) -> None:
        await server.emit("chat", {"message": data["message"]}, room="chat")

    return socketio.ASGIApp(server)
