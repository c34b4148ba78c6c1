"""The baseline: a Starlette endpoint, sockets in a set, encoded once. One stuck socket stops its room."""

from __future__ import annotations

import asyncio
import json
import time

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

rooms: dict[str, set[WebSocket]] = {}


async def chat(ws: WebSocket) -> None:
    """Send each message to everybody in the room."""
    room = rooms.setdefault(ws.path_params["room"], set())
    room.add(ws)
    await ws.accept()
    try:
        while True:
            text = json.dumps({"message": json.loads(await ws.receive_text())["message"]})
            for member in tuple(room):
                try:
                    await member.send_text(text)
                except (WebSocketDisconnect, RuntimeError):
                    room.discard(member)
    except WebSocketDisconnect:
        pass
    finally:
        room.discard(ws)


async def echo(ws: WebSocket) -> None:
    """Send each message back."""
    await ws.accept()
    try:
        while True:
            await ws.send_text(await ws.receive_text())
    except WebSocketDisconnect:
        pass


async def sleep(ws: WebSocket) -> None:
    """Send each message back after 50 ms in a thread."""
    await ws.accept()
    try:
        while True:
            text = await ws.receive_text()
            await run_in_threadpool(time.sleep, 0.05)
            await ws.send_text(text)
    except WebSocketDisconnect:
        pass


async def slow(ws: WebSocket) -> None:
    """Wait 10 ms for each message."""
    await ws.accept()
    try:
        while True:
            await ws.receive_text()
            await asyncio.sleep(0.01)
    except WebSocketDisconnect:
        pass


app = Starlette(
    routes=[
        WebSocketRoute("/ws/chat/{room}/", chat),
        WebSocketRoute("/ws/echo/", echo),
        WebSocketRoute("/ws/sleep/", sleep),
        WebSocketRoute("/ws/slow/", slow),
    ]
)
