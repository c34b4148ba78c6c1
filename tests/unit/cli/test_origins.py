"""Which sockets are found to be open to any page."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route, Router, WebSocketRoute

from compat.auth import AuthMiddlewareStack
from compat.cli.origins import unchecked_sockets
from compat.fastapi import include_consumers
from compat.generic.http import AsyncHttpConsumer
from compat.generic.websocket import WebsocketConsumer
from compat.patterns import path, re_path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.security.websocket import AllowedHostsOriginValidator, OriginValidator

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
    assert unchecked_sockets(application) == paths


def test_a_circle_is_left() -> None:
    class Ring:
        inner: Any

    ring = Ring()
    ring.inner = ring
    assert unchecked_sockets(ring) == []
