"""Ours, in memory: each client is in five groups, and the live page is over HTTP.

``/stall`` answers how late the event loop was at most since it was asked last, in ms.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router

import compat.live
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.patterns import re_path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.settings import configure

configure(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})


TICK_S = 0.002


class Ticker:
    """A timer that notes how late it fires: as long as a callback of the loop takes, if it falls into it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due = self._late_s = 0.0

    def _again(self) -> None:
        assert self._loop is not None
        self._due = self._loop.time() + TICK_S
        self._loop.call_at(self._due, self._fired)

    def _fired(self) -> None:
        assert self._loop is not None
        self._late_s = max(self._late_s, self._loop.time() - self._due)
        self._again()

    async def stall(self, request: Request) -> PlainTextResponse:
        """Answer; begin at the first request."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._again()
        late_s, self._late_s = self._late_s, 0.0
        return PlainTextResponse(f"{1e3 * late_s:.3f}")


class User:
    """Each client is another one."""

    def __init__(self, pk: int) -> None:
        self.pk = pk


class Member(AsyncWebsocketConsumer):
    """A client in five groups."""

    async def connect(self) -> None:
        number = int(self.scope["url_route"]["kwargs"]["number"])
        self.scope["user"] = User(number)
        for group in range(5 * number, 5 * number + 5):
            await self.channel_layer.group_add(f"group{group}", self.channel_name)
        await self.accept()


class Echo(AsyncWebsocketConsumer):
    """Says what is said."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data)


routes: list[Any] = [
    re_path(r"^ws/member/(?P<number>\d+)/$", Member.as_asgi()),
    re_path(r"^ws/echo/$", Echo.as_asgi()),
]
app = ProtocolTypeRouter(
    {
        "http": Router(
            [
                Route("/stall", Ticker().stall),
                Mount("/", compat.live.page(authenticate=compat.live.basic("bench", "bench"))),
            ]
        ),
        "websocket": URLRouter(routes),
    }
)
