"""The page's socket where websockets are blocked, in Chromium: the tutorial, unchanged but for one tag."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route, WebSocketRoute

from compat.client import files
from compat.fallback import Fallback
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.settings import override
from tests.e2e.windows import Window, opened
from tests.resume.windows import TAG
from tests.support.browser import Browser, complaints
from tests.support.clients import Client
from tests.support.environments import Environment
from tests.support.holding import HoldingProxy
from tests.support.proxy import Proxy
from tests.support.servers import LiveServer, Server, served, worker_options
from tests.support.tutorial import Tutorial
from tests.support.waiting import until

ROOM = "/ws/chat/lobby/"
WORKERS = ("uvicorn", "mysite.asgi:application", "--port", "{port}", *worker_options(2))


@pytest.fixture(scope="module")
def project(tutorial: Tutorial, redis_port: int) -> Path:
    """The tutorial with the tag in its room's page, over Redis."""
    folder = tutorial.project(layer="redis", redis_port=redis_port)
    page = folder / "chat" / "templates" / "chat" / "room.html"
    again = TAG.replace("data-install", 'data-install="reconnect"')
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("</head>", f"    {again}\n</head>"), encoding="utf-8")
    return folder


@pytest.fixture
def server(project: Path, bare: Environment, tmp_path: Path) -> Iterator[Server]:
    command = [bare.path("django-shim"), *WORKERS]
    with served(command, cwd=project, log=tmp_path / "log", env={"CHANNEL_FALLBACK": "1"}) as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


def no_websockets(data: bytes, to_server: bool) -> bytes | None:
    return None if to_server and b"upgrade: websocket" in data.lower() else data


def ready(window: Window) -> None:
    window.wait(lambda: window.run("chatSocket.readyState") == 1, "the page's socket is open")


def say(client: Client, text: str) -> None:
    client.send_json({"message": text})
    assert client.receive_json() == {"message": text}


def chats(window: Window, other: Client, texts: list[str]) -> None:
    """Both hear what each of them says, and the page in this order."""
    for number, text in enumerate(texts):
        if number % 2:
            window.type("chat-message-input", f"{text}\n")
            assert other.receive_json() == {"message": text}
        else:
            say(other, text)
        window.wait_text("chat-log", f"{text}\n")


def test_F1_the_tutorial_where_upgrades_are_refused(server: Server, chromium: Browser) -> None:
    with Proxy(server.port) as proxy, Client(server, ROOM) as other:
        proxy.before = no_websockets
        with opened(chromium, f"http://127.0.0.1:{proxy.port}/chat/lobby/") as (window,):
            ready(window)
            texts = [f"number {number}" for number in range(10)]
            chats(window, other, texts)
            assert window.text("chat-log") == "".join(f"{text}\n" for text in texts)


def test_F2_the_tutorial_where_responses_are_held_back(server: Server, chromium: Browser) -> None:
    app = HoldingProxy(server)
    with LiveServer(app) as proxy, Client(server, ROOM) as other:
        with opened(chromium, proxy.http("/chat/lobby/")) as (window,):
            ready(window)
            texts = [f"number {number}" for number in range(10)]
            chats(window, other, texts)
            assert window.text("chat-log") == "".join(f"{text}\n" for text in texts)
            assert app.asked.count("stream") == 1 and app.asked.count("poll") > 2


ELSEWHERE = """<!doctype html><title>Elsewhere</title><p id="heard"></p>
<script type="module">
  import {{ Socket }} from "/_channels/socket.mjs";
  const socket = new Socket("{url}");
  socket.onopen = () => socket.send("over two origins");
  socket.onmessage = ({{ data }}) => (document.getElementById("heard").textContent = data);
</script>"""


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data, bytes_data)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_page_of_another_origin_needs_cors(chromium: Browser, allowed: bool) -> None:
    """The recipe of the documentation: the middleware stands around ``Fallback``."""
    page = ""

    async def show(request: Request) -> HTMLResponse:
        return HTMLResponse(page)

    pages = Starlette(routes=[Route("/", show), Mount("/_channels", files)])
    app = Starlette(routes=[WebSocketRoute("/ws/", Echo.as_asgi())])
    with LiveServer(pages) as own, override(ALLOWED_HOSTS=["127.0.0.1"]):
        app.add_middleware(Fallback)
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[own.origin if allowed else "https://example.com"],
            allow_methods=["POST"],
            allow_headers=["Channels-Transport", "Channels-Protocols"],
            allow_credentials=True,
        )
        with LiveServer(app) as server, Proxy(server.port) as proxy:
            proxy.before = no_websockets
            page = ELSEWHERE.format(url=f"ws://127.0.0.1:{proxy.port}/ws/")
            with opened(chromium, own.http("/")) as (window,):
                if allowed:
                    window.wait_text("heard", "over two origins")
                else:
                    until(lambda: "CORS policy" in str(complaints(chromium, own.http("/"))), "it is refused")
                    assert window.text("heard") == ""


@pytest.mark.slow  # a socket that has worked is tried six times first
def test_F4_from_a_websocket_to_a_stream_in_mid_session(server: Server, chromium: Browser) -> None:
    with Proxy(server.port) as proxy, Client(server, ROOM) as other:
        with opened(chromium, f"http://127.0.0.1:{proxy.port}/chat/lobby/") as (window,):
            ready(window)
            asked: list[bytes] = []

            def requests_only(data: bytes, to_server: bool) -> bytes | None:
                asked.extend(re.findall(rb"channels-transport: *(\w+)", data.lower()))
                return no_websockets(data, to_server)

            window.run("[window.told = [], chatSocket.onresumed = ({ detail }) => told.push(detail)].length")
            chats(window, other, ["one", "two"])
            proxy.before = requests_only
            proxy.cut()
            for number in range(20):
                say(other, f"meanwhile {number}")
            until(lambda: window.run("told.length"), "the page's socket is back", deadline_s=45)
            assert window.run("told") == [{"recovered": "all", "why": ""}]
            window.wait_text("chat-log", "meanwhile 19\n")
            chats(window, other, ["three", "four"])
            said = ["one", "two", *(f"meanwhile {number}" for number in range(20)), "three", "four"]
            assert window.text("chat-log") == "".join(f"{text}\n" for text in said)
            assert b"stream" in asked and b"poll" not in asked
