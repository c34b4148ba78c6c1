"""A chat of rooms with histories: the tutorial's consumers, async and sync, and pages to look at them.

Paths are ``/async/<room>/``, and ``sync``, ``several``, ``slow`` and ``working`` in its place. A frame of a
client is sent to its room; a consumer sends what the room gets. From the environment: HISTORY_SECRET,
HISTORY_LAYER, HISTORY_REDIS, HISTORY_PREFIX, HISTORY_RULE (JSON, for the groups ``chat_*``; empty: this
process keeps no histories), HISTORY_DRAIN (seconds), and HISTORY_PATIENCE (the seconds in which the home of a
connection has to answer).
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from asgiref.sync import async_to_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from compat import AsyncWebsocketConsumer, WebsocketConsumer, configure, metrics
from compat.exceptions import LayerUnavailable
from compat.layers import get_channel_layer
from compat.patterns import path
from compat.routing import ProtocolTypeRouter, URLRouter
from tests.support import relays

relays.be_patient(float(os.environ.get("HISTORY_PATIENCE", "1")))
CONFIG: dict[str, Any] = {"capacity": 5000}
if "HISTORY_REDIS" in os.environ:
    CONFIG |= {"hosts": [os.environ["HISTORY_REDIS"]], "prefix": os.environ["HISTORY_PREFIX"]}
if os.environ.get("HISTORY_RULE"):
    CONFIG["history"] = {"chat_*": json.loads(os.environ["HISTORY_RULE"])}
configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    CHANNEL_LAYERS={"default": {"BACKEND": os.environ["HISTORY_LAYER"], "CONFIG": CONFIG}},
    DRAIN_SECONDS=float(os.environ.get("HISTORY_DRAIN", "0")),
    SECRET_KEY=os.environ["HISTORY_SECRET"],
)


class Chat(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.room = f"chat_{self.scope['url_route']['kwargs']['room']}"
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "others":
            await self.channel_layer.group_send(
                self.room, {"type": "chat.message", "n": -1}, exclude=[self.channel_name]
            )
        elif text_data == "later":
            raise LayerUnavailable("as if Redis were away")
        else:
            await self.channel_layer.group_send(self.room, {"type": "chat.message", "n": int(text_data or 0)})

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=str(event["n"]))


class SeveralChat(Chat):
    """Handles several messages at once."""

    concurrency = 4


class SlowChat(Chat):
    """A server that stops has to wait for it."""

    async def chat_message(self, event: dict[str, Any]) -> None:
        await asyncio.sleep(3)


class WorkingChat(Chat):
    """Goes on for a while when it has sent what it got, as if it wrote to a database."""

    async def chat_message(self, event: dict[str, Any]) -> None:
        await super().chat_message(event)
        await asyncio.sleep(1)


class SyncChat(WebsocketConsumer):
    def connect(self) -> None:
        self.room = f"chat_{self.scope['url_route']['kwargs']['room']}"
        async_to_sync(self.channel_layer.group_add)(self.room, self.channel_name)
        self.accept()

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)(self.room, self.channel_name)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "later":
            raise LayerUnavailable("as if Redis were away")
        message = {"type": "chat.message", "n": int(text_data or 0)}
        async_to_sync(self.channel_layer.group_send)(self.room, message)

    def chat_message(self, event: dict[str, Any]) -> None:
        self.send(text_data=str(event["n"]))


def layer() -> Any:
    return get_channel_layer()


async def say(request: Request) -> JSONResponse:
    """Send the numbers from ``first`` to ``last`` to a room."""
    query = request.query_params
    for number in range(int(query["first"]), int(query["last"]) + 1):
        await layer().group_send(f"chat_{query['room']}", {"type": "chat.message", "n": number})
    return JSONResponse({})


async def said(request: Request) -> JSONResponse:
    """What the history of a room has, and its position."""
    found = await layer().history(f"chat_{request.query_params['room']}")
    return JSONResponse({"numbers": [entry["n"] for entry in found], "position": found.position})


async def page(request: Request) -> JSONResponse:
    """A page that shows what was said: its ticket is for what comes after that."""
    group = f"chat_{request.query_params['room']}"
    found = await layer().history(group)
    ticket = await layer().ticket({group: found.position})
    return JSONResponse({"numbers": [entry["n"] for entry in found], "ticket": ticket})


async def numbers(request: Request) -> JSONResponse:
    return JSONResponse(metrics.snapshot())


pages = [Route(f"/{one.__name__}", one) for one in (say, said, page, numbers)]
app = ProtocolTypeRouter(
    {
        "http": Starlette(routes=pages),
        "websocket": URLRouter(
            [
                path("async/<str:room>/", Chat.as_asgi()),
                path("slow/<str:room>/", SlowChat.as_asgi()),
                path("working/<str:room>/", WorkingChat.as_asgi()),
                path("several/<str:room>/", SeveralChat.as_asgi()),
                path("sync/<str:room>/", SyncChat.as_asgi()),
            ]
        ),
    }
)
