"""URL patterns inside Starlette and FastAPI apps: mounted, and among the app's own routes."""

from __future__ import annotations

import inspect
import logging
import re
from typing import Any, cast

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.routing import Match, Mount, NoMatchFound, Route, WebSocketRoute

from compat.auth import AuthMiddleware, AuthMiddlewareStack
from compat.auth.tokens import TokenAuthMiddleware
from compat.consumer import AsyncConsumer
from compat.fastapi import include_consumers, lifespan
from compat.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
)
from compat.middleware import BaseMiddleware
from compat.patterns import path, re_path
from compat.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from compat.routing.starlette import PatternsRoute
from compat.security.websocket import AllowedHostsOriginValidator, OriginValidator
from compat.sessions import CookieMiddleware, SessionMiddleware
from compat.types import ASGIApp, Receive, Scope, Send
from tests.support.clients import Client, Refused, get
from tests.support.logs import recorded
from tests.support.servers import LiveServer


class Where(AsyncJsonWebsocketConsumer):
    """Tells its client what it found in the scope."""

    async def connect(self) -> None:
        await self.accept()
        found = {
            name: self.scope.get(name) for name in ("path", "root_path", "path_params", "path_remaining")
        }
        await self.send_json({**found, **self.scope["url_route"], "initkwargs": self.title})

    def __init__(self, title: str = "") -> None:
        super().__init__()
        self.title = title


PATTERNS = [
    re_path(r"^chat/(?P<room>\w+)/$", Where.as_asgi()),
    path("deep/", URLRouter([path("<int:n>/", Where.as_asgi(title="deep"))])),
]


def heard(server: LiveServer, url: str) -> Any:
    with Client(server, url) as client:
        return client.receive_json()


def status(server: LiveServer, url: str) -> int:
    with pytest.raises(Refused) as caught:
        Client(server, url)
    return caught.value.status


