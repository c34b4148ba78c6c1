"""The baseline over Redis: one subscription per process, redis-py's publish, fan-out in the process."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio as redis
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

rooms: dict[str, set[WebSocket]] = {}
# redis-py allows 100 connections by default, too few for the 1,000 senders of case B.
client = redis.Redis.from_url(os.environ["BENCH_REDIS"], max_connections=4000)
pubsub = client.pubsub()


async def fan_out() -> None:
    """Send published messages to the sockets of their room."""
    async for item in pubsub.listen():
        if item["type"] != "message":
            continue
        room = rooms.get(item["channel"].decode(), set())
        text = item["data"].decode()
        for member in tuple(room):
            try:
                await member.send_text(text)
            except (WebSocketDisconnect, RuntimeError):
                room.discard(member)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Run the reader during the life of the application."""
    await pubsub.subscribe("_keepalive")
    task = asyncio.create_task(fan_out())
    yield
    task.cancel()


async def chat(ws: WebSocket) -> None:
    """Send each message to everybody in the room, in every process."""
    name = "chat_" + ws.path_params["room"]
    if name not in rooms:
        rooms[name] = set()
        await pubsub.subscribe(name)
    room = rooms[name]
    room.add(ws)
    await ws.accept()
    try:
        while True:
            await client.publish(
                name, json.dumps({"message": json.loads(await ws.receive_text())["message"]})
            )
    except WebSocketDisconnect:
        pass
    finally:
        room.discard(ws)


app = Starlette(routes=[WebSocketRoute("/ws/chat/{room}/", chat)], lifespan=lifespan)
