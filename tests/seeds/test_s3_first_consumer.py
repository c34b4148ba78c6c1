"""S3-12 to S3-20: the tutorial's first consumer, which is synchronous, and what it relies on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.patterns import path
from compat.routing import URLRouter
from tests.seeds.conftest import Run
from tests.support.clients import Client
from tests.support.servers import LiveServer, Server
from tests.support.waiting import until


def test_S3_12_websocket_consumer_imports(run: Run) -> None:
    code = (
        "from channels.generic.websocket import WebsocketConsumer\n"
        "import compat.generic.websocket\n"
        "print(WebsocketConsumer is compat.generic.websocket.WebsocketConsumer)"
    )
    assert run(code) == "True"


class Noted(WebsocketConsumer):
    """The tutorial's consumer, which notes each of its calls and the thread of it."""

    calls: list[tuple[Any, ...]] = []
    threads: set[threading.Thread] = set()

    def note(self, *call: Any) -> None:
        self.calls.append(call)
        self.threads.add(threading.current_thread())

    def connect(self) -> None:
        self.note("connect")
        self.accept()

    def disconnect(self, close_code: int) -> None:
        self.note("disconnect", close_code)

    def receive(self, text_data: str) -> None:
        self.note("receive", text_data)
        self.send(text_data=text_data)


@pytest.mark.parametrize("code", [1000, 4001])
def test_S3_13_sync_methods_are_called_on_fastapi(code: int) -> None:
    app = FastAPI()
    app.router.add_websocket_route("/ws/chat/{room_name}/", Noted.as_asgi())
    Noted.calls.clear()
    Noted.threads.clear()
    with LiveServer(app) as server:
        client = Client(server, "/ws/chat/lobby/")
        client.send("hello")
        assert client.receive() == "hello"
        assert Noted.calls == [("connect",), ("receive", "hello")]
        client.close(code)
        until(lambda: len(Noted.calls) == 3, "disconnect() has run")
    assert Noted.calls[2:] == [("disconnect", code)]
    names = {thread.name for thread in Noted.threads}
    assert "live-server" not in names and threading.main_thread() not in Noted.threads


def test_S3_14_accept_needs_no_await_in_a_sync_consumer(echo: Server) -> None:
    Client(echo, "/ws/chat/lobby/").close()


def test_S3_15_receive_with_text_data_alone_gets_text_frames(echo: Server) -> None:
    with Client(echo, "/ws/chat/lobby/") as client:
        client.send('{"message": "text"}')
        assert client.receive() == '{"message": "text"}'


def test_S3_16_send_needs_no_await_in_a_sync_consumer(echo: Server) -> None:
    with Client(echo, "/ws/chat/lobby/") as client:
        for number in range(20):
            client.send_json({"message": number})
        assert [client.receive_json()["message"] for _ in range(20)] == list(range(20))


def test_S3_17_echo_goes_to_its_sender(echo: Server) -> None:
    with Client(echo, "/ws/chat/lobby/") as client:
        client.send('{"message":"hello"}')
        assert client.receive_json() == {"message": "hello"}


def test_S3_18_a_second_tab_does_not_see_the_echo(echo: Server) -> None:
    with Client(echo, "/ws/chat/lobby/") as first, Client(echo, "/ws/chat/lobby/") as second:
        first.send_json({"message": "of the first"})
        assert first.receive_json() == {"message": "of the first"}
        second.send_json({"message": "of the second"})
        assert second.receive_json() == {"message": "of the second"}


class Blocking(WebsocketConsumer):
    """A handler that blocks its thread until another connection's handler has run."""

    released = threading.Event()

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "block":
            assert self.released.wait(30)
        else:
            self.released.set()
        self.send(text_data=text_data)


class AsyncEcho(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data)


@pytest.fixture(scope="module")
def own() -> Iterator[LiveServer]:
    """Consumers that the tutorial does not have."""
    routes = [path("blocking/", Blocking.as_asgi()), path("async/", AsyncEcho.as_asgi())]
    with LiveServer(URLRouter(routes)) as server:
        yield server


def test_S3_19_a_blocking_handler_delays_nobody_else(own: LiveServer) -> None:
    with Client(own, "/blocking/") as first, Client(own, "/blocking/") as second:
        first.send("block")
        with Client(own, "/async/") as third:
            third.send("the loop is free")
            assert third.receive() == "the loop is free"
        second.send("release")
        assert second.receive() == "release"
        assert first.receive() == "block"


def test_S3_20_async_consumers_too(own: LiveServer) -> None:
    with Client(own, "/async/") as client:
        client.send("hello")
        assert client.receive() == "hello"


def test_S3_20_the_same_import_gives_async_consumers(run: Run, project: Path) -> None:
    code = "from channels.generic.websocket import AsyncWebsocketConsumer as C; print(C.__module__, C._sync)"
    assert run(code) == "compat.generic.websocket False"
