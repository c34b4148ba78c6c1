"""Consumers whose ``connect()`` has parameters: FastAPI finds what they ask for."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, WebSocket, WebSocketException
from pydantic import BaseModel
from starlette.routing import WebSocketRoute

from compat.consumer import ConsumerApp
from compat.engine.dependencies import declares
from compat.fastapi import endpoint, include_consumers
from compat.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, JsonWebsocketConsumer
from compat.patterns import path
from compat.routing import URLRouter
from compat.testing import WebsocketCommunicator
from tests.support.clients import Client, Refused
from tests.support.logs import recorded
from tests.support.servers import LiveServer

ended: list[str] = []


async def current_user(token: Annotated[str, Query()] = "") -> str:
    if token == "banned":
        raise WebSocketException(code=4003, reason="banned")
    if token == "http":
        raise HTTPException(401)
    return token or "nobody"


async def resource() -> AsyncIterator[str]:
    yield "open"
    ended.append("closed")


CurrentUser = Annotated[str, Depends(current_user)]


class Room(AsyncJsonWebsocketConsumer):
    async def connect(
        self, room: str, user: CurrentUser, since: int = 0, x_name: Annotated[str, Header()] = "-"
    ) -> None:
        await self.accept()
        await self.send_json([room, user, since, x_name, self.scope["url_route"]["kwargs"]])


class SyncRoom(JsonWebsocketConsumer):
    def connect(self, room: str, user: CurrentUser) -> None:
        self.accept()
        self.send_json([room, user])


class Holding(AsyncWebsocketConsumer):
    async def connect(self, held: str = Depends(resource)) -> None:
        self.held = held
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=self.held)


def application() -> FastAPI:
    app = FastAPI(routes=[WebSocketRoute("/ws/{room}", Room.as_asgi())])
    app.router.routes.append(WebSocketRoute("/sync/{room}", SyncRoom.as_asgi()))
    include_consumers(
        app, [path("patterns/<str:room>/", Room.as_asgi()), path("holding/", Holding.as_asgi())]
    )
    return app


async def heard(app: Any, where: str, **options: Any) -> Any:
    communicator = WebsocketCommunicator(app, where, **options)
    connected, code = await communicator.connect()
    if not connected:
        return code
    content = await communicator.receive_json_from()
    await communicator.disconnect()
    return content


async def test_path_query_header_and_dependencies() -> None:
    app = application()
    headers = [(b"x-name", b"x")]
    found = await heard(app, "/ws/lobby?token=eva&since=3", headers=headers)
    assert found == ["lobby", "eva", 3, "x", {"room": "lobby"}]
    assert await heard(app, "/sync/lobby?token=eva") == ["lobby", "eva"]
    assert (await heard(app, "/patterns/lobby/"))[:3] == ["lobby", "nobody", 0]


async def test_overrides() -> None:
    app = application()
    app.dependency_overrides[current_user] = lambda: "tester"
    for where in ("/ws/lobby?token=eva", "/patterns/lobby/", "/sync/lobby"):
        assert (await heard(app, where))[1] == "tester"
    app.dependency_overrides.clear()
    assert (await heard(app, "/ws/lobby?token=eva"))[1] == "eva"


async def test_without_fastapi_around_it() -> None:
    app = URLRouter([path("ws/<str:room>/", Room.as_asgi())])
    assert (await heard(app, "/ws/lobby/?token=eva"))[:2] == ["lobby", "eva"]
    assert await heard(app, "/ws/lobby/?token=banned") == 4003
    assert await heard(app, "/ws/lobby/?token=http") == 1008
    assert await heard(app, "/ws/lobby/?since=word") == 1008


class Strict(BaseModel):
    model_config = {"extra": "forbid"}


class Filtered(AsyncWebsocketConsumer):
    async def connect(self, filters: Annotated[Strict, Query()]) -> None:
        await self.accept()


async def test_a_refusal_is_one_short_line_in_the_log() -> None:
    """A client chose the names in it: it could write lines of its own, and 18 times what it had sent."""
    app = URLRouter([path("ws/", Filtered.as_asgi())])
    with recorded() as log:
        assert await heard(app, "/ws/?x%0aCRITICAL%3a%20fake%1b%5b31m=1") == 1008
        assert await heard(app, "/ws/?" + "&".join(f"name{number}=1" for number in range(500))) == 1008
        assert await heard(app, "/ws/?" + "n" * 50_000 + "=1") == 1008
    fake, many, long = [one for one in log.messages() if "Filtered.connect()" in one]
    assert "x\\nCRITICAL: fake\\x1b[31m: Extra inputs" in fake
    assert many.endswith("; and 497 more")
    assert all(message.isprintable() and len(message) < 800 for message in (fake, many, long))


@pytest.mark.parametrize(("query", "status"), [("banned", 403), ("http", 401), ("eva&since=word", 403)])
def test_refusals_are_answered(query: str, status: int) -> None:
    with LiveServer(application()) as server, pytest.raises(Refused) as refused:
        Client(server, f"/ws/lobby?token={query}")
    assert refused.value.status == status


async def test_a_dependency_that_yields_ends_with_the_connection() -> None:
    ended.clear()
    communicator = WebsocketCommunicator(application(), "/holding/")
    assert (await communicator.connect())[0]
    await communicator.send_to(text_data="x")
    assert await communicator.receive_from() == "open" and not ended
    await communicator.disconnect()
    assert ended == ["closed"]


async def test_an_endpoint_for_routes_with_dependencies_of_their_own() -> None:
    seen: list[str] = []

    async def admit(websocket: WebSocket) -> None:
        seen.append(websocket.url.path)
        if websocket.query_params.get("key") == "wrong":
            raise WebSocketException(code=4001)

    router = APIRouter(prefix="/api", dependencies=[Depends(admit)])
    router.add_api_websocket_route("/ws/{room}", endpoint(Room), dependencies=[Depends(admit)])
    router.add_api_websocket_route("/plain/{room}", endpoint(Plain, value=7))
    app = FastAPI()
    app.include_router(router)
    assert (await heard(app, "/api/ws/lobby?token=eva"))[:2] == ["lobby", "eva"]
    assert await heard(app, "/api/plain/lobby") == [7, {"room": "lobby"}]
    assert await heard(app, "/api/ws/lobby?key=wrong") == 4001
    assert seen


class Plain(AsyncJsonWebsocketConsumer):
    """A consumer as Channels knows them."""

    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value

    async def connect(self) -> None:
        await self.accept()
        await self.send_json([self.value, self.scope["url_route"]["kwargs"]])


def test_what_channels_calls_without_arguments_is_called_so() -> None:
    class Defaults(AsyncWebsocketConsumer):
        async def connect(self, event: Any = None, *args: Any, **kwargs: Any) -> None: ...

    assert not declares(Plain) and not declares(Defaults)
    assert declares(Room) and declares(SyncRoom) and declares(Holding)
    assert isinstance(Room.as_asgi(), ConsumerApp)


async def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreadable(AsyncWebsocketConsumer):
        async def connect(self, user: NotImported) -> None: ...  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(TypeError, match="outside of TYPE_CHECKING"):
        endpoint(Unreadable)
    monkeypatch.setitem(sys.modules, "fastapi.routing", None)

    class Unfilled(AsyncWebsocketConsumer):
        async def connect(self, user: str) -> None: ...

    with pytest.raises(TypeError, match=r"channels-compat\[fastapi\]"):
        await heard(Unfilled.as_asgi(), "/")
