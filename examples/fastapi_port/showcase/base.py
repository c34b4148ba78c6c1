"""The base class of the showcase's consumers."""

from __future__ import annotations

from typing import Generic

from compat.typed import AsyncJsonWebsocketConsumer, PingMessage, PongMessage, ReceiveEvent, ws_handler

__all__ = ["BaseConsumer"]


class BaseConsumer(AsyncJsonWebsocketConsumer[ReceiveEvent], Generic[ReceiveEvent]):
    """Answers pings."""

    @ws_handler(summary="Are you there?", tags=["connection"])
    async def handle_ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()
