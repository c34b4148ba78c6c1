"""What the consumers of this application have in common."""

from __future__ import annotations

from typing import Generic

from compat.typed import AsyncJsonWebsocketConsumer, PingMessage, PongMessage, ReceiveEvent, ws_handler

__all__ = ["BaseConsumer"]


class BaseConsumer(AsyncJsonWebsocketConsumer[ReceiveEvent], Generic[ReceiveEvent]):
    """Answers a ping, whatever else it does."""

    @ws_handler(summary="Are you there?", tags=["connection"])
    async def handle_ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()
