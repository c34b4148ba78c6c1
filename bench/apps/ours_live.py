"""Ours, in memory: each client is in five groups, and the live page is over HTTP."""

from __future__ import annotations

from typing import Any

import compat.live
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.patterns import re_path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.settings import configure

configure(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})


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
        "http": compat.live.page(authenticate=compat.live.basic("bench", "bench")),
        "websocket": URLRouter(routes),
    }
)
