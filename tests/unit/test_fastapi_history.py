"""The page of a FastAPI app that shows a group's history, and the ticket that its socket goes on with."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from compat.exceptions import ImproperlyConfigured
from compat.fastapi import group_history, group_presence, lifespan, page_ticket
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.layers import get_channel_layer
from compat.layers.history import History
from compat.settings import override
from tests.support.resuming import Resuming, end_links
from tests.support.servers import LiveServer

LAYER = {
    "BACKEND": "compat.layers.InMemoryChannelLayer",
    "CONFIG": {"history": {"chat_*": {"count": 100, "on_join": 2}}},
}


class Room(AsyncWebsocketConsumer):
    """Passes on what its room is sent."""

    async def connect(self) -> None:
        await self.channel_layer.group_add(f"chat_{self.scope['path_params']['room']}", self.channel_name)
        await self.accept()

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=str(event["number"]))


def application() -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    consumer: Any = Room.as_asgi()
    app.router.add_websocket_route("/ws/{room}", consumer)

    @app.get("/rooms/{room}")
    async def page(
        said: Annotated[History, Depends(group_history("chat_{room}", 3))],
        ticket: Annotated[str, Depends(page_ticket("chat_{room}"))],
    ) -> dict[str, Any]:
        await say("lobby", 100)  # while the page is on its way
        return {"said": said, "ticket": ticket, "complete": said.complete}

    @app.get("/tickets/{room}")
    async def now(ticket: Annotated[str, Depends(page_ticket("chat_{room}"))]) -> str:
        return ticket

    @app.get("/say/{room}/{number}")
    async def say(room: str, number: int) -> None:
        layer: Any = get_channel_layer()
        await layer.group_send(f"chat_{room}", {"type": "chat.message", "number": number})

    return app


@pytest.fixture
async def server() -> AsyncIterator[LiveServer]:
    with override(CHANNEL_LAYERS={"default": LAYER}, SECRET_KEY="k" * 40, ALLOWED_HOSTS=["127.0.0.1"]):
        with LiveServer(application(), lifespan="on") as running:
            yield running
            await end_links()


@asynccontextmanager
async def asking(server: LiveServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.origin, timeout=15) as client:
        yield client


async def test_a_page_shows_the_history_and_its_socket_goes_on(server: LiveServer) -> None:
    async with asking(server) as client:
        for number in range(1, 6):
            await client.get(f"/say/lobby/{number}")
        page = (await client.get("/rooms/lobby")).json()
        assert [entry["number"] for entry in page["said"]] == [3, 4, 5]
        assert page["complete"] is False, "there were more than three"
        await client.get("/say/lobby/6")
        socket = Resuming(server, "/ws/lobby")
        assert await socket.back(ticket=page["ticket"], received=0) == "groups"
        assert await socket.numbers(2) == [100, 6], "what came after the list, and not the last two"


async def test_a_page_without_messages_misses_none(server: LiveServer) -> None:
    async with asking(server) as client:
        page = (await client.get("/rooms/quiet")).json()
        assert (page["said"], page["complete"]) == ([], True)
        for number in range(1, 6):
            await client.get(f"/say/quiet/{number}")
        socket = Resuming(server, "/ws/quiet")
        assert await socket.back(ticket=page["ticket"], received=0) == "groups"
        assert await socket.numbers(5) == [1, 2, 3, 4, 5]


async def test_a_ticket_alone_is_from_now(server: LiveServer) -> None:
    async with asking(server) as client:
        await client.get("/say/lobby/1")
        ticket = (await client.get("/tickets/lobby")).json()
        await client.get("/say/lobby/2")
        socket = Resuming(server, "/ws/lobby")
        assert await socket.back(ticket=ticket, received=0) == "groups"
        assert await socket.numbers(1) == [2]


@pytest.mark.parametrize("of", [group_history, group_presence, page_ticket])
@pytest.mark.parametrize(("group", "missing"), [("chat_{room}", "'room'"), ("chat_{}", "no name")])
async def test_a_group_with_a_name_that_the_path_has_not(of: Any, group: str, missing: str) -> None:
    """Was: a bare KeyError."""
    app = FastAPI()

    @app.get("/rooms/{room_id}/{page}", dependencies=[Depends(of(group))])
    async def page(room_id: str) -> None:
        raise AssertionError("it is not called")

    says = rf"'{re.escape(group)}' needs {missing} from the path, .* are 'room_id', 'page'; use one name"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        with override(CHANNEL_LAYERS={"default": LAYER}), pytest.raises(ImproperlyConfigured, match=says):
            await client.get("/rooms/1/2")
