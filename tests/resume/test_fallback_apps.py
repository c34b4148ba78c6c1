"""The way in without websockets, around applications of other frameworks, and under load."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from starlette.routing import WebSocketRoute

from compat.exceptions import ImproperlyConfigured
from compat.fallback import Fallback, fallback_enabled, posting, stream
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.resume import Resumable
from compat.settings import override
from tests.support.fallback import Posting, Refusal
from tests.support.footprint import resident
from tests.support.layers import unique_prefix
from tests.support.resuming import Closed, Resuming, end_links
from tests.support.servers import LiveServer
from tests.support.waiting import until_async

HALF_OPEN = 1_000


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data, bytes_data)


class Once(Echo):
    resume_seconds = 0


async def plain(scope: Any, receive: Any, send: Any) -> None:
    websocket = WebSocket(scope, receive, send)
    await websocket.accept(headers=[(b"x-told", b"once")])
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())


async def not_resumable(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive_text()


running: set[str] = set()


@contextmanager
def counted(path: str) -> Iterator[None]:
    running.add(path)
    try:
        yield
    finally:
        running.discard(path)


async def pushes(websocket: WebSocket) -> None:
    await websocket.accept()
    with counted("pushes"):
        while True:
            await websocket.send_text("tick")
            await asyncio.sleep(0.01)


async def waits(websocket: WebSocket) -> None:
    await websocket.accept()
    with counted("waits"):
        await asyncio.Event().wait()


answered: list[str] = []


async def answers(websocket: WebSocket) -> None:
    try:
        await websocket.accept()
    finally:
        answered.append("")
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


class Undecided:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with counted("undecided"):
            while (await receive())["type"] != "websocket.disconnect":
                pass


async def fails(websocket: WebSocket) -> None:
    raise LookupError("as it was told")


class Room(Echo):
    async def connect(self) -> None:
        await self.channel_layer.group_add("chat_x", self.channel_name)
        await self.accept()


RULE = {"key": lambda scope: scope["query_string"].decode(), "public": True}
LAYERS = {
    "default": {
        "BACKEND": "compat.layers.InMemoryChannelLayer",
        "CONFIG": {"presence": {"chat_*": RULE}},
    }
}


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    app = FastAPI(
        routes=[
            WebSocketRoute("/ws/consumer", Echo.as_asgi()),
            WebSocketRoute("/ws/room", Room.as_asgi()),
            WebSocketRoute("/ws/once", Once.as_asgi()),
            WebSocketRoute("/ws/resumable", Resumable(plain)),
            WebSocketRoute("/ws/answers", Resumable(answers)),
            WebSocketRoute("/ws/plain", not_resumable),
            WebSocketRoute("/ws/fails", fails),
            WebSocketRoute("/ws/pushes", pushes),
            WebSocketRoute("/ws/waits", waits),
            WebSocketRoute("/ws/undecided", Undecided()),
        ]
    )

    @app.post("/ws/consumer")
    async def page() -> str:
        return "a page"

    app.add_middleware(Fallback)
    with override(ALLOWED_HOSTS=["127.0.0.1"], CHANNEL_LAYERS=LAYERS), LiveServer(app) as running:
        yield running


@pytest.mark.parametrize(("path", "answer"), [("/ws/consumer", "a"), ("/ws/resumable", "A")])
async def test_as_middleware_of_fastapi(server: LiveServer, path: str, answer: str) -> None:
    async with Posting(server, path) as one:
        await (await one.ask()).hello()
        await one.post("a")
        assert await one.frame() == answer


@pytest.mark.parametrize("path", ["/ws/plain", "/ws/once"])
@pytest.mark.parametrize("transport", ["stream", "send"])
async def test_what_is_not_resumable_says_so(server: LiveServer, path: str, transport: str) -> None:
    async with Posting(server, path) as one:
        with pytest.raises(Refusal, match=r"compat\.resume\.Resumable") as refusal:
            await (one.ask() if transport == "stream" else one.post("a"))
        assert refusal.value.status == 426


@pytest.mark.parametrize("transport", ["stream", "send"])
async def test_an_application_that_fails(
    server: LiveServer, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Posting(server, "/ws/fails") as one:
        with pytest.raises(Refusal) as refusal:
            await (one.ask() if transport == "stream" else one.post("a"))
        assert refusal.value.status == 500
    assert "as it was told" in caplog.text


async def test_a_path_without_a_websocket(server: LiveServer) -> None:
    async with Posting(server, "/nowhere") as one:
        with pytest.raises(Refusal) as refusal:
            await one.ask()
        assert refusal.value.status in (403, 404)


async def test_other_requests_are_not_touched(server: LiveServer) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as http:
        assert (await http.post(server.http("/ws/consumer"))).json() == "a page"
        named = {"Channels-Transport": "stream"}
        assert (await http.get(server.http("/docs"), headers=named)).status_code == 200


@pytest.mark.slow  # who leaves is shown for five seconds more
async def test_who_is_here_is_shown_over_many_polls(server: LiveServer) -> None:
    """The page asks once: between two polls nothing that it watches is forgotten, or missed."""

    def people() -> list[Any]:
        kinds = ("people", "joins", "leaves")
        told = [one for one in ada.controls if one["type"] == "presence"]
        return [[sorted(one[kind]) for kind in kinds if one.get(kind)] for one in told]

    async def until(expected: list[Any]) -> None:
        while people() != expected:
            await ada.ask("poll", only=True)
            await ada.rest()
            assert ada.end == "again"

    async with Posting(server, "/ws/room?ada") as ada, Posting(server, "/ws/room?bob") as bob:
        await (await ada.ask("poll")).rest()
        await ada.post({"type": "presence", "group": "chat_x"})
        await until([[["ada"]]])
        for turn in range(1, 4):
            await (await bob.ask()).hello()
            await until([[["ada"]], *[[["bob"]], [["bob"]]] * (turn - 1), [["bob"]]])
            await bob.post({"type": "bye"})
            await until([[["ada"]], *[[["bob"]], [["bob"]]] * turn])
            bob.ticket = ""


async def test_a_websocket_that_pauses(server: LiveServer) -> None:
    """It is closed behind what was sent to it, and goes on with the next one."""
    one = await Resuming(server, "/ws/consumer").open()
    await one.send("1")
    assert await one.receive() == "1"
    await one.say("pause")
    with pytest.raises(Closed) as closed:
        await one.receive()
    assert closed.value.code == 1012
    assert await one.back() == "all"
    await one.send("2")
    assert await one.receive() == "2"
    await end_links()


@pytest.mark.parametrize("path", ["pushes", "waits"])
async def test_a_post_keeps_no_application_that_is_not_resumable(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Was: it ran for ever, for a client that has never had a socket, and that no limit counts."""
    monkeypatch.setattr(posting, "END_S", 0.2)
    async with Posting(server, f"/ws/{path}") as one:
        with pytest.raises(Refusal, match=r"compat\.resume\.Resumable") as refusal:
            await one.post()
        assert refusal.value.status == 426
    assert not running


