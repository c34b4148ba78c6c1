"""The page's socket where websockets are blocked, in Chromium: the tutorial, unchanged but for one tag."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.windows import Window, opened
from tests.resume.windows import TAG, Cut
from tests.support.browser import Browser
from tests.support.clients import Client
from tests.support.environments import Environment
from tests.support.holding import HoldingProxy
from tests.support.proxy import Proxy
from tests.support.servers import LiveServer, Server, served
from tests.support.tutorial import Tutorial
from tests.support.waiting import until

ROOM = "/ws/chat/lobby/"
WORKERS = ("uvicorn", "mysite.asgi:application", "--port", "{port}", "--workers", "2")


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


@pytest.mark.slow  # a socket that has worked is tried six times first
def test_F4_from_a_websocket_to_a_stream_in_mid_session(server: Server, chromium: Browser) -> None:
    with Proxy(server.port) as proxy, Client(server, ROOM) as other:
        with opened(chromium, f"http://127.0.0.1:{proxy.port}/chat/lobby/") as (window,):
            page = Cut(window, proxy, server)
            ready(window)
            window.run("[window.told = [], chatSocket.onresumed = ({ detail }) => told.push(detail)].length")
            chats(window, other, ["one", "two"])
            proxy.before = no_websockets
            proxy.cut()
            for number in range(20):
                say(other, f"meanwhile {number}")
            until(lambda: window.run("told.length"), "the page's socket is back", deadline_s=45)
            assert window.run("told") == [{"recovered": "all", "why": ""}]
            window.wait_text("chat-log", "meanwhile 19\n")
            chats(window, other, ["three", "four"])
            said = ["one", "two", *(f"meanwhile {number}" for number in range(20)), "three", "four"]
            assert window.text("chat-log") == "".join(f"{text}\n" for text in said)
            assert json.dumps(page.window.run("chatSocket._way")) == '"stream"'
