"""The Channels API on Starlette, without Django.

The smallest application is an echo, which any ASGI server can serve (``uvicorn module:app``):

    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute

    from compat import AsyncWebsocketConsumer

    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            await self.send(text_data, bytes_data)

    app = Starlette(routes=[WebSocketRoute("/ws/echo", Echo.as_asgi())])

A public path of Channels is a public path of compat with its first word replaced: ``channels.layers`` is
``compat.layers``, ``channels.generic.websocket`` is ``compat.generic.websocket``, and ``channels_redis.core``
is ``compat.layers.redis.core``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat import lazy
from compat.consumer import AsyncConsumer, SyncConsumer
from compat.exceptions import (
    AcceptConnection,
    ChannelFull,
    CompatError,
    DenyConnection,
    ImproperlyConfigured,
    InvalidChannelLayerError,
    LayerUnavailable,
    StopConsumer,
)
from compat.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from compat.layers import (
    DEFAULT_CHANNEL_LAYER,
    SendResult,
    get_channel_layer,
    has_layers,
    register_channel_layer,
    unregister_channel_layer,
)
from compat.names import group_name
from compat.settings import configure, override, settings

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_CHANNEL_LAYER",
    "AcceptConnection",
    "AsyncConsumer",
    "AsyncJsonWebsocketConsumer",
    "AsyncWebsocketConsumer",
    "ChannelFull",
    "CompatError",
    "DenyConnection",
    "ImproperlyConfigured",
    "InvalidChannelLayerError",
    "JsonWebsocketConsumer",
    "LayerUnavailable",
    "SendResult",
    "StopConsumer",
    "SyncConsumer",
    "WebsocketConsumer",
    "configure",
    "get_channel_layer",
    "group_name",
    "has_layers",
    "override",
    "register_channel_layer",
    "settings",
    "unregister_channel_layer",
]

if not TYPE_CHECKING:
    __getattr__ = lazy.submodules(
        __name__, "auth", "db", "middleware", "routing", "security", "sessions", "testing", "utils", "worker"
    )
