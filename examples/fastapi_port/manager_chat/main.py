"""A chat with rooms on the connection manager: websocket, REST endpoints, history, a page.

One server: uvicorn main:app
Many: BACKEND_TYPE=redis REDIS_URL=redis://… CHAT_DATABASE=chat.sqlite3 uvicorn main:app --workers 4
Settings come from the environment or a .env file; docs/manager.md lists them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from compat.manager import (
    BaseError,
    ConnectionManager,
    WSConfig,
    add_exception_handlers,
    get_manager,
    status_router,
)
from compat.manager.middleware import LoggingMiddleware, RateLimitMiddleware, ValidationMiddleware
from compat.settings import configure
from example.consumers import ChatConsumer
from example.database import ChatDatabase
from example.protection import protect
from fastapi import Body, Depends, FastAPI, HTTPException, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse
from redis.asyncio import Redis

# Pages of these hosts may connect, those of other sites may not: CORS is about requests, not websockets.
hosts = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
configure(ALLOWED_HOSTS=hosts)
config = WSConfig()
manager = ConnectionManager(ws_config=config)
database = ChatDatabase()
windows = Redis.from_url(config.REDIS_URL) if config.BACKEND_TYPE == "redis" else None
middleware = (
    ValidationMiddleware(config.WS_MAX_MESSAGE_SIZE)
    >> LoggingMiddleware()
    >> RateLimitMiddleware(
        messages_per_window=100,
        window_seconds=10,
        redis=windows,
        key_prefix=f"{config.REDIS_CHANNEL_PREFIX}ratelimit:",  # another application may share the Redis
        excluded_message_types={"ping"},
        per="address",  # users are whoever they say, and would have a new window with each name
    )
)
Manager = Annotated[ConnectionManager, Depends(get_manager)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await manager.start_tasks()
    yield
    await manager.stop_tasks()
    if windows is not None:
        await windows.aclose()
    await asyncio.to_thread(database.close)  # it writes what is left to the disk


app = FastAPI(title="Chat on a connection manager", lifespan=lifespan, debug="CHAT_DEBUG" in os.environ)
protect(app, hosts)
add_exception_handlers(app)  # while Redis is away, requests get a 503
app.include_router(status_router())  # in debug mode only: give it Depends(your_own_check) to have it always


@app.websocket("/ws/{user_id}")
async def chat(websocket: WebSocket, user_id: str) -> None:
    """Serve a connection. The client chooses its user; a real application requires authentication."""
    connection = await manager.connect(websocket=websocket, user_id=user_id)
    consumer = ChatConsumer(connection, manager, middleware_stack=middleware, database=database)
    code = 1011
    try:
        await consumer.connect()
        while True:
            frame = await websocket.receive()
            await consumer.handle_message(json_str=frame.get("text"), binary=frame.get("bytes"))
    except WebSocketDisconnect as end:
        code = end.code
    except BaseError as error:
        await consumer.handle_error(error)
        code = error.ws_code
    finally:
        await consumer.disconnect(code)


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).parent / "template.html")


@app.get("/api/rooms/{room}/messages")
def history(room: str, limit: int = 50) -> dict[str, Any]:
    """Return the messages of a room. A plain function runs in a thread, and may block."""
    if not 1 <= limit <= 1000:
        raise HTTPException(status_code=400, detail="Limit must be between 1 and 1000")
    messages = database.get_recent_messages(room, limit=limit)
    return {"room": room, "messages": messages, "count": len(messages)}


@app.post("/api/announce")
async def announce(message: str, manager: Manager) -> dict[str, Any]:
    """Send a message to all users."""
    await manager.broadcast({"type": "announcement", "message": message, "source": "api"})
    return {"status": "sent", "message": message}


@app.post("/api/room/{room}/message")
async def say(room: str, user_id: str, text: str, manager: Manager) -> dict[str, Any]:
    """Send a message to a room in a user's name."""
    said = {"type": "chat_message", "room": room, "user_id": user_id, "username": user_id, "text": text}
    await asyncio.to_thread(database.save_message, room, user_id, user_id, text)
    await manager.send_to_group(room, said)
    return {"status": "sent", "room": room, "user_id": user_id, "text": text}


@app.post("/api/user/{user_id}/notification")
async def notify(user_id: str, message: str, manager: Manager) -> dict[str, Any]:
    """Send a message to all connections of a user."""
    reached = await manager.send_to_user(user_id, {"type": "notification", "message": message})
    return {"status": "sent", "user_id": user_id, "message": message, "connections": reached}


@app.post("/api/group/{group}/message")
async def send(group: str, data: Annotated[dict[str, Any], Body()], manager: Manager) -> dict[str, Any]:
    """Send any message to a group."""
    await manager.send_to_group(group, {"type": "group_message", "group": group, **data})
    return {"status": "sent", "group": group, "data": data}


@app.get("/api/status")
async def status(manager: Manager) -> dict[str, Any]:
    """Return the number of connections, and the backend."""
    return {
        "status": "ok",
        "active_connections": await manager.count_connections(),
        "local_connections": len(manager.registry.connections),
        "backend": manager.backend.kind,
        "backend_type": manager.config.BACKEND_TYPE,
        "server_instance_id": manager.server_instance_id,
    }


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=8000)
