"""docs/typed.md: its application is served, and its commands are run in its folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.clients import Client, get
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.servers import Server, served

PAGE = (REPO / "docs" / "typed.md").read_text(encoding="utf-8")
MAIN = re.findall(r'^```python title="main.py"\n(.*?)^```$', PAGE, re.M | re.S)
COMMANDS = re.findall(r"^\$ (.*)$", PAGE, re.M)
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    (main,) = MAIN
    (folder / "main.py").write_text(main, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    command = [str(BIN / "channels-compat"), "runserver", "main:app", "--noreload", "--port", "{port}"]
    with served(command, cwd=folder, log=folder / "server.log") as server:
        yield server
        assert "Traceback" not in server.log()


def test_the_application_of_the_page(server: Server) -> None:
    with Client(server, "/ws/chat") as one, Client(server, "/ws/chat") as other:
        one.send_json({"action": "ping"})
        assert one.receive_json() == {"action": "pong", "payload": None}
        other.send_json({"action": "ping"})
        other.receive_json()
        one.send_json({"action": "say", "payload": {"text": "hello"}})
        assert one.receive_json() == other.receive_json() == {"action": "said", "payload": {"text": "hello"}}
        assert httpx.post(server.http("/announce?text=tea"), trust_env=False).status_code == 200
        assert one.receive_json() == other.receive_json() == {"action": "said", "payload": {"text": "tea"}}
        one.send_json({"action": "say", "payload": {}})
        assert one.receive_json()["payload"][0]["loc"] == ["say", "payload", "text"]
    assert get(server, "/asyncapi/").status_code == 200


def test_the_commands_of_the_page(folder: Path) -> None:
    assert len(COMMANDS) == 3
    for command in COMMANDS:
        name, *arguments = command.split()
        done = subprocess.run(
            [str(BIN / name), *arguments],
            cwd=folder,
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
    assert json.loads((folder / "asyncapi.json").read_text())["channels"]["chat"]["address"] == "/ws/chat"
    assert (folder / "chat_client" / "channels.py").is_file()
