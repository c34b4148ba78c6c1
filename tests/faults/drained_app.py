"""An app that says on standard output when it closes and whose disconnect() has run.

DRAIN_SECONDS is from the environment.
"""

from __future__ import annotations

import asyncio
import os
import time

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from compat import AsyncWebsocketConsumer, WebsocketConsumer, configure
from compat.engine import draining
from compat.types import Message, Receive, Scope, Send

draining.CLOSED_TIMEOUT_S = float(os.environ.get("CLOSED_TIMEOUT", draining.CLOSED_TIMEOUT_S))
configure(DRAIN_SECONDS=float(os.environ["DRAIN"]))


class Async(AsyncWebsocketConsumer):
    async def disconnect(self, code: int) -> None:
        print(f"disconnect {code}", flush=True)


class Sync(WebsocketConsumer):
    def disconnect(self, code: int) -> None:
        print(f"disconnect {code}", flush=True)


class Stuck(AsyncWebsocketConsumer):
    async def disconnect(self, code: int) -> None:
        print(f"disconnect {code}", flush=True)
        await asyncio.Event().wait()


class Blocked(WebsocketConsumer):
    def disconnect(self, code: int) -> None:
        print(f"disconnect {code}", flush=True)
        time.sleep(600)


CONSUMERS = {"/async": Async, "/sync": Sync, "/stuck": Stuck, "/blocked": Blocked}
routes = Starlette(routes=[WebSocketRoute(where, cls.as_asgi()) for where, cls in CONSUMERS.items()])


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    async def told(message: Message) -> None:
        if message["type"] == "websocket.close":
            print(f"closed at {time.monotonic()}", flush=True)
        await send(message)

    await routes(scope, receive, told)
