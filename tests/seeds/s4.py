"""The application of seed 004: its main.py with other import lines, beside this project's example package."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.clients import Client
from tests.support.paths import REPO
from tests.support.ported import app_of_the_seeds
from tests.support.servers import Server, served

__all__ = ["EXAMPLE", "Person", "seed_project", "served_app"]

EXAMPLE = REPO / "examples" / "fastapi_port" / "manager_chat"


def seed_project(folder: Path) -> Path:
    """The application, laid out in `folder`."""
    project = app_of_the_seeds("fastapi_channels_example", folder / "app")
    shutil.copytree(EXAMPLE / "example", project / "example", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(EXAMPLE / "template.html", project)
    return project


@contextmanager
def served_app(project: Path, log: Path, redis_url: str, **settings: str) -> Iterator[Server]:
    """`main:app` of a project under uvicorn; settings are environment variables."""
    command = [str(Path(sys.executable).parent / "uvicorn"), "main:app", "--port", "{port}"]
    with served(command, cwd=project, log=log, env={"REDIS_URL": redis_url, **settings}) as server:
        yield server


class Person(Client):
    """Somebody in the chat, who has been welcomed."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__(server, f"/ws/{name}")
        self.name = name
        assert self.hear("welcome")["user_id"] == name

    def __enter__(self) -> Person:
        return self

    def does(self, kind: str, **data: Any) -> None:
        self.send_json({"type": kind, "data": data})

    def hear(self, kind: str, passing: Collection[str] = ()) -> Any:
        """The next frame, which must be of that type; pings are passed over, and the types in `passing`."""
        while True:
            frame = self.receive_json()
            if frame["type"] == "ping" or frame["type"] in passing:
                continue
            assert frame["type"] == kind, frame
            return frame

    def joins(self, room: str) -> list[str]:
        """Enter a room; who is there then. That somebody entered before may come from another server yet."""
        others = ("user_joined",)
        self.does("join_room", room=room)
        assert self.hear("room_joined", others)["room"] == room
        users: list[str] = self.hear("room_users", others)["users"]
        self.hear("message_history", others)
        return users
