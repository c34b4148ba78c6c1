"""Routers behind a real server: what nobody takes is refused cleanly, with one line in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.patterns import path, re_path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.settings import override
from tests.support.apps import App, Middleware
from tests.support.clients import Client, Refused, get
from tests.support.logs import Records, recorded
from tests.support.servers import LiveServer


class Where(AsyncJsonWebsocketConsumer):
    """Tells its client what it found in the scope."""

    async def connect(self) -> None:
        await self.accept()
        names = ("url_route", "path", "root_path", "path_params", "path_remaining")
        await self.send_json({name: self.scope.get(name) for name in names})


PATTERNS = [
    re_path(r"ws/chat/(?P<room>\w+)/$", Where.as_asgi()),
    path("ws/inner/<int:n>/", URLRouter([path("<slug:s>/", Where.as_asgi())])),
]


async def page(request: Any) -> PlainTextResponse:
    return PlainTextResponse(f"page of {request.url.path}")


@pytest.fixture(scope="module", params=["websockets-sansio", "wsproto"])
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    application = ProtocolTypeRouter(
        {"http": URLRouter([Route("/page", page)]), "websocket": Middleware(URLRouter(PATTERNS))}
    )
    with LiveServer(application, ws=request.param) as server:
        yield server


@pytest.fixture
def log() -> Iterator[Records]:
    with recorded() as records:
        yield records


def refused(server: LiveServer, path: str) -> Refused:
    with pytest.raises(Refused) as caught:
        Client(server, path)
    return caught.value


def test_paths_that_are_served(server: LiveServer, log: Records) -> None:
    for room in ("lobby", "café", "x" * 200, "日本"):
        with Client(server, f"/ws/chat/{quote(room)}/") as client:
            found = client.receive_json()
        assert found["url_route"] == {"args": [], "kwargs": {"room": room}}
        assert found["path_params"] == {"room": room}
        assert found["path"] == f"/ws/chat/{room}/"
    with Client(server, "/ws/inner/7/a-b/") as client:
        assert client.receive_json()["url_route"]["kwargs"] == {"n": 7, "s": "a-b"}
    assert get(server, "/page").text == "page of /page"
    assert not log.kept


@pytest.mark.parametrize("text", ["/nope/", "/", "/ws/chat/a-b/", "/ws/inner/7/é/"])
def test_a_websocket_that_nobody_serves(server: LiveServer, log: Records, text: str) -> None:
    answer = refused(server, quote(text))
    assert (answer.status, answer.body) == (404, "Not Found")
    [line] = log.messages()
    assert line == (
        f"compat.routing WARNING websocket {text!r} refused with 404: no route matches. "
        r"Tried: 'ws/chat/(?P<room>\\w+)/$', 'ws/inner/<int:n>/"
        + ("<slug:s>/'." if "inner" in text else "'.")
    )
    with Client(server, "/ws/chat/lobby/"):
        pass  # and everybody else goes on


def test_the_line_says_when_only_the_last_slash_is_missing(server: LiveServer, log: Records) -> None:
    assert refused(server, "/ws/chat/lobby").status == 404
    [line] = log.messages()
    assert line.endswith("There is a route for the path with a slash at its end.")


def test_what_a_client_sends_cannot_forge_log_lines(server: LiveServer, log: Records) -> None:
    refused(server, "/x%0AERROR%20all%20is%20lost")
    refused(server, "/" + "x" * 3000)
    forged, endless = log.messages()
    assert r"'/x\nERROR all is lost'" in forged
    assert len(endless) < 500


def test_a_page_that_nobody_serves(server: LiveServer, log: Records) -> None:
    response = get(server, "/nope")
    assert (response.status_code, response.text) == (404, "Not Found")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert log.messages() == [
        "compat.routing WARNING http '/nope' refused with 404: no route matches. Tried: '/page'."
    ]


def test_a_protocol_that_nobody_serves(log: Records) -> None:
    with LiveServer(ProtocolTypeRouter({"websocket": URLRouter(PATTERNS)})) as server:
        assert get(server, "/page").status_code == 404
    with LiveServer(ProtocolTypeRouter({"http": App()})) as server:
        assert refused(server, "/ws/").status == 404
    assert log.messages() == [
        "compat.routing WARNING http '/page' refused with 404: No application configured for scope type "
        "'http': the ProtocolTypeRouter has 'websocket'",
        "compat.routing WARNING websocket '/ws/' refused with 404: No application configured for scope type "
        "'websocket': the ProtocolTypeRouter has 'http'",
    ]


def test_a_root_path_of_the_server(log: Records) -> None:
    with LiveServer(URLRouter(PATTERNS), root_path="/pre") as server:
        with Client(server, "/ws/chat/lobby/") as client:  # uvicorn puts the root path in front
            found = client.receive_json()
        assert (found["path"], found["root_path"]) == ("/pre/ws/chat/lobby/", "/pre")
        assert found["url_route"]["kwargs"] == {"room": "lobby"}
    assert not log.kept


# A server without the extension for HTTP answers, as daphne is: the protocol itself


async def handshake(app: Any, path: str, first: str = "websocket.connect") -> list[Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": first, "code": 1006}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "websocket", "path": path, "asgi": {}, "extensions": None}, receive, send)
    return sent


async def test_without_the_extension_the_handshake_is_closed(log: Records) -> None:
    assert await handshake(URLRouter(PATTERNS), "/nope/") == [{"type": "websocket.close"}]
    assert "'/nope/' refused with 403" in log.messages()[0]


async def test_a_client_that_has_left_is_not_answered() -> None:
    assert await handshake(URLRouter(PATTERNS), "/nope/", "websocket.disconnect") == []


async def test_a_root_path_that_does_not_fit_is_refused(log: Records) -> None:
    app = URLRouter(PATTERNS)

    async def at_root(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": "/ws/ch"}, receive, send)

    assert await handshake(at_root, "/ws/chat/lobby/") == [{"type": "websocket.close"}]
    assert "does not begin with root_path '/ws/ch'" in log.messages()[0]


# Lifespan


@pytest.mark.parametrize(
    "entry, said",
    [
        ({"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": "localhost"}}, "hosts"),
        ({"BACKEND": "compat.layers.InMemoryChannelLayer", "CONFIG": {"capcity": 5}}, "capcity"),
        ({"BACKEND": "nowhere.Layer"}, "nowhere"),
    ],
)
async def test_a_layer_that_is_set_wrongly_ends_the_server_at_start(entry: dict[str, Any], said: str) -> None:
    events = iter(({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}))
    answers: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(events)

    async def send(message: Any) -> None:
        answers.append(message)

    application = ProtocolTypeRouter({"websocket": URLRouter(PATTERNS)})
    with override(CHANNEL_LAYERS={"rooms": entry}):
        await application({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    (answer,) = answers
    assert answer["type"] == "lifespan.startup.failed"
    assert (
        answer["message"].startswith("CHANNEL_LAYERS['rooms'] cannot be created: ")
        and said in answer["message"]
    )


@pytest.mark.parametrize("lifespan", ["auto", "on"])
def test_lifespan_is_answered_without_noise(log: Records, lifespan: str) -> None:
    application = ProtocolTypeRouter(
        {"http": URLRouter([Route("/page", page)]), "websocket": URLRouter(PATTERNS)}
    )
    with LiveServer(application, lifespan=lifespan) as server:
        assert get(server, "/page").status_code == 200
    assert not server.uvicorn.lifespan.should_exit
    assert not log.kept


def fastapi_app(journal: list[str]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        journal.append("started")
        yield {"from": "lifespan"}
        journal.append("stopped")

    app = FastAPI(lifespan=lifespan)

    @app.get("/state")
    async def state() -> list[str]:
        return journal

    return app


@pytest.mark.parametrize("wrap", [lambda app: app, lambda app: Middleware(Middleware(app, "app"))])
def test_a_fastapi_apps_lifespan_runs_under_a_protocol_router(wrap: Any, log: Records) -> None:
    """So that its start-up code is not lost; the middleware around it never sees the lifespan scope."""
    journal: list[str] = []
    app = fastapi_app(journal)
    application = ProtocolTypeRouter({"http": wrap(app), "websocket": wrap(app)})
    with LiveServer(application, lifespan="on") as server:
        assert get(server, "/state").json() == ["started"]
    assert journal == ["started", "stopped"]
    assert not log.kept


def test_of_two_lifespans_the_http_applications_runs_and_a_line_says_so(log: Records) -> None:
    journal: list[str] = []
    other: list[str] = []
    application = ProtocolTypeRouter({"websocket": fastapi_app(other), "http": fastapi_app(journal)})
    with LiveServer(application, lifespan="on"):
        pass
    assert (journal, other) == (["started", "stopped"], [])
    [line] = log.messages()
    assert "only the http application's lifespan runs" in line


def test_a_lifespan_application_of_ones_own_comes_first(log: Records) -> None:
    journal: list[str] = []
    app = fastapi_app(journal)
    application = ProtocolTypeRouter({"http": App(), "lifespan": app})
    with LiveServer(application, lifespan="on"):
        assert journal == ["started"]
    assert not log.kept