def test_a_router_mounted_in_fastapi() -> None:
    app = FastAPI()

    @app.get("/page")
    async def page() -> str:
        return "page"

    @app.websocket("/own")
    async def own(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json("own")
        await websocket.close()

    app.mount("/t/{tenant}", URLRouter(PATTERNS))
    with LiveServer(app) as server, recorded() as log:
        found = heard(server, "/t/acme/chat/caf%C3%A9/")
        assert found["kwargs"] == found["path_params"] == {"tenant": "acme", "room": "café"}
        assert (found["path"], found["root_path"]) == ("/t/acme/chat/café/", "/t/acme")
        assert heard(server, "/t/acme/deep/7/")["kwargs"] == {"tenant": "acme", "n": 7}
        assert heard(server, "/own") == "own"
        assert get(server, "/page").json() == "page"
        assert get(server, "/openapi.json").json()["paths"].keys() == {"/page"}
        assert not log.kept
        assert status(server, "/t/acme/nope/") == 404
        assert get(server, "/t/acme/page").status_code == 404
        assert [message.split(":")[0] for message in log.messages()] == [
            "compat.routing WARNING websocket '/t/acme/nope/' refused with 404",
            "compat.routing WARNING http '/t/acme/page' refused with 404",
        ]


def test_mounts_within_mounts() -> None:
    inner = Starlette(routes=[Mount("/inner", URLRouter(PATTERNS))])
    with LiveServer(Starlette(routes=[Mount("/outer", inner)])) as server:
        assert heard(server, "/outer/inner/chat/a/")["root_path"] == "/outer/inner"


def test_starlette_inside_a_url_router() -> None:
    inner = Starlette(
        routes=[WebSocketRoute("/own/{n:int}", Where.as_asgi()), Mount("/inner", URLRouter(PATTERNS))]
    )
    with LiveServer(URLRouter([path("pre/", URLRouter([Mount("/outer/{x}", inner)]))])) as server:
        found = heard(server, "/pre/outer/a/inner/chat/b/")
        assert found["kwargs"] == {"x": "a", "room": "b"}
        assert found["root_path"] == "/pre/outer/a/inner"
        assert heard(server, "/pre/outer/a/own/7")["path_params"] == {"x": "a", "n": 7}


@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
def test_fastapi_with_a_root_path_that_a_proxy_has_stripped() -> None:
    app = FastAPI(root_path="/api")
    app.mount("/ws", URLRouter(PATTERNS))
    with LiveServer(app) as server:
        assert heard(server, "/ws/chat/a/")["kwargs"] == {"room": "a"}
        assert heard(server, "/api/ws/chat/a/")["kwargs"] == {"room": "a"}


def test_patterns_among_the_routes_of_an_app() -> None:
    app = FastAPI()
    app.router.routes.append(PatternsRoute(PATTERNS))

    @app.websocket("/later/{n}")
    async def later(websocket: WebSocket, n: int) -> None:
        await websocket.accept()
        await websocket.send_json(n)
        await websocket.close()

    @app.get("/chat/{room}/")
    async def page(room: str) -> str:
        return room

    with LiveServer(app) as server, recorded() as log:
        assert heard(server, "/chat/a/")["kwargs"] == {"room": "a"}
        assert heard(server, "/deep/7/")["initkwargs"] == "deep"
        assert heard(server, "/later/7") == 7
        assert get(server, "/chat/a/").json() == "a", "a page may have a socket's path"
        assert status(server, "/deep/x/") in (403, 404), "it is the app's own refusal"
        assert get(server, "/openapi.json").status_code == 200
    assert not log.kept


def test_patterns_route_inside_a_mount() -> None:
    app = Starlette(routes=[Mount("/t/{tenant}", routes=[PatternsRoute(PATTERNS)])])
    with LiveServer(app) as server:
        assert heard(server, "/t/acme/chat/a/")["kwargs"] == {"tenant": "acme", "room": "a"}


def test_patterns_route_matches_one_protocol() -> None:
    async def page(request: Any) -> Any: ...

    route = PatternsRoute([Route("/page", page)], protocol="http")
    scope = {"path": "/page", "method": "GET", "headers": []}
    assert route.matches({"type": "http", **scope}) == (Match.FULL, {"endpoint": route.router})
    assert route.matches({"type": "websocket", **scope}) == (Match.NONE, {})
    assert route.matches({"type": "http", **scope, "method": "POST"}) == (
        Match.FULL,
        {"endpoint": route.router},
    )
    # Behind a proxy that strips root_path the whole path is left; inside a mount it is another's.
    stripped = {"type": "http", **scope, "root_path": "/x"}
    assert route.matches(stripped) == (Match.FULL, {"endpoint": route.router, "path_remaining": "page"})
    assert route.matches({**stripped, "app_root_path": ""}) == (Match.NONE, {})
    assert repr(route).startswith("PatternsRoute([Route(path='/page'")
    with pytest.raises(NoMatchFound):
        route.url_path_for("page")


# A consumer's class where its application is due


class Room(AsyncJsonWebsocketConsumer): ...


class Titled(AsyncJsonWebsocketConsumer):
    def __init__(self, title: str = "") -> None:
        super().__init__()


WRITE = r"Room is a consumer's class, not an application\. Write Room\.as_asgi\(\)"
MIDDLEWARE = [CookieMiddleware, SessionMiddleware, AuthMiddleware, AuthMiddlewareStack, BaseMiddleware]
MIDDLEWARE += [AllowedHostsOriginValidator, lambda inner: TokenAuthMiddleware(inner, str)]


@pytest.mark.parametrize("wrap", MIDDLEWARE)
def test_middleware_takes_no_class(wrap: Any) -> None:
    with pytest.raises(TypeError, match=WRITE):
        wrap(Room)


@pytest.mark.parametrize("route", [WebSocketRoute("/ws", Room), Mount("/ws", cast(Any, Room))])
def test_a_url_router_takes_no_route_with_a_class(route: Any) -> None:
    with pytest.raises(TypeError, match=f"route '/ws': {WRITE}"):
        URLRouter([route])


@pytest.mark.parametrize("cls", [Room, Titled])
async def test_an_app_with_a_class_in_a_route_does_not_start(cls: type[Room]) -> None:
    inner = APIRouter()
    inner.routes.append(WebSocketRoute("/deep", cls))
    app = FastAPI(lifespan=lifespan)
    app.include_router(inner, prefix="/api")
    mounted = Starlette(routes=[Mount("/mounted", routes=[WebSocketRoute("/deep", cls)])])
    for one in (app, mounted):
        with pytest.raises(TypeError, match=rf"/deep'.*{cls.__name__}\.as_asgi\(\)"):
            async with lifespan(one):
                pass


def test_starlette_says_at_the_first_connection_what_to_write() -> None:
    app = Starlette(routes=[WebSocketRoute("/ws", Room)])
    with recorded() as records, LiveServer(app) as server:
        assert status(server, "/ws") == 500
    assert any(re.search(WRITE, logging.Formatter().format(record)) for record in records.kept)


def test_fastapi_says_when_the_route_is_added_what_to_write() -> None:
    message = r"Room is a consumer's class.*add_websocket_route\(path, Room\.as_asgi\(\)\).*endpoint\(Room\)"
    with pytest.raises(TypeError, match=message):
        FastAPI().add_api_websocket_route("/ws", Room)
    with pytest.raises(TypeError, match=message):
        FastAPI().websocket("/ws")(Room)


def test_a_class_has_the_signature_of_its_constructor() -> None:
    assert list(inspect.signature(Room).parameters) == ["args", "kwargs"]
    assert str(inspect.signature(Titled)) == "(title: 'str' = '')"
    assert str(inspect.signature(AsyncConsumer)) == "()"
    assert list(inspect.signature(Room()).parameters) == ["scope", "receive", "send"]


def test_the_application_may_be_called_with_a_websocket() -> None:
    app = FastAPI()

    @app.websocket("/ws/{room}/")
    async def own(websocket: WebSocket) -> None:
        consumer = Where.as_asgi(title="by hand")
        wrapped: dict[str, Any] = {
            "one": consumer,
            "two": AuthMiddlewareStack(consumer),
            "three": OriginValidator(consumer, ["*"]),
        }
        await wrapped[websocket.path_params["room"]](websocket)

    with LiveServer(app) as server:
        for room in ("one", "two", "three"):
            found = heard(server, f"/ws/{room}/")
            assert (found["kwargs"], found["initkwargs"]) == ({"room": room}, "by hand")


def test_type_checkers_take_it() -> None:
    """What mypy and pyright see in this file: routes of every kind, and hooks with names of one's own."""

    class Own(AsyncWebsocketConsumer):
        async def connect(self, room: str = "") -> None:
            await super().connect()

        async def receive(self, text_data: str) -> None:
            await super().receive(text_data=text_data)

        async def disconnect(self, close_code: int) -> None:
            await super().disconnect(close_code)

    class OwnJson(JsonWebsocketConsumer):
        def receive_json(self, content: dict[str, str]) -> None:
            self.send_json(content)

        def disconnect(self, close_code: int) -> None: ...

    app, starlette = FastAPI(), Starlette(routes=[WebSocketRoute("/one", Own.as_asgi())])
    app.router.add_websocket_route("/two", Own.as_asgi())
    APIRouter().add_websocket_route("/three", OwnJson.as_asgi())
    app.router.add_websocket_route("/five", AuthMiddlewareStack(AllowedHostsOriginValidator(Own.as_asgi())))
    app.router.add_websocket_route("/six", AllowedHostsOriginValidator(AuthMiddlewareStack(Own.as_asgi())))
    starlette.router.routes.append(WebSocketRoute("/four", OwnJson.as_asgi()))
    application: ASGIApp = Own.as_asgi()
    assert callable(application)


# as_asgi without its parentheses

PARENTHESES = r"Room\.as_asgi is a method that makes an application\. Write Room\.as_asgi\(\)"


def app_with(*patterns: Any) -> None:
    include_consumers(FastAPI(), patterns)


TAKE_APPLICATIONS: dict[str, Any] = {
    "path": lambda app: path("ws/", app),
    "re_path": lambda app: re_path("^ws/$", app),
    "URLRouter of WebSocketRoute": lambda app: URLRouter([WebSocketRoute("/ws", app)]),
    "URLRouter of Mount": lambda app: URLRouter([Mount("/ws", app)]),
    "ProtocolTypeRouter": lambda app: ProtocolTypeRouter({"websocket": app}),
    "ChannelNameRouter": lambda app: ChannelNameRouter({"jobs": app}),
    "include_consumers": lambda app: app_with(WebSocketRoute("/ws", app)),
    **{f"middleware {number}": wrap for number, wrap in enumerate(MIDDLEWARE)},
}


@pytest.mark.parametrize("where", TAKE_APPLICATIONS)
def test_faults_newcomer_09_as_asgi_without_parentheses(where: str) -> None:
    with pytest.raises(TypeError, match=PARENTHESES):
        TAKE_APPLICATIONS[where](Room.as_asgi)


def mounted(app: Any) -> Starlette:
    return Starlette(routes=[Mount("/ws", app)])


def routed(app: Any) -> Starlette:
    return Starlette(routes=[WebSocketRoute("/ws", app)])


@pytest.mark.parametrize("make", [mounted, routed])
async def test_faults_newcomer_09_what_the_server_logs(make: Any) -> None:
    app = make(Room.as_asgi)
    with pytest.raises(TypeError, match=PARENTHESES):
        async with lifespan(app):
            pass
    with recorded() as records, LiveServer(app) as server:
        assert status(server, "/ws/" if make is mounted else "/ws") == 500
    assert any(re.search(PARENTHESES, logging.Formatter().format(record)) for record in records.kept)


def test_faults_newcomer_09_fastapi_says_it_when_the_route_is_added() -> None:
    for add in (FastAPI().websocket("/ws"), lambda app: FastAPI().add_api_websocket_route("/ws", app)):
        with pytest.raises(TypeError, match=r"Write as_asgi\(\), with parentheses"):
            add(Room.as_asgi)
    assert list(inspect.signature(Room.as_asgi).parameters) == ["initkwargs"]


def _of_methods(*methods: str) -> Route:
    return Route("/ws/", Where.as_asgi(), methods=list(methods))


@pytest.mark.parametrize(
    ("routes", "named"),
    [
        ([path("ws/", Where.as_asgi()), path("ws/", Where.as_asgi())], ["ws/"]),
        ([re_path(r"^ws/$", Where.as_asgi()), re_path(r"^ws/$", Where.as_asgi(), name="other")], ["^ws/$"]),
        ([WebSocketRoute("/ws/{n:int}", Where.as_asgi()) for _ in range(3)], ["/ws/{n:int}"] * 2),
        ([path("<int:n>/", Where.as_asgi()), path("<slug:n>/", Where.as_asgi())], []),
        ([path("ws/", URLRouter([path(each, Where.as_asgi())])) for each in ("a/", "b/")], []),
        ([_of_methods("GET"), _of_methods("POST")], []),
        ([Mount("/ws", routes=[WebSocketRoute(each, Where.as_asgi())]) for each in ("/a", "/b")], []),
    ],
)
async def test_a_second_route_with_one_path_is_warned_of(routes: list[Any], named: list[str]) -> None:
    """Was: it never ran, and nothing said so."""
    with recorded() as records:
        URLRouter(routes)
    assert (
        re.findall("route '(.*)' never runs: one with the same path", "\n".join(records.messages())) == named
    )
    app = FastAPI()
    if any(isinstance(route, WebSocketRoute | Route | Mount) for route in routes):
        app.router.routes.extend(routes)
    else:
        with recorded() as again:
            include_consumers(app, routes)
        assert len(again.messages()) == len(named)
        named = []  # told once
    with recorded() as at_start:
        async with lifespan(app):
            pass
    assert re.findall("websocket route '(.*)' never runs", "\n".join(at_start.messages())) == named


def _without_routes_for(app: FastAPI, *paths: str) -> list[str]:
    with recorded() as records, LiveServer(app, lifespan="on") as server:
        assert [status(server, each) for each in paths] == [403] * len(paths)
    return [line for line in records.messages() if "no route matches" in line]


@pytest.mark.parametrize("started_by", ["include_consumers", "lifespan"])
def test_a_path_without_a_route_is_logged(started_by: str) -> None:
    """Was: 403, and nothing in the log, which a URLRouter has."""
    app = FastAPI(lifespan=lifespan if started_by == "lifespan" else None)

    @app.get("/page")
    async def page() -> str:
        return "page"

    app.router.routes.append(Mount("/api", routes=[WebSocketRoute("/in/{n:int}/", Where.as_asgi())]))
    included = APIRouter(prefix="/v1")
    included.add_api_websocket_route("/own", _endpoint)
    app.include_router(included)
    if started_by == "lifespan":
        app.router.add_websocket_route("/chat/{room}/", Where.as_asgi())
    else:
        include_consumers(app, [path("chat/<room>/", Where.as_asgi())])
    nothing, slash, inside = _without_routes_for(app, "/nothing%1b", "/chat/a", "/api/in/x/")
    chat = "/chat/{room}/" if started_by == "lifespan" else "/chat/<room>/"
    tried = f"Tried: '/api/in/{{n:int}}/', '/v1/own', '{chat}'."
    assert nothing.endswith(f"websocket '/nothing\\x1b' refused with 403: no route matches. {tried}")
    assert slash.endswith(f"{tried} There is a route for the path with a slash at its end.")
    assert inside.endswith("Tried: '/api/in/{n:int}/'.")


async def _endpoint(websocket: WebSocket) -> None:
    raise AssertionError("no client is routed here")


def test_a_default_of_the_applications_own_is_kept() -> None:
    async def own(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})

    app = FastAPI()
    app.router.default = own
    include_consumers(app, PATTERNS)
    assert _without_routes_for(app, "/nothing") == [] and app.router.default is own
