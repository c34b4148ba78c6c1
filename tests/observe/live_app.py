"""Rooms, a manager's endpoint, and the live page of all processes, for who sends a cookie or a password."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI, WebSocket
from starlette.requests import Request

import compat.live
from compat import fleet
from compat.fastapi import lifespan
from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.live import asking
from compat.manager import ConnectionManager
from compat.settings import configure

asking.ANSWER_S, fleet.ANSWER_S = 5.0, 1.5  # a process of a busy machine may get no turn for a second

LAYERS: dict[str, Any] = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
if "REDIS_URL" in os.environ:
    kind = os.environ.get("LAYER", "core.RedisChannelLayer")
    options = {"hosts": [os.environ["REDIS_URL"]], "prefix": os.environ.get("PREFIX", "live")}
    LAYERS = {"default": {"BACKEND": f"channels_redis.{kind}", "CONFIG": options}}
configure(CHANNEL_LAYERS=LAYERS, ALLOWED_HOSTS=["*"], SECRET_KEY="of the tests")

manager = ConnectionManager()


class User:
    """Whoever the query says."""

    is_authenticated = True

    def __init__(self, pk: str) -> None:
        self.pk = pk


class Room(AsyncJsonWebsocketConsumer):
    """Says to all of the room what a client says; ``?user=…&groups=…`` chooses who and where it is."""

    async def connect(self) -> None:
        query = Request({**self.scope, "type": "http", "method": "GET"}).query_params
        self.scope["user"] = User(query["user"])
        for group in query["groups"].split(","):
            await self.channel_layer.group_add(group, self.channel_name)
        await self.accept()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send(content["group"], {"type": "said", **content})

    async def said(self, event: Any) -> None:
        await self.send_json(event)


async def by_cookie(request: Request) -> str | None:
    """Admit who has one of the cookies."""
    return {"of ada": "ada", "of bob": "bob"}.get(request.cookies.get("session", ""))


application = FastAPI(lifespan=lifespan)
application.router.add_websocket_route("/room", Room.as_asgi())
application.mount("/live", compat.live.page(authenticate=by_cookie))
application.mount("/basic", compat.live.page(authenticate=compat.live.basic("grace", "hopper")))


@application.websocket("/managed/{user}")
async def managed(websocket: WebSocket, user: str) -> None:
    async with manager.session(websocket, user) as connection:
        await manager.join_group(connection, "managed")
        while True:
            await websocket.receive_json()
