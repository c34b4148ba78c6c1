"""Consumers of every kind on layers of every kind, for tests/hostile: `REDIS_URL` names the server."""

from __future__ import annotations

import os
from typing import Any, Literal

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel

from compat.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from compat.manager import BaseConsumer, ConnectionManager, Message, WSConfig
from compat.manager.exceptions import BaseError
from compat.manager.middleware import LoggingMiddleware, RateLimitMiddleware, ValidationMiddleware
from compat.names import group_name
from compat.patterns import path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.sessions import SessionMiddlewareStack
from compat.settings import configure
from compat.typed import AsyncJsonWebsocketConsumer as TypedConsumer
from compat.typed import BaseMessage, Topic, channel, ws_handler

REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
PREFIX = os.environ.get("HOSTILE_PREFIX", "hostile")
QUEUE, PUBSUB = "compat.layers.redis.RedisChannelLayer", "compat.layers.redis.RedisPubSubChannelLayer"


def redis(backend: str, name: str, **options: Any) -> dict[str, Any]:
    return {"BACKEND": backend, "CONFIG": {"hosts": [REDIS], "prefix": f"{PREFIX}-{name}", **options}}


configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    CHANNEL_ORIGIN_CHECK=False,
    SECRET_KEY="no secret: a test",
    CHANNEL_LAYERS={
        "default": {"BACKEND": "compat.layers.InMemoryChannelLayer"},
        "memory": {"BACKEND": "compat.layers.InMemoryChannelLayer"},
        "queue": redis(QUEUE, "queue"),
        "queue-json": redis(QUEUE, "queue-json", serializer_format="json"),
        "pubsub": redis(PUBSUB, "pubsub"),
        "pubsub-json": redis(PUBSUB, "pubsub-json", serializer_format="json"),
    },
)


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data, bytes_data)


class Sync(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data, bytes_data)


class Json(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json(content)


class SyncJson(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json(content)


class Room(AsyncJsonWebsocketConsumer):
    """Sends what it gets to everybody in the room; who said it is answered by way of the layer too."""

    async def connect(self) -> None:
        self.group = group_name(self.scope["url_route"]["kwargs"]["name"], prefix="room_")
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept(next(iter(self.scope["subprotocols"]), None))

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send(self.group, {"type": "said", "content": content})

    async def said(self, event: Any) -> None:
        await self.send_json(event["content"])

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)


def room_on(alias: str) -> type[Room]:
    return type(f"RoomOn{alias.title().replace('-', '')}", (Room,), {"channel_layer_alias": alias})


class Relay(AsyncJsonWebsocketConsumer):
    """Careless on purpose: hands a client's object to the group as the event."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("relay", self.channel_name)
        await self.accept()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send("relay", {**content, "type": "relayed"})

    async def relayed(self, event: Any) -> None:
        await self.send_json(event)


def relay_on(alias: str) -> type[Relay]:
    return type(f"RelayOn{alias.title().replace('-', '')}", (Relay,), {"channel_layer_alias": alias})


class Item(BaseModel):
    name: str
    amount: int = 0
    children: list[Item] = []


class Say(BaseMessage):
    action: Literal["say"] = "say"
    payload: Item


class Count(BaseMessage):
    action: Literal["count"] = "count"
    payload: int


class Said(BaseMessage):
    action: Literal["said"] = "said"
    payload: Item


class NewsTopic(Topic):
    pattern = "news:{name}"

    async def authorize(self, name: str) -> bool:
        return True


@channel(name="plain")
class Typed(TypedConsumer):
    @ws_handler
    async def say(self, message: Say) -> Said:
        return Said(payload=message.payload)

    @ws_handler
    async def count(self, message: Count) -> None: ...


@channel(name="topics")
class TypedTopics(TypedConsumer):
    camelize = True
    topics = (NewsTopic,)

    @ws_handler
    async def say(self, message: Say) -> Said:
        return Said(payload=message.payload)


manager = ConnectionManager(ws_config=WSConfig(BACKEND_TYPE="memory"))
steps = (
    ValidationMiddleware(manager.config.WS_MAX_MESSAGE_SIZE)
    >> LoggingMiddleware()
    >> RateLimitMiddleware(messages_per_window=100_000, window_seconds=10, burst_size=100_000, per="user")
)
managed = FastAPI()


class Managed(BaseConsumer):
    async def connect(self) -> None: ...

    async def receive(self, message: Message) -> None:
        data = message.data
        if message.type == "join" and isinstance(data, str):
            await self.join_group(data)
        elif message.type == "leave" and isinstance(data, str):
            await self.leave_group(data)
        elif message.type == "say" and isinstance(data, dict) and isinstance(data.get("group"), str):
            await self.send_to_group(data["group"], {"type": "said", **data})
        await self.send_json({"type": "done", "data": message.data})


@managed.websocket("/manager/{user}/")
async def endpoint(websocket: WebSocket, user: str) -> None:
    connection = await manager.connect(websocket, user)
    consumer = Managed(connection, manager, steps)
    code = 1011
    try:
        while True:
            frame = await websocket.receive()
            await consumer.handle_message(json_str=frame.get("text"), binary=frame.get("bytes"))
    except WebSocketDisconnect as end:
        code = end.code
    except BaseError as error:
        code = error.ws_code
    finally:
        await consumer.disconnect(code)


LAYERS = ("memory", "queue", "queue-json", "pubsub", "pubsub-json")
websockets = URLRouter(
    [
        path("echo/", Echo.as_asgi()),
        path("sync/", Sync.as_asgi()),
        path("json/", Json.as_asgi()),
        path("syncjson/", SyncJson.as_asgi()),
        path("session/", SessionMiddlewareStack(Echo.as_asgi())),
        path("typed/", Typed.as_asgi()),
        path("topics/", TypedTopics.as_asgi()),
        path("manager/<str:user>/", managed),
        *(path(f"room/{alias}/<str:name>/", room_on(alias).as_asgi()) for alias in LAYERS),
        *(path(f"relay/{alias}/", relay_on(alias).as_asgi()) for alias in LAYERS),
    ]
)
application = ProtocolTypeRouter({"websocket": websockets})
