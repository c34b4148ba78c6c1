"""An app that says on standard output whose disconnect() has run; DRAIN_SECONDS from the environment."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from compat import AsyncWebsocketConsumer, WebsocketConsumer, configure

configure(DRAIN_SECONDS=float(os.environ["DRAIN"]))


class Async(AsyncWebsocketConsumer):
    async def disconnect(self, code: int) -> None:
        print(f"disconnect {code}", flush=True)


class Sync(WebsocketConsumer):
    def disconnect(self, code: int) -> None:
        print(f"disconnect {code}", flush=True)


app = Starlette(routes=[WebSocketRoute("/async", Async.as_asgi()), WebSocketRoute("/sync", Sync.as_asgi())])
