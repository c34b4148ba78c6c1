"""The routes of the consumers; only pages of this site may connect."""

from __future__ import annotations

from typing import Any

from compat.security.websocket import AllowedHostsOriginValidator
from starlette.routing import WebSocketRoute

from .base import BaseConsumer
from .jobs import JobsConsumer
from .room import RoomConsumer
from .streams import AnalyticsConsumer, ChatConsumer, NotificationConsumer, ReliableChatConsumer
from .system import SystemConsumer

__all__ = ["routes"]

CONSUMERS: dict[str, type[BaseConsumer[Any]]] = {
    "/ws/system": SystemConsumer,
    "/ws/room/{room_name}": RoomConsumer,
    "/ws/background_jobs": JobsConsumer,
    "/ws/chat": ChatConsumer,
    "/ws/reliable": ReliableChatConsumer,
    "/ws/notifications": NotificationConsumer,
    "/ws/analytics": AnalyticsConsumer,
}

routes = [
    WebSocketRoute(path, AllowedHostsOriginValidator(consumer.as_asgi()))
    for path, consumer in CONSUMERS.items()
]
