"""The example chats as servers: on FastAPI, and the Django project on the shim and on the real Channels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from compat.client import Client as PageClient
from compat.client import Presence
from tests.support.clients import Client
from tests.support.environments import environment
from tests.support.last_use import last_uses
from tests.support.paths import REPO
from tests.support.servers import Server, served

EXAMPLES = REPO / "examples"


@dataclass(frozen=True)
class Kind:
    """A way in which an example is run."""

    name: str
    folder: str
    environment: str
    command: tuple[str, ...]

    @contextmanager
    def serve(self, log: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
        """The example, until the block ends."""
        where = environment(self.environment)
        command = [where.path(self.command[0]), *self.command[1:], "--port", "{port}", *options]
        with served(command, cwd=EXAMPLES / self.folder, log=log, env=env) as server:
            yield server


SHIM = ("django-shim", "uvicorn", "chatsite.asgi:application")
FASTAPI = Kind("fastapi", "fastapi_port", "bare", ("uvicorn", "main:app"))
DJANGO = (
    Kind("shim without Django", "django_port", "bare", SHIM),
    Kind("shim with Django", "django_port", "django", SHIM),
    Kind("shim with Django and Channels", "django_port", "channels", SHIM),
    Kind("real Channels", "django_port", "channels", SHIM[1:]),
)


class Chat:
    """A running chat and the people in it."""

    def __init__(self, kind: Kind, server: Server) -> None:
        self.kind = kind
        self.server = server

    def enter(self, room: str, name: str) -> Person:
        return Person(self.server, room, name)

    @asynccontextmanager
    async def watching(self, path: str, group: str) -> AsyncIterator[Presence]:
        """Who is in a group, as a page sees it whose socket has this path."""
        headers = {"Origin": self.server.http("").rstrip("/")}
        async with PageClient(self.server.ws(path), headers=headers) as client:
            yield client.presence(group)


class Person(Client):
    """Somebody in a room, who has read the welcome."""

    def __init__(self, server: Server, room: str, name: str) -> None:
        super().__init__(server, f"/ws/rooms/{room}/?name={name}")
        welcome = self.receive_json()
        assert welcome["kind"] == "welcome"
        self.me = welcome["you"]

    def __enter__(self) -> Person:
        return self

    def hears(self) -> tuple[Any, ...]:
        """The next frame in short: its kind, whose it is, and its text if it has one."""
        frame = self.receive_json()
        return (frame["kind"], *([frame["member"]["name"]] if "member" in frame else []), *texts(frame))

    def says(self, text: str) -> None:
        self.send_json({"text": text})


def texts(frame: Mapping[str, Any]) -> list[str]:
    return [frame["text"]] if "text" in frame else []


def _running(request: pytest.FixtureRequest, kind: Kind, folder: Path) -> Iterator[Chat]:
    with last_uses.until_last(request) as stack:
        server = stack.enter_context(kind.serve(folder / "server.log"))
        yield Chat(kind, server)
    log = server.log()
    if kind.name != "real Channels":
        assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:6000]


@pytest.fixture(scope="session", params=[FASTAPI, *DJANGO], ids=lambda kind: kind.name)
def chat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    """Every way in turn; at the end nothing in its log may be a traceback."""
    yield from _running(request, request.param, tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="session")
def fastapi_chat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    yield from _running(request, FASTAPI, tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="session", params=DJANGO, ids=lambda kind: kind.name)
def django_chat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    yield from _running(request, request.param, tmp_path_factory.mktemp("chat"))
