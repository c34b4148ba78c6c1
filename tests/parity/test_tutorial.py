"""The tutorial itself on real Channels and on us: the same pages, frames and refusals (S3-61)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.parity.differences import check, compare
from tests.parity.recorder import Recorder
from tests.support.clients import get
from tests.support.environments import Environment, environment
from tests.support.last_use import last_uses
from tests.support.servers import Server, served
from tests.support.tutorial import Tutorial

UVICORN = ("uvicorn", "mysite.asgi:application", "--port", "{port}")
HELLO = {"message": "hello"}
HEADERS = ("x-frame-options", "x-content-type-options", "referrer-policy", "cross-origin-opener-policy")


def pages(server: Server) -> list[str]:
    """Status, type and text of the tutorial's pages."""
    recorder = Recorder(server)
    for path in ("/chat/", "/chat/lobby/", "/chat/caf%C3%A9/", "/chat/%3Cb%3E%26%27%22/", "/chat/a%20b/"):
        answer = get(server, path)
        recorder.note("page", f"{answer.status_code} {answer.headers['content-type']} {answer.text}")
    for path in ("/chat/lobby", "/chat", "/nobody/"):
        answer = get(server, path)
        recorder.note("page", f"{answer.status_code} {answer.headers.get('location', '')}")
    headers = get(server, "/chat/").headers
    for name in HEADERS:
        recorder.note("page", f"{name}: {headers.get(name)}")
    return recorder.end()


def conversation(server: Server, step: str) -> list[str]:
    """Two in a room and one in another; then what is refused or fails."""
    r = Recorder(server)
    for who, room in (("a", "lobby"), ("b", "lobby"), ("c", "elsewhere")):
        r.open(who, f"/ws/chat/{room}/")
    for text in ("hello", "", "naïve 💬"):
        r.send("a", {"message": text})
        r.hear(*("a", "b") if step == "room" else ("a",))
    r.send("c", HELLO)
    r.hear("c")
    r.close("b", 1001)
    r.send("a", {"message": None, "more": "ignored"})
    r.hear("a")
    for path in ("/ws/chat/lobby", "/ws/chat/a-b/", "/ws/chat/", "/", "/chat/lobby/"):
        r.open("refused", path)
    r.open("foreign", "/ws/chat/lobby/", origin="http://evil.example")
    r.open("no page", "/ws/chat/lobby/", origin=None)
    r.open("café", "/ws/chat/caf%C3%A9/")
    for frame in (b"binary", "{bad json", '{"no": "message"}'):
        r.open("d", "/ws/chat/lobby/")
        r.send("d", frame)
        r.hear("d")
    return r.end()


class Servers:
    """A server for each step and environment; real Channels is the environment None."""

    def __init__(self, tutorial: Tutorial, logs: Path, stack: ExitStack) -> None:
        self.tutorial, self.logs, self.stack = tutorial, logs, stack
        self.running: dict[tuple[str, str | None], Server] = {}

    def get(self, step: str, env: Environment | None) -> Server:
        key = (step, env.name if env else None)
        if key not in self.running:
            python = env or environment("channels")
            command = [python.path("uvicorn"), *UVICORN[1:]]
            if env is not None:
                command = [env.path("django-shim"), *UVICORN]
            project = self.tutorial.project(step=step, layer="memory")
            log = self.logs / f"{step}-{key[1]}.log"
            self.running[key] = self.stack.enter_context(served(command, cwd=project, log=log))
        return self.running[key]


@pytest.fixture(scope="session")
def servers(
    request: pytest.FixtureRequest, tutorial: Tutorial, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    with last_uses.until_last(request) as stack:
        yield Servers(tutorial, tmp_path_factory.mktemp("tutorials"), stack)


@pytest.mark.parametrize("step", ["echo", "room"])
def test_S3_61_same_conversation(servers: Servers, env: Environment, step: str) -> None:
    expected = conversation(servers.get(step, None), step)
    found = conversation(servers.get(step, env), step)
    check(f"tutorial-{step}", compare(f"tutorial-{step}", expected, found))


def test_S3_61_same_pages(servers: Servers, env: Environment) -> None:
    expected, found = pages(servers.get("room", None)), pages(servers.get("room", env))
    check("tutorial-pages", compare("tutorial-pages", expected, found))
