"""The page's socket in Chromium: the rows J of the acceptance list."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resume.windows import TAG, behind, counting, counts, restarted, watching
from tests.support.browser import Browser
from tests.support.clients import Client
from tests.support.environments import Environment
from tests.support.processes import free_port
from tests.support.servers import Server, served
from tests.support.tutorial import Tutorial

APP = ("django-shim", "uvicorn", "tests.support.counted:application", "--port", "{port}")
ROOM = "/ws/chat/lobby/"


@pytest.fixture(scope="module")
def project(tutorial: Tutorial) -> Path:
    """The tutorial with the tag in its room's page."""
    folder = tutorial.project()
    page = folder / "chat" / "templates" / "chat" / "room.html"
    text = page.read_text(encoding="utf-8")
    assert text.count("</head>") == 1
    page.write_text(text.replace("</head>", f"    {TAG}\n</head>"), encoding="utf-8")
    pages = folder / "pages"
    pages.mkdir()
    (pages / "watching.html").write_text(watching(ROOM), encoding="utf-8")
    loop = "socket.onclose = () => setTimeout(connect, 100);"
    (pages / "loop.html").write_text(watching(ROOM, more=loop), encoding="utf-8")
    again = TAG.replace("data-install", 'data-install="reconnect"')
    (pages / "again.html").write_text(watching(ROOM, tag=again), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def env(project: Path) -> dict[str, str]:
    return counting("mysite.asgi:application", project / "pages")


@pytest.fixture
def command(bare: Environment) -> list[str]:
    return [bare.path(APP[0]), *APP[1:]]


@pytest.fixture
def server(project: Path, command: list[str], env: dict[str, str], tmp_path: Path) -> Iterator[Server]:
    with served(command, cwd=project, log=tmp_path / "log", env=env) as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


def say(client: Client, text: str) -> None:
    """Send to the room, and wait until it has arrived."""
    client.send_json({"message": text})
    assert client.receive_json() == {"message": text}


def message(text: str) -> str:
    return json.dumps({"message": text})


def test_J1_the_tutorial_with_one_tag_misses_nothing(server: Server, chromium: Browser) -> None:
    with behind(chromium, server, "/chat/lobby/") as page, Client(server, ROOM) as other:
        window = page.window
        window.wait(lambda: window.run("chatSocket.readyState") == 1, "the page's socket is open")
        say(other, "before")
        window.wait_text("chat-log", "before\n")
        for turn in range(3):
            page.cut()
            for number in range(100):
                say(other, f"{turn}: {number}")
            assert f"{turn}: 0" not in window.text("chat-log")
            page.back()
            window.wait_text("chat-log", f"{turn}: 99\n")
        said = ["before", *(f"{turn}: {number}" for turn in range(3) for number in range(100))]
        assert window.text("chat-log") == "".join(f"{text}\n" for text in said)
        window.type("chat-message-input", "after\n")
        assert other.receive_json() == {"message": "after"}
        window.wait_text("chat-log", "after\n")
        counted = counts(server)
        assert counted["consumers"] == 2, "connect() has run once for the page, and once for the other client"
        assert counted["resumable"]["resumed"] == 3 and counted["resumable"]["lost"] == {}


def test_J1_what_the_page_sends_meanwhile_arrives_once(server: Server, chromium: Browser) -> None:
    with behind(chromium, server, "/pages/watching.html") as page, Client(server, ROOM) as other:
        page.has("open")
        page.cut()
        page.has("offline")
        for number in range(20):
            page.window.run(f"socket.send(JSON.stringify({{message: 'mine {number}'}}))")
        page.back()
        texts = [f"mine {number}" for number in range(20)]
        assert [other.receive_json()["message"] for _ in texts] == texts
        heard = page.hears(lambda heard: len(heard) >= 20, "its own messages")
        assert [json.loads(frame)["message"] for frame in heard] == texts
        assert page.has("resumed")["detail"] == {"recovered": "all", "why": ""}
        assert [event["type"] for event in page.events()] == ["open", "offline", "resumed"]


@pytest.mark.parametrize("wake", ["window: online", "document: visibilitychange"])
def test_J2_a_dead_socket_is_known_when_the_computer_wakes(
    server: Server, chromium: Browser, wake: str
) -> None:
    where, _, event = wake.partition(": ")
    with behind(chromium, server, "/pages/watching.html") as page, Client(server, ROOM) as other:
        page.has("open")
        page.proxy.stall()
        say(other, "asleep")
        began = page.window.run(f"[performance.now(), {where}.dispatchEvent(new Event('{event}'))][0]")
        offline, resumed = page.has("offline"), page.has("resumed")
        # By a wait of 3 s, and what a busy machine needs; it takes 28 s without the wake.
        assert offline["at"] - began < 3000 + 11_500
        assert resumed["at"] - began < 3000 + 13_000
        assert resumed["detail"]["recovered"] == "all"
        assert page.hears(len, "what was sent while it slept") == [message("asleep")]
        assert counts(server)["consumers"] == 2


def test_J3_a_page_with_a_loop_of_its_own_has_one_socket(
    project: Path, command: list[str], env: dict[str, str], chromium: Browser, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    with (
        restarted(command, port, cwd=project, log=log, env=env) as server,
        behind(chromium, server, "/pages/loop.html") as page,
    ):
        page.has("open")
        for turn in range(3):
            page.cut()
            page.back()
            page.has("resumed", turn + 1)
        sockets = counts(server)["sockets"]
        assert (sockets["live"], sockets["most"], sockets["total"]) == (1, 1, 4)
        assert page.window.run("made") == 1 and not page.events("close")
        server.process.stop(signal.SIGKILL)
        with restarted(command, port, cwd=project, log=log, env=env) as second:
            page.window.run("dispatchEvent(new Event('online'))")
            page.has("open", 2)
            page.window.run(f"socket.send({message('again')!r})")
            page.hears(lambda heard: message("again") in heard, "its own message")
            sockets = counts(second)["sockets"]
            assert sockets["most"] == sockets["live"] == 1
            assert page.window.run("made") == 2 and len(page.events("close")) == 1


PLAIN = """
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route, WebSocketRoute
import compat.client
import pathlib


def page(request):
    return HTMLResponse(pathlib.Path(__file__).with_name(request.path_params["name"]).read_text())


async def echo(websocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


app = Starlette(
    routes=[
        Mount("/_channels", compat.client.files),
        Route("/pages/{name}", page),
        WebSocketRoute("/ws", echo),
    ]
)
"""


@pytest.fixture
def plain(bare: Environment, tmp_path: Path) -> Iterator[Server]:
    """Starlette, which has never heard of resuming, with the page's files."""
    (tmp_path / "plain.py").write_text(PLAIN, encoding="utf-8")
    tags = {"once": TAG, "again": TAG.replace("data-install", 'data-install="reconnect"')}
    for name, tag in tags.items():
        (tmp_path / f"{name}.html").write_text(watching("/ws", tag=tag), encoding="utf-8")
    command = [bare.path("uvicorn"), "plain:app", "--port", "{port}"]
    with served(command, cwd=tmp_path, log=tmp_path / "log") as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


FRAMES = ["one", "\x10{}", "\x10\x10", "", "ü" * 70_000]


def test_J4_without_resume_it_is_a_plain_socket(plain: Server, chromium: Browser) -> None:
    with behind(chromium, plain, "/pages/once.html") as page:
        page.has("open")
        for frame in FRAMES:
            page.window.run(f"socket.send({json.dumps(frame)})")
        assert page.hears(lambda heard: len(heard) >= len(FRAMES), "the frames") == FRAMES
        page.proxy.cut()
        page.has("close")
        assert page.window.run("[socket.readyState, made]") == [3, 1], "it stays closed"
        assert [event["type"] for event in page.events()] == ["open", "close"]


def test_J4_without_resume_it_connects_again(plain: Server, chromium: Browser) -> None:
    with behind(chromium, plain, "/pages/again.html") as page:
        page.has("open")
        page.window.run("socket.send('before')")
        page.hears(len, "the first frame")
        page.proxy.cut()
        assert page.has("resumed")["detail"] == {"recovered": "", "why": "plain"}
        for frame in FRAMES:
            page.window.run(f"socket.send({json.dumps(frame)})")
        assert page.hears(lambda heard: len(heard) > len(FRAMES), "the frames") == ["before", *FRAMES]
        assert [event["type"] for event in page.events()] == ["open", "offline", "close", "open", "resumed"]


@pytest.mark.parametrize("page_of", ["watching", "again"])
def test_J6_what_may_have_arrived_is_handed_over(
    page_of: str, project: Path, command: list[str], env: dict[str, str], chromium: Browser, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    with (
        restarted(command, port, cwd=project, log=log, env=env) as server,
        behind(chromium, server, f"/pages/{page_of}.html") as page,
    ):
        page.has("open")
        page.proxy.hold()
        unsure = [message(f"unsure {number}") for number in range(3)]
        for frame in unsure:
            page.window.run(f"socket.send({frame!r})")
        server.process.stop(signal.SIGKILL)
        page.proxy.refuse()
        page.proxy.cut()
        page.proxy.release()
        page.has("offline")
        page.window.run(f"socket.send({message('never sent')!r})")
        with restarted(command, port, cwd=project, log=log, env=env) as second:
            page.back()
            assert page.has("unsure")["detail"] == {"frames": unsure}
            if page_of == "again":
                assert page.has("resumed")["detail"]["recovered"] == ""
            else:
                page.has("close")
                page.window.run("connect()")
            page.hears(lambda heard: message("never sent") in heard, "what was never sent")
            page.window.run(f"socket.send({message('last')!r})")
            page.hears(lambda heard: message("last") in heard, "the last message")
            heard = [frame for frame in counts(second)["heard"] if not frame.startswith("\x10")]
            assert heard == [message("never sent"), message("last")], "nothing was repeated"
            assert len(page.events("unsure")) == 1
