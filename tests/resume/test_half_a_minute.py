"""Half a minute without a network, under traffic: the seeds' applications and the examples, with the tag.

Nothing is missing, nothing comes twice, and ``connect()`` has run once.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.examples.conftest import EXAMPLES, Person
from tests.resume.windows import TAG, Cut, behind, counting, counts, watching
from tests.support.browser import Browser
from tests.support.clients import Client
from tests.support.environments import environment
from tests.support.seed_app import SeedApp
from tests.support.servers import Server, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

AWAY_S = 30.0
EVERY_S = 0.1
COUNTED = "tests.support.counted:application"


def half_a_minute(page: Cut, say: Callable[[int], None]) -> int:
    """Cut the network for 30 s, and call ``say(number)`` ten times a second; return how often."""
    page.cut()
    end, pause, number = time.monotonic() + AWAY_S, threading.Event(), 0
    while time.monotonic() < end:
        say(number)
        number += 1
        pause.wait(EVERY_S)
    page.back()
    return number


def resumed_once(server: Server) -> None:
    """The page's consumer and that of the other client are the only ones that were ever made."""
    counted = counts(server)
    assert counted["consumers"] == 2
    assert counted["resumable"]["resumed"] == 1 and counted["resumable"]["lost"] == {}


# The applications of the seeds


def room_chat(client: Client, number: int) -> Any:
    client.send_json({"action": "room_chat", "payload": {"message": str(number)}})
    return client.receive_json()


def says(action: str, key: str) -> Callable[[Client, int], Any]:
    def say(client: Client, number: int) -> Any:
        client.send_json({"action": action, "payload": {key: str(number)}})
        return client.receive_json()

    return say


STREAMS = {
    "S0 room": ("room/lobby", room_chat),
    "S1 chat": ("chat", says("chat", "message")),
    "S1 reliable": ("reliable", says("reliable_chat", "message")),
    "S1 notifications": ("notifications", says("notification", "message")),
    "S1 analytics": ("analytics", says("analytics", "event")),
}


@pytest.fixture
def seeds(tmp_path: Path, redis_url: str) -> Iterator[Server]:
    """The application of the typed seeds, and a page for each of its sockets."""
    app = SeedApp(tmp_path, redis_url)
    for name, (path, _) in STREAMS.items():
        page = tmp_path / f"{name.replace(' ', '-')}.html"
        page.write_text(watching(f"/ws/{path}"), encoding="utf-8")
    env = {**app.env, **counting("src.main:app", tmp_path)}
    command = [environment("bare").path("uvicorn"), COUNTED, "--port", "{port}"]
    with served(command, cwd=tmp_path, log=tmp_path / "log", env=env) as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


@pytest.mark.parametrize("name", STREAMS)
def test_the_seeds(name: str, seeds: Server, chromium: Browser) -> None:
    path, say = STREAMS[name]
    with behind(chromium, seeds, f"/pages/{name.replace(' ', '-')}.html") as page:
        page.has("open")
        with Client(seeds, f"/ws/{path}") as other:
            other.send_json({"action": "ping"})
            while other.receive_json()["action"] != "pong":  # a greeting comes first
                pass
            page.window.run("socket.send(JSON.stringify({action: 'ping'}))")
            greetings = len(page.hears(lambda heard: "pong" in "".join(heard), "the pong"))
            answers: list[Any] = []
            count = half_a_minute(page, lambda number: answers.append(say(other, number)))
            heard = page.hears(lambda heard: len(heard) >= greetings + count, "all messages")
            assert [json.loads(frame) for frame in heard[greetings:]] == answers
            assert page.has("resumed")["detail"]["recovered"] == "all"
            resumed_once(seeds)


# The examples


KINDS = {
    "django_port without Django": (
        "django_port",
        "bare",
        ("django-shim", "uvicorn"),
        "chatsite.asgi:application",
    ),
    "django_port with Django": (
        "django_port",
        "django",
        ("django-shim", "uvicorn"),
        "chatsite.asgi:application",
    ),
    "fastapi_port": ("fastapi_port", "bare", ("uvicorn",), "main:app"),
}


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    folder, env, (first, *command), app = KINDS[request.param]
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "room.html").write_text(watching("/ws/rooms/kitchen/?name=Ada", tag=TAG), encoding="utf-8")
    full = [environment(env).path(first), *command, COUNTED, "--port", "{port}"]
    with served(full, cwd=EXAMPLES / folder, log=tmp_path / "log", env=counting(app, pages)) as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


@pytest.mark.parametrize("example", KINDS, indirect=True)
def test_the_examples(example: Server, chromium: Browser) -> None:
    with behind(chromium, example, "/pages/room.html") as page:
        before = len(page.hears(lambda heard: '"welcome"' in "".join(heard), "the welcome"))
        with Person(example, "kitchen", "Grace") as grace:

            def say(number: int) -> None:
                grace.says(str(number))
                assert grace.hears() == ("said", "Grace", str(number))

            count = half_a_minute(page, say)
            heard = page.hears(lambda heard: len(heard) >= before + count, "all messages")
            assert [json.loads(frame)["text"] for frame in heard[before:]] == [str(n) for n in range(count)]
            assert page.has("resumed")["detail"]["recovered"] == "all"
            resumed_once(example)
