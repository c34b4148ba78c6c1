"""Which sockets are found to be open to any page, who is told, and how they are closed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route, Router, WebSocketRoute

from compat.auth import AuthMiddlewareStack
from compat.fastapi import include_consumers, lifespan
from compat.generic.http import AsyncHttpConsumer
from compat.generic.websocket import WebsocketConsumer
from compat.patterns import path, re_path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.security.coverage import unchecked_sockets
from compat.security.websocket import AllowedHostsOriginValidator, OriginValidator
from compat.settings import DEFAULTS, configure, settings
from compat.testing import WebsocketCommunicator
from tests.support.clients import Client, Refused
from tests.support.servers import LiveServer

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
