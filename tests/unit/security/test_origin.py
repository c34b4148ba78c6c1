"""Which sockets are found to be open to any page, who is told, and how they are closed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Query
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

from compat.auth import AuthMiddlewareStack
from compat.engine.admissions import admissions
from compat.fastapi import endpoint, include_consumers, lifespan
from compat.generic.http import AsyncHttpConsumer
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.manager import ConnectionManager
from compat.manager.backends import MemoryBackend
from compat.patterns import path, re_path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.security.origin import unchecked_sockets
from compat.security.websocket import AllowedHostsOriginValidator, OriginValidator
from compat.settings import DEFAULTS, configure, settings
from compat.testing import WebsocketCommunicator
from compat.typed import AsyncJsonWebsocketConsumer
from tests.support.clients import Client, Refused
from tests.support.servers import LiveServer
from tests.support.waiting import until

OPEN: Any = WebsocketConsumer.as_asgi()
STACKED: Any = AuthMiddlewareStack(OPEN)
CHECKED: Any = OriginValidator(OPEN, ["example.com"])


async def function(scope: Any, receive: Any, send: Any) -> None: ...


def fastapi_app() -> FastAPI:
    router = APIRouter()
    router.add_websocket_route("/ws/a/{room}/", OPEN)
    router.add_websocket_route("/ws/b/", CHECKED)
    app = FastAPI()
    app.include_router(router, prefix="/api")
    app.router.add_websocket_route("/ws/c/", STACKED)
    include_consumers(app, [re_path(r"^ws/d/(?P<room>\w+)/$", OPEN), path("ws/e/", CHECKED)])
    app.mount("/static", Router(routes=[WebSocketRoute("/f", OPEN)]))
    app.add_middleware(CORSMiddleware, allow_origins=["*"])

    @app.websocket("/ws/endpoint")
    async def endpoint(websocket: Any) -> None: ...

    return app


@pytest.mark.parametrize(
    ("application", "paths"),
    [
        (OPEN, ["/"]),
        (CHECKED, []),
        (function, []),
        (object(), []),
        (ProtocolTypeRouter({"http": function}), []),
        (ProtocolTypeRouter({"websocket": URLRouter([path("a/", OPEN), path("b/", CHECKED)])}), ["/a/"]),
        (ProtocolTypeRouter({"websocket": AllowedHostsOriginValidator(URLRouter([path("a/", OPEN)]))}), []),
        (ProtocolTypeRouter({"websocket": AuthMiddlewareStack(URLRouter([path("a/", OPEN)]))}), ["/a/"]),
        (URLRouter([path("x", URLRouter([path("y/", OPEN)]))]), ["/x/y/"]),
        (URLRouter([WebSocketRoute("/z", OPEN)]), ["/z"]),
        (CORSMiddleware(Starlette(routes=[Mount("/m", routes=[WebSocketRoute("/n", OPEN)])])), ["/m/n"]),
        (Starlette(routes=[Route("/sse", AsyncHttpConsumer.as_asgi())]), []),
        (fastapi_app(), ["/api/ws/a/{room}/", "/ws/c/", r"/^ws/d/(?P<room>\w+)/$", "/static/f"]),
    ],
)
def test_paths(application: Any, paths: list[str]) -> None:
    OPEN.origin_told = False
    assert unchecked_sockets(application) == paths
    assert unchecked_sockets(application) == []


def test_a_circle_is_left() -> None:
    class Ring:
        inner: Any

    ring = Ring()
    ring.inner = ring
    assert unchecked_sockets(ring) == []


class Hello(WebsocketConsumer):
    def connect(self) -> None:
        self.accept()
        self.send(text_data="hello")


@pytest.fixture(autouse=True)
def warned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As it is where nobody sets CHANNEL_ORIGIN_CHECK."""
    monkeypatch.setattr(
        sys.modules["compat.settings"], "DEFAULTS", {**DEFAULTS, "CHANNEL_ORIGIN_CHECK": True}
    )
    settings.changed("CHANNEL_ORIGIN_CHECK")
    yield
    settings.changed("CHANNEL_ORIGIN_CHECK")


@pytest.fixture
def nothing_configured() -> Iterator[None]:
    yield
    settings.reset()


def handshake(server: LiveServer, origin: str | None = "http://evil.example") -> int:
    """The status with which the server answers."""
    try:
        Client(server, "/ws/", origin=origin).close()
    except Refused as refused:
        return refused.status
    return 101


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "compat.security"]


