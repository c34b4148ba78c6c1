"""Several routers in turn: each raises where its caller catches, and the last one refuses."""

from __future__ import annotations

import builtins
import contextlib
import linecache
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from compat.advice import callers
from compat.auth import AuthMiddlewareStack
from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.middleware import BaseMiddleware
from compat.patterns import Resolver404, path
from compat.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from compat.security.websocket import OriginValidator
from tests.support.apps import Middleware, call
from tests.support.clients import Client, Refused, get
from tests.support.logs import recorded
from tests.support.servers import LiveServer


class Named(AsyncJsonWebsocketConsumer):
    name = ""

    async def connect(self) -> None:
        await self.accept()
        await self.send_json(self.name)


async def page(request: Any) -> PlainTextResponse:
    return PlainTextResponse("page")


RELAY = URLRouter([path("ws/relay/", Named.as_asgi(name="relay"))])
CHAT = AuthMiddlewareStack(URLRouter([path("ws/chat/", Named.as_asgi(name="chat")), Route("/page", page)]))
ROUTERS = (RELAY, CHAT)
BESIDE = ProtocolTypeRouter({"websocket": RELAY}), ProtocolTypeRouter({"websocket": CHAT, "http": CHAT})

NO_ROUTE = "No route found for path "


class Switch:
    """The application of the one server of these tests: hands each connection to ``now``."""

    now: Any

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return await self.now(scope, receive, send)


switch = Switch()


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with LiveServer(switch) as server:
        yield server


@pytest.fixture(autouse=True)
def consumers_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def __init__(self: Named, name: str) -> None:
        self.name = name

    monkeypatch.setattr(Named, "__init__", __init__)


class Adapter:
    """Tries one after the other; the last error goes on."""

    def __init__(self, *applications: Any) -> None:
        self.applications = applications
        self.caught: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        for application in self.applications:
            try:
                return await application(scope, receive, send)
            except ValueError as error:
                self.caught.append(str(error))
                if application is self.applications[-1]:
                    raise


async def by_name(scope: Any, receive: Any, send: Any) -> Any:
    try:
        return await RELAY(scope, receive, send)
    except ValueError as error:
        if not str(error).startswith(NO_ROUTE):
            raise
    return await CHAT(scope, receive, send)


async def of_several(scope: Any, receive: Any, send: Any) -> Any:
    failures = (KeyError, builtins.ValueError)
    try:
        return await RELAY(scope, receive, send)
    except OSError:
        raise
    except failures:
        return await CHAT(scope, receive, send)


async def with_raise_at_its_end(scope: Any, receive: Any, send: Any) -> Any:
    try:
        return await RELAY(scope, receive, send)
    except builtins.ValueError as error:
        if str(error).startswith(NO_ROUTE):
            return await CHAT(scope, receive, send)
        raise


async def of_any_kind(scope: Any, receive: Any, send: Any) -> Any:
    try:
        await RELAY(scope, receive, send)
    except Exception:  # noqa: BLE001 - what this case is about
        await CHAT(scope, receive, send)


async def suppressed(scope: Any, receive: Any, send: Any) -> Any:
    with contextlib.suppress(ValueError):
        return await RELAY(scope, receive, send)
    await CHAT(scope, receive, send)


async def further_out(scope: Any, receive: Any, send: Any) -> Any:
    try:
        await middleware(scope, receive, send)
    except ValueError:
        await CHAT(scope, receive, send)


