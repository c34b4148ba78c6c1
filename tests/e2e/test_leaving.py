"""A page that is left but not closed: browsers keep it for their "back" button, its socket too."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.windows import Window, opened
from tests.support.browser import Browser
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.servers import served

SERVER = ("django-shim", "uvicorn", "chatsite.asgi:application", "--port", "{port}")


def enter(window: Window, name: str, room: str) -> None:
    """From the example's lobby into a room."""
    window.type("name", name)
    window.type("room", f"{room}\n")
    window.wait_text("me", name)


def test_going_on_to_another_page_leaves_the_room_and_going_back_enters_it(
    bare: Environment, chromium: Browser, tmp_path: Path
) -> None:
    command = [bare.path(SERVER[0]), *SERVER[1:]]
    with served(command, cwd=REPO / "examples" / "django_port", log=tmp_path / "log") as server:
        lobby = server.http("/")
        with opened(chromium, lobby, lobby) as (watching, dora):
            enter(dora, "Dora", "attic")
            watching.wait_text("rooms", "Dora")
            dora.go(lobby)
            watching.wait(lambda: "attic" not in watching.text("rooms"), "the room is gone from the list")
            dora.front().back()
            watching.wait_text("rooms", "Dora")
