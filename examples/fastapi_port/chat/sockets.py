"""The routes of the consumers; only pages of this site may connect."""

from __future__ import annotations

from compat.security.websocket import AllowedHostsOriginValidator
from fastapi import APIRouter
from starlette.routing import WebSocketRoute

from .consumers import LobbyConsumer, RoomConsumer

__all__ = ["router"]

router = APIRouter(
    routes=[
        WebSocketRoute("/ws/lobby/", AllowedHostsOriginValidator(LobbyConsumer.as_asgi())),
        WebSocketRoute("/ws/rooms/{room}/", AllowedHostsOriginValidator(RoomConsumer.as_asgi())),
    ]
)