@pytest.mark.parametrize("lifespan", ["on", "off"])
@pytest.mark.usefixtures("nothing_configured")
def test_one_warning_and_served_as_by_channels(lifespan: str, caplog: pytest.LogCaptureFixture) -> None:
    app = ProtocolTypeRouter({"websocket": AuthMiddlewareStack(URLRouter([path("ws/", Hello.as_asgi())]))})
    with LiveServer(app, lifespan=lifespan) as server:
        assert len(warnings(caplog)) == (lifespan == "on")
        for origin in (None, "http://evil.example", "http://evil.example"):
            assert handshake(server, origin) == 101
    (warning,) = warnings(caplog)
    assert "'/ws/'" in warning and 'configure(ALLOWED_HOSTS=["example.com"])' in warning


@pytest.mark.usefixtures("nothing_configured")
def test_allowed_hosts_close_what_nobody_checks(caplog: pytest.LogCaptureFixture) -> None:
    configure(ALLOWED_HOSTS=["example.org"])
    app = FastAPI(lifespan=lifespan, routes=[WebSocketRoute("/ws/", Hello.as_asgi())])
    with LiveServer(app, lifespan="on") as server:
        assert not warnings(caplog)
        assert handshake(server, "https://example.org") == 101
        assert [handshake(server, origin) for origin in ("http://evil.example", None)] == [403, 403]
    assert all("ALLOWED_HOSTS is 'example.org'" in text or "no Origin" in text for text in warnings(caplog))


@pytest.mark.usefixtures("nothing_configured")
def test_a_validator_of_ones_own_decides_alone(caplog: pytest.LogCaptureFixture) -> None:
    configure(ALLOWED_HOSTS=["example.org"])
    app = OriginValidator(AuthMiddlewareStack(Hello.as_asgi()), ["http://other.example"])
    with LiveServer(app) as server:
        assert handshake(server, "http://other.example") == 101
        assert not warnings(caplog)
        assert handshake(server, "https://example.org") == 403


