"""A Redis outage is a 503 and two lines in the log, not "forbidden" and a traceback for each client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, WebSocket

from compat.auth import AuthMiddlewareStack
from compat.exceptions import LayerUnavailable
from compat.fastapi import add_exception_handlers, channel_layer, lifespan, open_layers
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import BaseChannelLayer, get_channel_layer
from compat.settings import override
from tests.support.clients import Client, Refused
from tests.support.logs import recorded
from tests.support.redis_server import RedisServer
from tests.support.servers import LiveServer
from tests.support.waiting import until

CLIENTS = 10
QUEUE, PUBSUB = "core.RedisChannelLayer", "pubsub.RedisPubSubChannelLayer"
Layer = Annotated[BaseChannelLayer, Depends(channel_layer())]


class Room(AsyncWebsocketConsumer):
    groups = ["room"]

    async def receive(self, text_data: str) -> None:
        assert self.channel_layer is not None
        await self.channel_layer.group_send("room", {"type": "chat.message", "text": text_data})

    async def chat_message(self, event: Any) -> None:
        await self.send(event["text"])


class SyncRoom(WebsocketConsumer):
    groups = ["room"]

    def chat_message(self, event: Any) -> None:
        self.send(event["text"])


class AcceptsFirst(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await get_channel_layer().group_add("room", self.channel_name)


def application() -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    app.router.add_websocket_route("/ws/", Room.as_asgi())
    app.router.add_websocket_route("/sync/", SyncRoom.as_asgi())
    app.router.add_websocket_route("/first/", AcceptsFirst.as_asgi())
    app.mount("/session", AuthMiddlewareStack(Room.as_asgi()))

    @app.post("/say")
    async def say(layer: Layer) -> str:
        await layer.group_send("room", {"type": "chat.message", "text": "hello"})
        return "said"

    @app.post("/say-sync")
    def say_sync(layer: Layer) -> str:
        layer.group_send_sync("room", {"type": "chat.message", "text": "hello"})
        return "said"

    @app.websocket("/endpoint")
    async def endpoint(websocket: WebSocket, layer: Layer) -> None:
        await layer.group_send("room", {"type": "chat.message", "text": "hello"})
        await websocket.accept()

    return app


@pytest.fixture(params=[QUEUE, PUBSUB])
def layers(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[dict[str, Any]]:
    entry = {"BACKEND": f"compat.layers.redis.{request.param}", "CONFIG": {"hosts": [redis_server.url]}}
    with override(CHANNEL_LAYERS={"default": entry}):
        yield entry


def status_of(server: LiveServer, path: str) -> int:
    """The status of a handshake; 101 where it is taken."""
    try:
        client = Client(server, path)
    except Refused as refused:
        return refused.status
    client.close()
    return 101


def lines(records: Any) -> list[str]:
    """What an operator sees: all but the server's own access lines."""
    assert not [record for record in records.kept if record.exc_info], "no traceback"
    return [record.getMessage() for record in records.kept if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
def test_faults_newcomer_05_handshakes_while_redis_is_away(
    layers: dict[str, Any], redis_server: RedisServer, ws: str
) -> None:
    if ws == "wsproto":
        pytest.importorskip("wsproto")
    with recorded() as records, LiveServer(application(), lifespan="on", ws=ws) as server:
        assert status_of(server, "/ws/") == status_of(server, "/sync/") == 101
        assert lines(records) == []
        redis_server.kill()
        statuses = [status_of(server, path) for path in ("/ws/", "/sync/") for _ in range(CLIENTS)]
        assert statuses == [503] * 2 * CLIENTS
        with pytest.raises(Refused) as refused:
            Client(server, "/ws/")
        assert "Service Unavailable" in refused.value.body
        (began,) = lines(records)
        assert "cannot use Redis at" in began
        redis_server.start()
        until(lambda: status_of(server, "/ws/") == 101, "sockets are taken again")
        until(lambda: len(lines(records)) == 2, "the end is said")
        assert "is back after" in lines(records)[1]
        assert status_of(server, "/sync/") == 101
    assert len(lines(records)) == 2


def test_faults_newcomer_05_open_sockets_and_requests(
    layers: dict[str, Any], redis_server: RedisServer
) -> None:
    with (
        recorded() as records,
        LiveServer(application(), lifespan="on") as server,
        httpx.Client(trust_env=False, timeout=15) as http,
    ):
        talking = [Client(server, "/ws/") for _ in range(3)]
        talking[0].send("hello")
        assert [client.receive() for client in talking] == ["hello"] * 3
        assert http.post(server.http("/say")).status_code == 200
        assert [client.receive() for client in talking] == ["hello"] * 3
        redis_server.kill()
        for client in talking:
            client.send("hello")
            assert client.wait_closed()[0] == 1013
        late = Client(server, "/first/") if layers["BACKEND"].endswith(QUEUE) else None
        assert late is None or late.wait_closed()[0] == 1013
        for path in ("/say", "/say-sync"):
            for _ in range(CLIENTS):
                response = http.post(server.http(path))
                assert response.status_code == 503 and int(response.headers["retry-after"]) > 0
                assert response.json() == {"detail": "Service Unavailable"}
        assert status_of(server, "/endpoint") == 503
        assert len(lines(records)) == 1
        redis_server.start()
        until(lambda: http.post(server.http("/say")).status_code == 200, "it is said again")
        assert http.post(server.http("/say-sync")).status_code == 200
        until(lambda: len(lines(records)) == 2, "the end is said")


def test_faults_newcomer_05_a_session_that_cannot_be_read(
    layers: dict[str, Any], redis_server: RedisServer
) -> None:
    cookie = {"Cookie": "sessionid=somebody-s-session"}
    with (
        override(SESSION_ENGINE="compat.session_layer"),
        recorded() as records,
        LiveServer(application(), lifespan="on") as server,
    ):
        redis_server.kill()
        for _ in range(CLIENTS):
            with pytest.raises(Refused) as refused:
                Client(server, "/session/", headers=cookie)
            assert refused.value.status == 503
        assert len(lines(records)) == 1


async def test_faults_newcomer_05_an_app_has_its_own_answer() -> None:
    """A handler of the app's own stays, also one for what LayerUnavailable is."""

    async def own(request: Any, error: Exception) -> Any:
        raise AssertionError

    for known in (LayerUnavailable, ConnectionError, OSError):
        app = FastAPI(exception_handlers={known: own})
        before = dict(app.exception_handlers)
        add_exception_handlers(app)
        assert app.exception_handlers == before
    app = FastAPI()
    add_exception_handlers(app)
    assert LayerUnavailable in app.exception_handlers


async def test_faults_newcomer_05_in_a_test_the_error_is_raised(redis_server: RedisServer) -> None:
    from compat.testing import WebsocketCommunicator

    entry = {"BACKEND": f"compat.layers.redis.{QUEUE}", "CONFIG": {"hosts": [redis_server.url]}}
    with override(CHANNEL_LAYERS={"default": entry}):
        async with open_layers():
            await asyncio.to_thread(redis_server.kill)
            communicator = WebsocketCommunicator(Room.as_asgi(), "/")
            with pytest.raises(LayerUnavailable):
                await communicator.connect()
