"""The pages below port/: the app before runs, the port makes of it what the page shows, and that runs too.

A page shows files in before/, the lines that change as a diff, and what is written by hand in after/. Both
apps hold the same conversation.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import BLOCKS, lay_out
from tests.support.clients import Client, get
from tests.support.environments import Environment, environment
from tests.support.servers import Server, served


def a_note_on_the_board(server: Server) -> None:
    with Client(server, "/ws/kitchen/") as one, Client(server, "/ws/kitchen/") as other:
        one.send_json({"text": "milk"})
        assert one.receive_json() == other.receive_json() == {"text": "milk"}
        assert get(server, "/pin/kitchen/?text=bread").json() == {"pinned": "kitchen"}
        assert one.receive_json() == other.receive_json() == {"text": "bread"}


def a_vote(server: Server) -> None:
    with Client(server, "/ws/tea") as one, Client(server, "/ws/tea") as other:
        one.send_json({"vote": "green"})
        assert one.receive_json() == other.receive_json() == {"vote": "green"}
        voted = httpx.post(server.http("/votes/tea?vote=black"), trust_env=False, timeout=15)
        assert voted.status_code == 200
        assert one.receive_json() == other.receive_json() == {"vote": "black"}


def an_item(server: Server) -> None:
    with Client(server, "/ws/list") as one, Client(server, "/ws/list") as other:
        for client in (one, other):  # whoever has been answered is in the group
            client.send_json({"action": "ping"})
            assert client.receive_json()["action"] == "pong"
        one.send_json({"action": "add_item", "payload": {"text": "milk"}})
        for client in (one, other):
            assert client.receive_json() == {"action": "item_added", "payload": {"text": "milk"}}
        assert httpx.post(server.http("/clear"), trust_env=False, timeout=15).status_code == 200
        assert one.receive_json()["action"] == other.receive_json()["action"] == "list_cleared"


def a_question(server: Server) -> None:
    with Client(server, "/ws/ada") as ada, Client(server, "/ws/bob") as bob:
        ada.send_json({"type": "ask", "data": "where?"})
        answers = [bob.receive_json(), ada.receive_json()]
        assert [(answer["type"], answer["data"]) for answer in answers] == [("asked", "where?")] * 2


@dataclass(frozen=True)
class Port:
    """A page, how its app is served before, and what is said to it."""

    page: str
    conversation: Callable[[Server], None]
    serve: tuple[str, ...] = ("uvicorn", "main:app")

    def __str__(self) -> str:
        return self.page


BOARD = Port("port/channels", a_note_on_the_board, ("uvicorn", "board.asgi:application"))
POLL = Port("port/fast-channels", a_vote)
LIST = Port("port/chanx", an_item)
DESK = Port("port/fastapi-channels", a_question)
PORTS = (BOARD, POLL, LIST, DESK)


def talk(port: Port, where: Environment, folder: Path, *command: str) -> None:
    arguments = [where.path(command[0]), *command[1:], "--port", "{port}"]
    with served(arguments, cwd=folder, log=folder / "server.log") as server:
        port.conversation(server)
        assert "Traceback" not in server.log()


def test_a_project_on_channels(tmp_path: Path) -> None:
    folder = lay_out(BOARD.page, tmp_path) / "before"
    talk(BOARD, environment("channels"), folder, *BOARD.serve)


def test_it_runs_unchanged(bare: Environment, tmp_path: Path) -> None:
    folder = lay_out(BOARD.page, tmp_path) / "before"
    talk(BOARD, bare, folder, "django-shim", *BOARD.serve)


@pytest.mark.slow
@pytest.mark.parametrize("port", (POLL, LIST), ids=str)
def test_an_app_on_its_own_library(port: Port, tmp_path: Path) -> None:
    talk(port, environment("peers"), lay_out(port.page, tmp_path) / "before", *port.serve)


@pytest.mark.parametrize("port", PORTS, ids=str)
def test_the_port_makes_what_is_shown_and_it_runs(port: Port, bare: Environment, tmp_path: Path) -> None:
    lay_out(port.page, tmp_path)
    before, after = tmp_path / "before", tmp_path / "after"
    shown = {path: changed(port, path.read_text("utf-8"), path) for path in before.rglob("*.py")}
    done = bare.run("channels-compat", "port", ".", "--write", "--django", "shim", cwd=before)
    assert done.returncode == 0, done.stdout + done.stderr
    for path, text in shown.items():
        if text is not None:
            assert path.read_text("utf-8") == text
    shutil.copytree(before, after, dirs_exist_ok=True, ignore=shutil.ignore_patterns("main.py"))
    if not (after / "main.py").exists():
        shutil.copy(before / "main.py", after)
    talk(port, bare, after, "uvicorn", "main:app")


def test_a_ported_project_runs_without_the_shim(bare: Environment, tmp_path: Path) -> None:
    folder = lay_out(BOARD.page, tmp_path) / "before"
    done = bare.run("channels-compat", "port", ".", "--write", "--django", "shim", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    talk(BOARD, bare, folder, *BOARD.serve)


def changed(port: Port, text: str, path: Path) -> str | None:
    """The file as the page's diff leaves it; None where it shows none for it."""
    for block in BLOCKS:
        if block.page == port.page and block.language == "diff" and str(path).endswith(f"/{block.title}"):
            old = "".join(re.findall(r"^-(.*\n)", block.text, re.M))
            assert old in text, f"{block}: these lines are not in the file"
            return text.replace(old, "".join(re.findall(r"^\+(.*\n)", block.text, re.M)))
    return None


def test_what_check_says(bare: Environment, tmp_path: Path) -> None:
    folder = lay_out(BOARD.page, tmp_path) / "before"
    done = bare.run("channels-compat", "check", ".", "--django", "shim", cwd=folder)
    (block,) = (block for block in BLOCKS if block.page == "port/tools" and block.language == "text")
    said = iter(done.stdout.splitlines())
    for line in block.text.splitlines():
        assert line == "..." or line in said, "the lines come in this order"
    as_json = bare.run("channels-compat", "check", ".", "--json", "--django", "shim", cwd=folder)
    json.loads(as_json.stdout)
