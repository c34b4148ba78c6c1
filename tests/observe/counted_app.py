"""Rooms on two Redis layers, and the page with what all processes count."""

from __future__ import annotations

import os
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from compat.fastapi import lifespan
from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.prometheus import endpoint, endpoint_for
from compat.settings import configure

CONFIG = {"hosts": [os.environ["REDIS_URL"]], "prefix": os.environ.get("PREFIX", "counted")}
configure(
    CHANNEL_LAYERS={
        "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": CONFIG},
        "pubsub": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": CONFIG},
    },
    ALLOWED_HOSTS=["*"],
)


class Room(AsyncJsonWebsocketConsumer):
    """Says to all of its room what a client says."""

    groups = ["room"]

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send("room", {"type": "said", "content": content})

    async def said(self, event: Any) -> None:
        await self.send_json(event["content"])


class PublishedRoom(Room):
    """The same on the other layer."""

    channel_layer_alias = "pubsub"


application = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/metrics", endpoint),
        Route("/guarded", endpoint_for(token="secret of the test")),
        WebSocketRoute("/queue", Room.as_asgi()),
        WebSocketRoute("/pubsub", PublishedRoom.as_asgi()),
    ],
)
