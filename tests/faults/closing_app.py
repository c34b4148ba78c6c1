"""An app whose pages close other people's sockets; the layer is what the environment says."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from compat import AsyncWebsocketConsumer, WebsocketConsumer, configure
from compat.auth import AuthMiddleware
from compat.closing import close_group, close_user

config = {"hosts": [os.environ["CLOSING_REDIS"]], "prefix": os.environ["CLOSING_PREFIX"]}
configure(
    CHANNEL_LAYERS={"default": {"BACKEND": os.environ["CLOSING_LAYER"], "CONFIG": config}},
    CHANNEL_ORIGIN_CHECK=False,
)


class Async(AsyncWebsocketConsumer):
    groups = ["everybody"]
    user_groups = True

    async def connect(self) -> None:
        await self.accept()
        await self.send("joined")


class Sync(WebsocketConsumer):
    groups = ["everybody"]
    user_groups = True

    def connect(self) -> None:
        self.accept()
        self.send("joined")


async def user_of(scope: Any) -> Any:
    return SimpleNamespace(pk=scope["query_string"].decode(), is_authenticated=True)


async def close(request: Request) -> Response:
    """/close/user/ann or /close/group/everybody"""
    what, which = request.path_params["what"], request.path_params["which"]
    await (close_user if what == "user" else close_group)(which, 4001, "closed from outside")
    return PlainTextResponse("closed")


app = Starlette(
    routes=[
        WebSocketRoute("/async", AuthMiddleware(Async.as_asgi(), get_user=user_of)),
        WebSocketRoute("/sync", AuthMiddleware(Sync.as_asgi(), get_user=user_of)),
        Route("/close/{what}/{which}", close),
    ]
)
