"""Consumers and layers in FastAPI and Starlette apps, over a real server; what is refused on registration."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from redis import exceptions as redis_errors
from starlette.applications import Starlette
from starlette.routing import Mount, Router, WebSocketRoute

from compat.fastapi import channel_layer, close_layers, include_consumers, lifespan, open_layers
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import (
    BaseChannelLayer,
    InMemoryChannelLayer,
    InvalidChannelLayerError,
    channel_layers,
    get_channel_layer,
    register_channel_layer,
    unregister_channel_layer,
)
from compat.middleware import BaseMiddleware
from compat.patterns import path, re_path
from compat.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from compat.security.websocket import OriginValidator
from compat.settings import override
from tests.support.clients import Client, Refused
from tests.support.servers import LiveServer

MEMORY = {"default": {"BACKEND": "compat.layers.InMemoryChannelLayer"}}


class Room(AsyncWebsocketConsumer):
    """Says which room it is in, and passes on what its group is sent."""

    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add("rooms", self.channel_name)
        await self.accept()
        await self.send(text_data=self.room)

    async def room_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


class SyncRoom(WebsocketConsumer):
    """The same, briefly, with plain methods."""

    def connect(self) -> None:
        self.accept()
        self.send(text_data=self.scope["url_route"]["kwargs"]["room"])


@pytest.fixture
def layers() -> Iterator[None]:
    with override(CHANNEL_LAYERS=MEMORY, ALLOWED_HOSTS=["127.0.0.1"]):
        yield


# Any: Starlette types endpoints as functions of a WebSocket, and takes ASGI applications as well.
CONSUMER: Any = Room.as_asgi()
SYNC_CONSUMER: Any = SyncRoom.as_asgi()
VALIDATED: Any = OriginValidator(CONSUMER, ["127.0.0.1"])


def on_the_router_of_the_app(app: FastAPI) -> None:
    app.router.add_websocket_route("/ws/{room}", CONSUMER)


def as_a_starlette_route(app: FastAPI) -> None:
    app.router.routes.append(WebSocketRoute("/ws/{room}", CONSUMER))


def on_an_included_router(app: FastAPI) -> None:
    router = APIRouter()
    router.add_websocket_route("/{room}", CONSUMER)
    app.include_router(router, prefix="/ws")


def in_a_mounted_router(app: FastAPI) -> None:
    app.mount("/ws", Router(routes=[WebSocketRoute("/{room}", CONSUMER)]))


def below_a_mounted_url_router(app: FastAPI) -> None:
    app.mount("/ws", URLRouter([path("<str:room>", CONSUMER)]))


def as_patterns(app: FastAPI) -> None:
    include_consumers(app, [re_path(r"^ws/(?P<room>[^/]+)$", CONSUMER)])


def behind_a_validator(app: FastAPI) -> None:
    app.router.add_websocket_route("/ws/{room}", VALIDATED)


def with_a_sync_consumer(app: FastAPI) -> None:
    app.router.add_websocket_route("/ws/{room}", SYNC_CONSUMER)


WAYS = [
    on_the_router_of_the_app,
    as_a_starlette_route,
    on_an_included_router,
    in_a_mounted_router,
    below_a_mounted_url_router,
    as_patterns,
    behind_a_validator,
    with_a_sync_consumer,
]


@pytest.mark.parametrize("add", WAYS)
def test_the_path_parameters_are_in_the_url_route(layers: None, add: Callable[[FastAPI], None]) -> None:
    app = FastAPI()
    add(app)
    with LiveServer(app) as server, Client(server, "/ws/caf%C3%A9") as client:
        assert client.receive() == "café"


def test_patterns_leave_other_paths_to_the_app(layers: None) -> None:
    app = FastAPI()
    include_consumers(app, [path("ws/<str:room>", CONSUMER)])
    app.router.add_websocket_route("/other/{room}", CONSUMER)
    app.get("/ws/page")(lambda: "a page")
    with LiveServer(app) as server:
        with Client(server, "/other/x") as client:
            assert client.receive() == "x"
        assert httpx.get(server.http("/ws/page"), trust_env=False, timeout=15).json() == "a page"
        with pytest.raises(Refused) as refused:
            Client(server, "/nobody")
        assert refused.value.status == 403


def test_patterns_of_a_starlette_app(layers: None) -> None:
    app = Starlette()
    include_consumers(app, [path("ws/<str:room>", CONSUMER)])
    with LiveServer(app) as server, Client(server, "/ws/x") as client:
        assert client.receive() == "x"


def test_patterns_are_not_for_an_api_router() -> None:
    with pytest.raises(TypeError, match=r"takes a .* application, not APIRouter.*add_websocket_route"):
        include_consumers(APIRouter(), [path("ws/<str:room>", CONSUMER)])


# An ASGI application is no endpoint


class Middle(BaseMiddleware):
    """A user's middleware."""


APPLICATIONS = [
    (Room.as_asgi(), r"Room\.as_asgi\(\)"),
    (SyncRoom.as_asgi(), r"SyncRoom\.as_asgi\(\)"),
    (URLRouter([]), "URLRouter"),
    (ProtocolTypeRouter({}), "ProtocolTypeRouter"),
    (ChannelNameRouter({}), "ChannelNameRouter"),
    (OriginValidator(Room.as_asgi(), ["*"]), "OriginValidator"),
    (Middle(Room.as_asgi()), "Middle"),
]