@pytest.mark.parametrize("path", ["pushes", "waits", "undecided"])
async def test_a_client_that_posts_and_leaves(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(posting, "END_S", 0.2)
    for _ in range(10):
        _, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(
            (
                f"POST /ws/{path} HTTP/1.1\r\nHost: {server.host}\r\nOrigin: {server.origin}\r\n"
                "Channels-Transport: send\r\nChannels-Protocols: channels.resume.v1\r\n"
                "Content-Length: 2\r\n\r\n[]"
            ).encode()
        )
        await writer.drain()
        await until_async(lambda: path in running or path != "undecided", "it has begun")
        writer.transport.abort()
        await until_async(lambda: not running, "it has ended")


async def half_open(server: LiveServer) -> asyncio.StreamWriter:
    """A client that asks for a stream, and neither reads nor leaves."""
    _, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(
        (
            f"POST /ws/consumer HTTP/1.1\r\nHost: {server.host}\r\nOrigin: {server.origin}\r\n"
            "Channels-Transport: stream\r\nChannels-Protocols: channels.resume.v1\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()
    )
    await writer.drain()
    return writer


async def asks_and_leaves(server: LiveServer, path: str, transport: str, ticket: str = "") -> None:
    """A client that does not wait for the answer to a request."""
    _, writer = await asyncio.open_connection(server.host, server.port)
    offer = f", channels.ticket.{ticket}.0" if ticket else ""
    writer.write(
        (
            f"POST {path} HTTP/1.1\r\nHost: {server.host}\r\nOrigin: {server.origin}\r\n"
            f"Channels-Transport: {transport}\r\nChannels-Protocols: channels.resume.v1{offer}\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()
    )
    await writer.drain()
    writer.transport.abort()


@pytest.mark.parametrize("transport", ["stream", "poll"])
async def test_a_client_that_leaves_early_is_no_failure(
    server: LiveServer, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Was: most of these were logged as applications that had failed, with a traceback."""
    for _ in range(20):
        answered.clear()
        await asks_and_leaves(server, "/ws/answers", transport)
        await until_async(lambda: answered, "its endpoint has answered")
    async with Posting(server, "/ws/answers") as one:  # by then it is logged
        await (await one.ask()).hello()
    assert not caplog.records


async def test_a_client_that_leaves_early_on_another_worker_is_no_failure(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"hosts": [redis_url], "prefix": unique_prefix()}
    layers = {"default": {"BACKEND": "compat.layers.redis.core.RedisChannelLayer", "CONFIG": config}}
    app = Fallback(Echo.as_asgi())
    with (
        override(ALLOWED_HOSTS=["127.0.0.1"], CHANNEL_LAYERS=layers),
        LiveServer(app) as home,
        LiveServer(app) as other,
    ):
        async with Posting(home, "/ws/consumer") as one:
            await (await one.ask()).hello()
            await one.leave()
            for _ in range(30):
                await asks_and_leaves(other, "/ws/consumer", "poll", one.ticket)
            state = other.uvicorn.server_state
            await until_async(lambda: not state.connections and not state.tasks, "they have left")
            await (await one.to(other).ask("poll")).hello()
            assert one.controls[-1]["recovered"] == "all"
    assert not caplog.records


async def half_a_post(server: LiveServer, ticket: str) -> asyncio.StreamWriter:
    """A client that begins to post, and sends nothing of the body."""
    _, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(
        (
            f"POST /ws/consumer HTTP/1.1\r\nHost: {server.host}\r\nOrigin: {server.origin}\r\n"
            "Channels-Transport: send\r\nContent-Length: 1000000\r\n"
            f"Channels-Protocols: channels.resume.v1, channels.ticket.{ticket}.0\r\n\r\n"
        ).encode()
    )
    await writer.drain()
    return writer


async def answer_to(server: LiveServer, transport: str, *headers: str, body: str = "") -> str:
    """The status of the answer to a request of which no more than this comes."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    lines = (
        "POST /nowhere HTTP/1.1",
        f"Host: {server.host}",
        f"Channels-Transport: {transport}",
        "Channels-Protocols: channels.resume.v1",
        *headers,
    )
    writer.write(("\r\n".join(lines) + f"\r\n\r\n{body}").encode())
    try:
        return (await asyncio.wait_for(reader.readline(), 30)).decode().split()[1]
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("transport", ["stream", "poll"])
@pytest.mark.parametrize("length", ["1", "007", "1000000"])
async def test_a_body_that_is_announced_is_not_waited_for(
    server: LiveServer, transport: str, length: str
) -> None:
    """Was: the request was held for ever, from anybody, and kept the server from stopping."""
    assert await answer_to(server, transport, f"Content-Length: {length}") == "400"


@pytest.mark.parametrize("transport", ["stream", "poll"])
async def test_a_request_in_chunks_has_to_end(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    chunks = "Transfer-Encoding: chunked"
    assert await answer_to(server, transport, chunks, body="0\r\n\r\n") == "403"
    assert await answer_to(server, transport, chunks, body="1\r\nx\r\n") == "400"
    monkeypatch.setattr(stream, "EMPTY_S", 0.2)
    assert await answer_to(server, transport, chunks) == "408"


@pytest.mark.slow
async def test_a_thousand_that_do_nothing_disturb_nobody(server: LiveServer) -> None:
    async with Posting(server, "/ws/consumer") as one:
        await (await one.ask()).hello()
        before = resident()
        idle = [await half_open(server) for _ in range(HALF_OPEN)]
        idle += [await half_a_post(server, one.ticket) for _ in range(HALF_OPEN)]
        for number in range(20):
            await one.post(f"{number}")
            assert await one.frame() == f"{number}"
        assert resident() - before < 2 * HALF_OPEN * 100 * 1024
        for writer in idle:
            writer.transport.abort()
        open_now = server.uvicorn.server_state.connections
        await until_async(lambda: len(open_now) <= 2, "the others have left")
        await one.post("last")
        assert await one.frame() == "last"


@pytest.mark.parametrize(("word", "on"), [("1", True), ("true", True), ("off", False), ("0", False)])
def test_the_environment_goes_before_the_setting(
    monkeypatch: pytest.MonkeyPatch, word: str, on: bool
) -> None:
    with override(CHANNEL_FALLBACK=not on):
        assert fallback_enabled() is not on
        monkeypatch.setenv("CHANNEL_FALLBACK", word)
        assert fallback_enabled() is on


@pytest.mark.parametrize("value", ["perhaps", 2, None])
def test_a_setting_that_is_none(value: Any) -> None:
    with override(CHANNEL_FALLBACK=value), pytest.raises(ImproperlyConfigured, match="True or False"):
        fallback_enabled()