class Logging:
    """Middleware that catches nothing for good."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        try:
            with contextlib.suppress(KeyError):
                await self.app(scope, receive, send)
        except ValueError as error:
            logging.getLogger(__name__).debug("passed on: %s", error)
            raise
        except Exception as error:
            raise error
        finally:
            del scope


middleware = Logging(Middleware(AuthMiddlewareStack(RELAY)))


@pytest.mark.parametrize(
    "application",
    [
        ProtocolTypeRouter(dict.fromkeys(("http", "websocket"), Adapter(*ROUTERS))),
        ProtocolTypeRouter(dict.fromkeys(("http", "websocket"), Logging(Adapter(*ROUTERS)))),
        Logging(ProtocolTypeRouter(dict.fromkeys(("http", "websocket"), BaseMiddleware(Adapter(*ROUTERS))))),
        by_name,
        of_several,
        with_raise_at_its_end,
        of_any_kind,
        suppressed,
        further_out,
        Starlette(routes=[Mount("/", by_name)]),
    ],
    ids=lambda application: getattr(application, "__name__", type(application).__name__),
)
def test_faults_projects_01_the_next_router_is_tried(application: Any, server: LiveServer) -> None:
    switch.now = application
    with recorded() as log:
        for name in ("relay", "chat"):
            with Client(server, f"/ws/{name}/") as client:
                assert client.receive_json() == name
        assert get(server, "/page").text == "page"
        assert log.messages() == []
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                Client(server, "/ws/nope/")
            assert (refused.value.status, refused.value.body) == (404, "Not Found")
        assert get(server, "/nope").status_code == 404
    assert [record.exc_info for record in log.kept] == [None] * 3
    assert "websocket '/ws/nope/' refused with 404: no route matches" in log.messages()[0]


def test_faults_projects_01_the_error_is_channels_own(server: LiveServer) -> None:
    adapter = Adapter(*ROUTERS)
    switch.now = ProtocolTypeRouter({"websocket": adapter})
    with recorded(), pytest.raises(Refused):
        Client(server, "/ws/nope/")
    assert [text.split(". ")[0] for text in adapter.caught] == [f"{NO_ROUTE}'ws/nope/'"] * 2


def test_faults_projects_01_a_protocol_that_a_router_does_not_have(server: LiveServer) -> None:
    adapter = Adapter(*BESIDE)

    async def application(scope: Any, receive: Any, send: Any) -> Any:
        try:
            await BESIDE[0](scope, receive, send)
        except ValueError:
            await BESIDE[1](scope, receive, send)

    switch.now = application
    with recorded() as log:
        assert get(server, "/page").text == "page"
        with Client(server, "/ws/chat/") as client:
            assert client.receive_json() == "chat"
        assert log.messages() == []
        assert get(server, "/nope").status_code == 404
    switch.now = ProtocolTypeRouter({"http": adapter})
    assert get(server, "/page").text == "page"
    (caught,) = adapter.caught
    assert caught.startswith("No application configured for scope type 'http'")


async def passes_on(scope: Any, receive: Any, send: Any) -> Any:
    await RELAY(scope, receive, send)


async def catches_something_else(scope: Any, receive: Any, send: Any) -> Any:
    try:
        await RELAY(scope, receive, send)
    except (KeyError, UnicodeDecodeError):
        raise AssertionError from None


async def catches_elsewhere(scope: Any, receive: Any, send: Any) -> Any:
    try:
        names = scope["headers"]
    except ValueError:
        names = ()
    try:
        await RELAY({**scope, "headers": names}, receive, send)
    finally:
        with contextlib.suppress(ValueError):
            del names


@pytest.mark.parametrize(
    "application",
    [
        RELAY,
        AuthMiddlewareStack(RELAY),
        OriginValidator(RELAY, ["*"]),
        URLRouter([path("", RELAY), path("ws/", AuthMiddlewareStack(URLRouter([])))]),
        Logging(RELAY),
        Logging(ProtocolTypeRouter({"websocket": Logging(RELAY)})),
        passes_on,
        catches_something_else,
        catches_elsewhere,
        Starlette(routes=[Mount("/", RELAY)]),
        FastAPI(routes=[Mount("/", Logging(RELAY))]),
        ProtocolTypeRouter({"websocket": FastAPI(routes=[Mount("/ws", RELAY)])}),
    ],
    ids=lambda application: getattr(application, "__name__", type(application).__name__),
)
def test_faults_projects_01_a_path_that_no_caller_catches_is_refused(
    application: Any, server: LiveServer
) -> None:
    switch.now = application
    refused_cleanly(server)


def test_faults_projects_01_the_router_that_is_the_servers_application_refuses() -> None:
    with LiveServer(RELAY, lifespan="auto") as server:
        refused_cleanly(server)


def refused_cleanly(server: LiveServer) -> None:
    with recorded() as log, pytest.raises(Refused) as refused:
        Client(server, "/ws/nope/")
    assert (refused.value.status, refused.value.body) == (404, "Not Found")
    (line,) = log.kept
    assert line.exc_info is None and "'/ws/nope/' refused with 404" in line.getMessage()


@pytest.mark.parametrize("outer", [Starlette, FastAPI])
def test_faults_projects_01_a_request_inside_starlette_is_a_404(outer: Any, server: LiveServer) -> None:
    """Starlette answers 500 to every error of a request, wherever that is caught after it."""
    inner = outer(routes=[Mount("/in", URLRouter([Route("/page", page)]))])

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await inner(scope, receive, send)
        except ValueError:
            raise AssertionError from None

    for served in (inner, application, ProtocolTypeRouter({"http": inner})):
        switch.now = served
        with recorded() as log:
            assert get(server, "/in/page").text == "page"
            assert get(server, "/in/nope").status_code == 404
        assert [record.exc_info for record in log.kept] == [None]


def test_faults_projects_01_a_router_inside_a_starlette_app_inside_a_router(server: LiveServer) -> None:
    """Starlette answers 500 to an error of a request before the router outside could try its next route."""
    pages = URLRouter([Route("/page", page)])
    starlette = Starlette(routes=[Mount("/in", pages)])
    switch.now = URLRouter([Mount("/out", starlette), Mount("/bare", pages), Route("/bare/next", page)])
    with recorded() as log:
        for known in ("/out/in/page", "/bare/page", "/bare/next"):
            assert get(server, known).text == "page"
        assert log.messages() == []
        for unknown in ("/out/in/nope", "/out/nope", "/bare/nope", "/nope"):
            assert get(server, unknown).status_code == 404
    assert [record.exc_info for record in log.kept] == [None] * len(log.kept)


async def test_faults_projects_01_a_worker_gets_the_error() -> None:
    router = ChannelNameRouter({"known": Named.as_asgi()})
    for application in (router, ProtocolTypeRouter({"channel": router})):
        with pytest.raises(ValueError, match="No application configured for channel name 'unknown'"):
            await call(application, "", "channel", channel="unknown", asgi={})
    with pytest.raises(ValueError, match="No application configured for scope type 'channel'"):
        await call(ProtocolTypeRouter({}), "", "channel", asgi={})


@pytest.mark.parametrize(
    ("module", "error", "raises"),
    [
        ("uvicorn.protocols", "Exception", False),
        ("starlette.middleware", "BaseException", False),
        ("starlette.middleware", "ValueError", True),
        ("mysite.asgi", "Exception", True),
        ("__main__", "Exception", True),
    ],
)
async def test_faults_projects_01_a_safety_net_is_that_of_a_package_wherever_it_lies(
    tmp_path: Path, module: str, error: str, raises: bool
) -> None:
    """A server in a folder of its own, such as /opt/python, answers 500 to every error."""
    file = tmp_path / "net.py"
    file.write_text(
        "async def net(*connection):\n"
        " try: await RELAY(*connection)\n"
        f" except {error} as error: caught.append(error)\n"
    )
    caught: list[Any] = []
    names: dict[str, Any] = {"__name__": module, "RELAY": RELAY, "caught": caught}
    exec(compile(file.read_text(), str(file), "exec"), names)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await names["net"]({"type": "websocket", "path": "/nope/", "asgi": {}}, receive, send)
    assert (len(caught), sent) == ((1, []) if raises else (0, [{"type": "websocket.close"}]))


async def test_a_caller_whose_file_was_replaced_is_refused(tmp_path: Path) -> None:
    """Was: 500 and a TokenError, after a deploy beside the process, if its line is in a long string now."""
    file = tmp_path / "replaced.py"
    file.write_text("\n\nasync def outer(*connection):\n await RELAY(*connection)\n")
    names: dict[str, Any] = {"RELAY": RELAY}
    exec(compile(file.read_text(), str(file), "exec"), names)
    file.write_text('"""One\nof several lines\n"""\n')
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await names["outer"]({"type": "websocket", "path": "/nope/", "asgi": {}}, receive, send)
    assert sent == [{"type": "websocket.close"}]


def test_faults_projects_01_code_without_source_is_refused(server: LiveServer) -> None:
    names: dict[str, Any] = {"RELAY": RELAY}
    code = "async def application(*connection):\n try: await RELAY(*connection)\n except ValueError: pass\n"
    exec(compile(code, "<no file>", "exec"), names)
    switch.now = names["application"]
    refused_cleanly(server)


@pytest.mark.parametrize(
    ("kind", "inside"), [("websocket", {}), ("http", {}), ("http", {"path_remaining": "nowhere/"})]
)
async def test_the_callers_files_are_read_beside_the_loop(
    monkeypatch: pytest.MonkeyPatch, kind: str, inside: dict[str, str]
) -> None:
    """A slow disk held the loop for as long as it took to read them."""
    readers: list[threading.Thread] = []
    sent: list[Any] = []
    own = linecache.updatecache

    def updatecache(*arguments: Any) -> list[str]:
        readers.append(threading.current_thread())
        return own(*arguments)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    monkeypatch.setattr(callers, "_read", set())
    monkeypatch.setattr(linecache, "updatecache", updatecache)
    linecache.clearcache()
    callers._clauses.cache_clear()
    scope = {"type": kind, "path": "/nowhere/", "asgi": {"version": "3.0"}, "headers": [], **inside}
    with pytest.raises(Resolver404) if inside else contextlib.nullcontext():
        await URLRouter([])(scope, receive, send)
    refusal = {"websocket": ["websocket.close"], "http": ["http.response.start", "http.response.body"]}
    assert [message["type"] for message in sent] == ([] if inside else refusal[kind])
    assert readers and threading.main_thread() not in readers