@pytest.mark.usefixtures("nothing_configured")
@pytest.mark.parametrize("values", [{}, {"ALLOWED_HOSTS": ["example.org"]}])
def test_somebody_else_checks(values: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    configure(CHANNEL_ORIGIN_CHECK=False, **values)
    with LiveServer(FastAPI(lifespan=lifespan, routes=[WebSocketRoute("/ws/", Hello.as_asgi())])) as server:
        assert handshake(server) == 101
    assert not warnings(caplog)


@pytest.mark.usefixtures("nothing_configured")
def test_allowed_hosts_of_a_framework_are_about_something_else(caplog: pytest.LogCaptureFixture) -> None:
    settings.adopt(ALLOWED_HOSTS=["example.org"])
    with LiveServer(Hello.as_asgi()) as server:
        assert handshake(server) == 101
    assert len(warnings(caplog)) == 1
    configure(ALLOWED_HOSTS=["example.org"])
    with LiveServer(Hello.as_asgi()) as server:
        assert handshake(server) == 403


@pytest.mark.usefixtures("nothing_configured")
async def test_communicators_are_no_browsers() -> None:
    configure(ALLOWED_HOSTS=["example.org"])
    communicator = WebsocketCommunicator(Hello.as_asgi(), "/ws/")
    assert (await communicator.connect())[0]
    await communicator.disconnect()


# Every way in


class Typed(AsyncJsonWebsocketConsumer[Any]): ...


class AsyncHello(AsyncWebsocketConsumer): ...


class Overridden(WebsocketConsumer):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen = scope["path"]
        await super().__call__(scope, receive, send)


class Depending(AsyncWebsocketConsumer):
    async def connect(self, room: str = Query("lobby")) -> None:
        await self.accept()


async def by_hand(scope: Any, receive: Any, send: Any) -> None:
    await AsyncHello()(scope, receive, send)


async def by_websocket(websocket: WebSocket) -> None:
    await Hello()(websocket.scope, websocket.receive, websocket.send)


def fastapi_endpoint(consumer: Any) -> FastAPI:
    app = FastAPI()
    app.add_api_websocket_route("/ws/", endpoint(consumer))
    return app


def added(consumer: Any) -> FastAPI:
    app = FastAPI()
    app.router.add_websocket_route("/ws/", consumer)
    return app


def included(consumer: Any) -> FastAPI:
    app = FastAPI()
    include_consumers(app, [path("ws/", consumer)])
    return app


def managed() -> FastAPI:
    app = FastAPI()
    manager = ConnectionManager(backend=MemoryBackend())

    @app.websocket("/ws/")
    async def ws(websocket: WebSocket) -> None:
        async with manager.session(websocket) as connection:
            await connection.websocket.receive()

    return app


WAYS: dict[str, Any] = {
    "an instance": lambda: Hello(),
    "an instance, async": lambda: AsyncHello(),
    "an instance of a typed consumer": lambda: Typed(),
    "an instance with its own __call__": lambda: Overridden(),
    "with its own __call__": lambda: Overridden.as_asgi(),
    "an instance in a function": lambda: by_hand,
    "an instance in a router": lambda: URLRouter([path("ws/", Hello())]),
    "an instance by protocol": lambda: ProtocolTypeRouter({"websocket": AuthMiddlewareStack(Hello())}),
    "a WebSocketRoute": lambda: Starlette(routes=[WebSocketRoute("/ws/", Hello.as_asgi())]),
    "a WebSocketRoute to an instance": lambda: Starlette(routes=[WebSocketRoute("/ws/", Hello())]),
    "a WebSocketRoute to a function": lambda: Starlette(routes=[WebSocketRoute("/ws/", by_websocket)]),
    "a Mount": lambda: Starlette(routes=[Mount("/ws", app=Hello.as_asgi())]),
    "a Mount of an instance": lambda: Starlette(routes=[Mount("/ws", app=Hello())]),
    "add_websocket_route": lambda: added(Hello.as_asgi()),
    "add_websocket_route of an instance": lambda: added(AsyncHello()),
    "include_consumers": lambda: included(Typed.as_asgi()),
    "an endpoint of FastAPI": lambda: fastapi_endpoint(AsyncHello),
    "an endpoint with dependencies": lambda: fastapi_endpoint(Depending),
    "a consumer with dependencies": lambda: added(Depending.as_asgi()),
    "a manager's endpoint": managed,
}


@pytest.mark.usefixtures("nothing_configured")
@pytest.mark.parametrize("way", WAYS)
def test_faults_security_m5_every_way_in_is_checked(way: str, caplog: pytest.LogCaptureFixture) -> None:
    configure(ALLOWED_HOSTS=["example.org"])
    with LiveServer(WAYS[way]()) as server:
        origins = ("http://evil.example", None, "https://example.org")
        assert [handshake(server, origin) for origin in origins] == [403, 403, 101]


@pytest.mark.usefixtures("nothing_configured")
@pytest.mark.parametrize(
    "way",
    [
        "an instance",
        "with its own __call__",
        "an instance in a function",
        "an endpoint with dependencies",
        "a consumer with dependencies",
        "include_consumers",
    ],
)
def test_faults_security_m5_every_way_in_is_counted_once(way: str) -> None:
    configure(CHANNEL_MAX_CONNECTIONS=2, CHANNEL_ORIGIN_CHECK=False)
    with LiveServer(WAYS[way]()) as server:
        clients = [Client(server, "/ws/")]
        if way != "an instance":  # which serves one connection at a time
            clients.append(Client(server, "/ws/"))
            assert handshake(server) == 503
        assert sum(admissions._here.values()) == len(clients)
        for client in clients:
            client.close()
        until(lambda: not admissions._here, "the places are free")


@pytest.mark.usefixtures("nothing_configured")
def test_faults_security_m5_an_instance_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    class Made(AsyncWebsocketConsumer): ...

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Made()(scope, receive, send)

    with LiveServer(app) as server:
        assert [handshake(server) for _ in range(3)] == [101, 101, 101]
    (warning,) = warnings(caplog)
    assert "'/ws/'" in warning


@pytest.mark.usefixtures("nothing_configured")
@pytest.mark.parametrize(
    ("variables", "statuses"),
    [
        (["COMPAT_SETTINGS_MODULE"], [403, 101]),
        (["COMPAT_SETTINGS_MODULE", "DJANGO_SETTINGS_MODULE"], [403, 101]),
        (["DJANGO_SETTINGS_MODULE"], [101, 101]),
    ],
)
@pytest.mark.parametrize("make", [Hello, managed])
def test_faults_security_m5_hosts_of_the_settings_module(
    make: Any,
    variables: list[str],
    statuses: list[int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    module = f"own_settings_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text('ALLOWED_HOSTS = ["example.org"]\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    for variable in ("COMPAT_SETTINGS_MODULE", "DJANGO_SETTINGS_MODULE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in variables:
        monkeypatch.setenv(variable, module)
    settings.changed("ALLOWED_HOSTS")
    found = []
    for origin in ("http://evil.example", "https://example.org"):
        with LiveServer(make()) as server:
            found.append(handshake(server, origin))
    assert found == statuses
    assert any("no Origin check" in text for text in warnings(caplog)) == (statuses[0] == 101)
