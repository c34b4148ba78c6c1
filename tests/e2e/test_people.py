"""Who is here, in a browser: two windows of one person, and one of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from compat.client import files
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.patterns import path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.settings import override
from tests.e2e.windows import opened
from tests.support.browser import Browser
from tests.support.servers import LiveServer

PAGE = """<!doctype html><title>Room</title><p id="people">nobody</p>
<script type="module">
  import { Socket } from "/_channels/socket.mjs";
  window.socket = new Socket("/ws/room" + location.search);
  const room = socket.presence("chat_x");
  room.addEventListener("change", () => {
    const people = Object.values(room.people).map(({ metas }) => `${metas[0].name} x ${metas.length}`);
    document.getElementById("people").textContent = people.sort().join(", ");
  });
</script>"""


class Room(AsyncWebsocketConsumer):
    """Knows nothing of who is in it."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("chat_x", self.channel_name)
        await self.accept()


@pytest.fixture
def server() -> Iterator[LiveServer]:
    def name(scope: Any) -> str:
        return str(scope["query_string"].decode())

    rule = {"key": name, "meta": lambda scope: {"name": name(scope)}, "public": True}
    layer = {"BACKEND": "compat.layers.InMemoryChannelLayer", "CONFIG": {"presence": {"chat_*": rule}}}

    async def page(request: Any) -> HTMLResponse:
        return HTMLResponse(PAGE)

    http = Starlette(routes=[Route("/", page), Mount("/_channels", files)])
    app = ProtocolTypeRouter({"http": http, "websocket": URLRouter([path("ws/room", Room.as_asgi())])})
    with override(CHANNEL_LAYERS={"default": layer}, ALLOWED_HOSTS=["127.0.0.1"]):
        with LiveServer(app) as running:
            yield running


def test_a_page_shows_who_is_here(server: LiveServer, chromium: Browser) -> None:
    ada, bob = server.http("/?ada"), server.http("/?bob")
    with opened(chromium, ada, bob, ada) as (first, other, second):
        for window in (first, other, second):
            window.wait_text("people", "ada x 2, bob x 1")
        second.run("socket.close()")
        first.wait_text("people", "ada x 1, bob x 1")
        other.run("socket.close()")
        first.wait(lambda: first.text("people") == "ada x 1", "the other one has left")
