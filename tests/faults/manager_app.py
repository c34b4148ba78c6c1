"""A small application on a connection manager, for tests that kill it, starve it and look into it."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from redis.asyncio import Redis

from compat.engine.direct_inbox import DirectInbox
from compat.manager import BaseConsumer, ConnectionManager, Message, WSConfig, add_exception_handlers
from compat.manager.connections.outbox import Outbox
from compat.manager.connections.state import Connection
from compat.manager.middleware import RateLimitMiddleware
from compat.manager.middleware import windows as windows_module
from compat.manager.relay import GroupRelay

__all__ = ["app"]

config = WSConfig()
manager = ConnectionManager(ws_config=config)
windows = Redis.from_url(config.REDIS_URL)
windows_module.PATIENCE_S = 30  # no test with a limit is about a Redis that is away
limit = RateLimitMiddleware(
    messages_per_window=int(os.environ.get("LIMIT", "1000000")),
    window_seconds=30,
    burst_size=10_000_000,
    redis=windows if "LIMIT" in os.environ else None,
    key_prefix=f"{config.REDIS_CHANNEL_PREFIX}limit:",
    excluded_message_types={"free"},
    per="user",
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await manager.start_tasks()
    yield
    await manager.stop_tasks()
    await windows.aclose()


app = FastAPI(lifespan=lifespan)
add_exception_handlers(app)


class Consumer(BaseConsumer):
    """``{"type": "join" | "leave" | "say", "data": …}``, and an answer to each."""

    async def connect(self) -> None: ...

    async def receive(self, message: Message) -> None:
        if message.type == "join":
            await self.join_group(message.data)
        elif message.type == "leave":
            await self.leave_group(message.data)
        elif message.type == "say":
            await self.send_to_group(message.data["group"], {"type": "said", **message.data})
            return
        await self.send_json({"type": "done", "data": message.data})


@app.websocket("/ws/{user}")
async def endpoint(websocket: WebSocket, user: str) -> None:
    connection = await manager.connect(websocket, user)
    consumer = Consumer(connection, manager, limit)
    code = 1011
    try:
        while True:
            frame = await websocket.receive()
            await consumer.handle_message(json_str=frame.get("text"), binary=frame.get("bytes"))
    except WebSocketDisconnect as end:
        code = end.code
    finally:
        await consumer.disconnect(code)


@app.post("/broadcast/{text}")
async def broadcast(text: str) -> None:
    await manager.broadcast({"type": "broadcast", "text": text})


@app.post("/user/{user}/{text}")
async def to_user(user: str, text: str) -> int:
    return await manager.send_to_user(user, {"type": "personal", "text": text})


@app.post("/group/{group}/{text}")
async def to_group(group: str, text: str) -> dict[str, Any]:
    await manager.send_to_group(group, {"type": "said", "text": text})
    return {"type": "sent"}


@app.get("/counts")
async def counts() -> dict[str, Any]:
    return {
        "connections": await manager.count_connections(),
        "users": await manager.list_users(),
        "groups": await manager.list_groups(),
        "servers": sorted(server.server_instance_id for server in await manager.list_servers()),
    }


@app.get("/inside")
async def inside() -> dict[str, Any]:
    """What there is in this process of everything that could leak."""
    gc.collect()
    objects = gc.get_objects()
    kinds = (Connection, Outbox, Consumer, GroupRelay, DirectInbox)
    found = {kind.__name__: sum(isinstance(one, kind) for one in objects) for kind in kinds}
    with open("/proc/self/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        **found,
        "tasks": len(asyncio.all_tasks()),
        "files": len(os.listdir("/proc/self/fd")),
        "resident": resident,
        "local": len(manager.registry.connections),
        "endings": len(manager._endings),
    }