@pytest.mark.parametrize(("application", "name"), APPLICATIONS)
def test_as_an_endpoint_of_fastapi_it_is_refused_when_it_is_added(application: Any, name: str) -> None:
    message = rf"^{name} is an ASGI application, not an endpoint.*router\.add_websocket_route\(path, {name}\)"
    app = FastAPI()
    with pytest.raises(TypeError, match=message):
        app.add_api_websocket_route("/ws/{room}", application)
    with pytest.raises(TypeError, match=message):
        app.websocket("/ws")(application)
    with pytest.raises(TypeError, match=message):
        APIRouter().add_api_websocket_route("/ws", application)
    with pytest.raises(TypeError, match=message):
        app.get("/")(application)
    with pytest.raises(TypeError, match=message):
        app.get("/", dependencies=[Depends(application)])(lambda: None)
    assert not [route for route in app.routes if getattr(route, "path", "").startswith("/ws")]


@pytest.mark.parametrize(("application", "name"), APPLICATIONS)
def test_everybody_else_sees_an_ordinary_signature(application: Any, name: str) -> None:
    assert list(inspect.signature(application).parameters) == ["scope", "receive", "send"]
    assert list(inspect.signature(application, eval_str=True).parameters) == ["scope", "receive", "send"]
    assert inspect.signature(type(application)).parameters.keys() == (
        inspect.signature(type(application).__init__).parameters.keys() - {"self"}
    )

    @functools.wraps(application)
    def wrapper(*args: Any) -> Any:
        return application(*args)

    assert list(inspect.signature(wrapper).parameters) == ["scope", "receive", "send"]


# Layers


def test_an_endpoint_sends_to_sockets(layers: None) -> None:
    app = FastAPI(lifespan=lifespan)
    app.router.add_websocket_route("/ws/{room}", CONSUMER)

    @app.post("/say")
    async def say(text: str, layer: Annotated[BaseChannelLayer, Depends(channel_layer())]) -> None:
        await layer.group_send("rooms", {"type": "room.message", "text": text})

    with LiveServer(app, lifespan="on") as server, Client(server, "/ws/x") as client:
        assert client.receive() == "x"
        assert httpx.post(server.http("/say?text=hello"), trust_env=False, timeout=15).status_code == 200
        assert client.receive() == "hello"
        assert "layer" not in httpx.get(server.http("/openapi.json"), trust_env=False, timeout=15).text


async def test_a_dependency_on_a_layer_that_is_not_there_names_those_that_are(layers: None) -> None:
    assert await channel_layer()() is get_channel_layer()
    with pytest.raises(InvalidChannelLayerError, match="no layer 'chat'; configured: 'default'"):
        await channel_layer("chat")()


async def test_a_wrong_layer_is_an_error_when_the_app_starts() -> None:
    with override(CHANNEL_LAYERS={"default": {"BACKEND": "compat.layers.InMemoryChanelLayer"}}):
        with pytest.raises(InvalidChannelLayerError, match="did you mean"):
            async with lifespan(None):
                pass


class Closing(InMemoryChannelLayer):
    """Remembers whether it was closed."""

    closed = False

    async def close(self) -> None:
        self.closed = True


class Broken(Closing):
    def __init__(self, error: type[Exception]) -> None:
        super().__init__()
        self.error = error

    async def close(self) -> None:
        raise self.error("gone")


class Pools(BaseChannelLayer):
    """As channels_redis' layer closes."""

    closed = False

    async def close_pools(self) -> None:
        self.closed = True


@asynccontextmanager
async def registered(**layers: Any) -> AsyncIterator[None]:
    for alias, layer in layers.items():
        register_channel_layer(alias, layer)
    try:
        yield
    finally:
        for alias in layers:
            unregister_channel_layer(alias)


@pytest.mark.parametrize("error", [ConnectionResetError, redis_errors.ConnectionError, LookupError])
async def test_layers_are_closed_at_the_end_and_one_that_cannot_does_not_keep_the_others(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    closing, pools = Closing(), Pools()
    async with registered(a=Broken(error), b=closing, c=pools, d=BaseChannelLayer()):
        with caplog.at_level(logging.ERROR):
            async with open_layers():
                assert not closing.closed
        assert closing.closed
        assert pools.closed
        assert [record.getMessage() for record in caplog.records] == ["closing the layer 'a' failed"]


async def test_layers_are_closed_when_the_app_fails_too() -> None:
    closing = Closing()
    async with registered(b=closing):
        with pytest.raises(LookupError):
            async with open_layers():
                raise LookupError
        assert closing.closed


async def test_closing_without_layers() -> None:
    with override(CHANNEL_LAYERS={}):
        assert not channel_layers.backends
        await close_layers()


def test_a_mount_of_starlette(layers: None) -> None:
    inner = Starlette(routes=[WebSocketRoute("/{room}", CONSUMER)])
    app = Starlette(routes=[Mount("/a/{floor}", app=inner)])
    with LiveServer(app) as server, Client(server, "/a/2/x") as client:
        assert client.receive() == "x"
