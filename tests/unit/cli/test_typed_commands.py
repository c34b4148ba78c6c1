"""``channels-compat asyncapi`` and ``client``: documents and clients from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPO
from tests.support.processes import child_environment

APP = """
from typing import Literal
from fastapi import FastAPI
from compat.typed import AsyncJsonWebsocketConsumer, PingMessage, PongMessage, ws_handler

class EchoConsumer(AsyncJsonWebsocketConsumer):
    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

app = FastAPI(title="Echo")
app.router.add_websocket_route("/ws/echo/{name}", EchoConsumer.as_asgi())
empty = FastAPI()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APP)
    return tmp_path


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "channels-compat"), *arguments]
    env = child_environment({"PYTHONPATH": str(REPO), "NO_COLOR": "1"})
    return subprocess.run(
        command, cwd=project, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_document_is_printed(project: Path) -> None:
    done = run(project, "asyncapi", "main:app")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["info"]["title"] == "Echo API"
    assert made["channels"]["echo"]["address"] == "/ws/echo/{name}"
    assert made["servers"] == {"default": {"host": "localhost:8000", "protocol": "ws"}}


@pytest.mark.parametrize(
    ("options", "first"),
    [
        (["--output", "a.json"], "{"),
        (["--output", "a.yaml"], 'asyncapi: "3.0.0"'),
        (["-o", "a.txt", "--format", "yaml"], 'asyncapi: "3.0.0"'),
        (["-o", "new/folder/a.json"], "{"),
    ],
)
def test_a_document_is_written(project: Path, options: list[str], first: str) -> None:
    done = run(project, "asyncapi", "main:app", *options)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (project / options[1]).read_text().splitlines()[0] == first


def test_what_a_document_says_of_itself(project: Path) -> None:
    options = ("--title", "Mine", "--api-version", "3", "--server", "wss://chat.example/base")
    made = json.loads(run(project, "asyncapi", "main:app", *options).stdout)
    assert made["info"] == {"title": "Mine", "version": "3"}
    assert made["servers"]["default"] == {"host": "chat.example", "protocol": "wss", "pathname": "/base"}


@pytest.mark.parametrize("server", ["https://chat.example", "ws://[::1", "ws://"])
def test_a_server_that_is_none(project: Path, server: str) -> None:
    done = run(project, "asyncapi", "main:app", "--server", server)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "--server" in done.stderr and server in done.stderr


def test_an_extra_that_is_missing(project: Path) -> None:
    """It says what to install, and not where that was noticed."""
    (project / "sitecustomize.py").write_text("import sys; sys.modules['rich'] = None")
    env = child_environment({"PYTHONPATH": f"{project}{os.pathsep}{REPO}", "NO_COLOR": "1"})
    command = [str(Path(sys.executable).parent / "channels-compat"), "top"]
    done = subprocess.run(
        command, cwd=project, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1 and "pip install 'channels-compat[top]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_application_without_typed_consumers_is_an_error(project: Path) -> None:
    done = run(project, "asyncapi", "main:empty")
    assert done.returncode == 1
    assert "main:empty has no route to a typed consumer" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("source", ["echo.json", "main:app"])
def test_a_client_is_generated(project: Path, source: str) -> None:
    assert run(project, "asyncapi", "main:app", "--output", "echo.json").returncode == 0
    done = run(project, "client", source, "--output", "echo_client")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (project / "echo_client").iterdir()) == [
        "__init__.py",
        "channels.py",
        "connection.py",
        "errors.py",
        "messages.py",
        "py.typed",
    ]
    assert "echo_client/channels.py" in done.stdout
    code = (
        "from echo_client import EchoChannel, PingMessage; print(EchoChannel.address, PingMessage().action)"
    )
    used = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, timeout=60, check=False
    )
    assert used.stdout == "/ws/echo/{name} ping\n", used.stderr


def test_a_client_in_javascript_is_generated(project: Path) -> None:
    done = run(project, "client", "main:app", "--language", "js")
    assert (done.returncode, done.stdout) == (0, "asyncapi_client.mjs\n"), done.stderr
    assert 'app.mount("/_channels", compat.client.files)' in done.stderr  # was: a 404 in the browser
    text = (project / "asyncapi_client.mjs").read_text(encoding="utf-8")
    assert 'from "/_channels/socket.mjs";' in text and "export class EchoChannel extends" in text
    more = ("--output", "static/echo.mjs", "--socket", "./socket.mjs")
    done = run(project, "client", "main:app", "--language", "js", *more)
    assert (done.returncode, done.stderr) == (0, "")
    assert 'from "./socket.mjs";' in (project / "static" / "echo.mjs").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["main:app", "--language", "js", "--output", "."], "is a folder, and a module is a file"),
        (["main:app", "--socket", "./socket.mjs"], "--socket is for --language js"),
        (["nowhere.json"], "there is no file 'nowhere.json'. Write it first: channels-compat asyncapi"),
        (["main.py"], "main.py is not JSON"),
        (["main:app", "--output", "my-client"], "Choose another folder: --output my_client"),
        (["old.json"], "found asyncapi: 2.6.0"),
    ],
)
def test_what_is_wrong_is_explained(project: Path, arguments: list[str], says: str) -> None:
    (project / "old.json").write_text('{"asyncapi": "2.6.0"}')
    done = run(project, "client", *arguments)
    assert done.returncode == 1
    assert says in " ".join(done.stderr.split()) and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "options"),
    [("chat/messages.py", ["--output", "chat"]), ("chat.mjs", ["--language", "js", "--output", "chat.mjs"])],
)
def test_a_client_is_written_over_no_file_of_yours(project: Path, name: str, options: list[str]) -> None:
    (project / "chat").mkdir()
    (project / "chat" / "__init__.py").touch()
    assert run(project, "client", "main:app", *options).returncode == 0
    assert run(project, "client", "main:app", *options).returncode == 0, "over an earlier one it is"
    (project / name).write_text("mine")
    (project / "chat" / "channels.py").unlink(missing_ok=True)
    done = run(project, "client", "main:app", *options)
    assert done.returncode == 1
    assert f"{name} is there already, and was not generated" in " ".join(done.stderr.split())
    assert (project / name).read_text() == "mine"
    assert not (project / "chat" / "channels.py").exists()
