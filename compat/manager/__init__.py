"""A connection manager: one object that any code can ask to send to a user, a group or everybody.

    from compat.manager import ConnectionManager, WSConfig

    manager = ConnectionManager(ws_config=WSConfig())      # settings from the environment and .env

    @app.websocket("/ws/{user_id}")
    async def endpoint(websocket: WebSocket, user_id: str) -> None:
        async with manager.session(websocket, user_id) as connection:
            await manager.join_group(connection, "lobby")
            while True:
                await manager.send_to_group("lobby", await websocket.receive_json())

It uses a channel layer, in memory or in Redis, and shares its groups with the consumers on that layer. The
API is that of fastapi-channels.
"""

from __future__ import annotations

from compat.advice.extras import require_pydantic

require_pydantic("compat.manager", "manager")

from compat.manager.answers import add_exception_handlers
from compat.manager.config import WSConfig
from compat.manager.connections.manager import ConnectionManager
from compat.manager.connections.registry import ConnectionRegistry
from compat.manager.connections.state import Connection
from compat.manager.consumer.base import BaseConsumer
from compat.manager.current import app_manager, get_manager, set_manager
from compat.manager.exceptions import BaseError
from compat.manager.status import status_router
from compat.manager.typed import Message

__all__ = [
    "BaseConsumer",
    "BaseError",
    "Connection",
    "ConnectionManager",
    "ConnectionRegistry",
    "Message",
    "WSConfig",
    "add_exception_handlers",
    "app_manager",
    "get_manager",
    "set_manager",
    "status_router",
]
