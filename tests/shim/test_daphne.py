"""The ``daphne`` command where the real one is missing: what its applications get, and how it ends."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.shim.running import SHIMMED, write
from tests.support.clients import Client, get
from tests.support.environments import Environment
from tests.support.processes import UNCOVERED
from tests.support.servers import Server, served
from tests.support.waiting import until

SITE = """
import json

async def application(scope, receive, send):
    names = [name.decode() for name, value in scope["headers"]]
    seen = json.dumps([scope["path"], scope["root_path"], "daphne-root-path" in names])
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": seen.encode()})
    else:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": seen})
        await receive()
"""


@contextmanager
def daphne(bare: Environment, folder: Path, *options: str) -> Iterator[Server]:
    write(folder, pages=SITE)
    command = [bare.path("django-shim"), "daphne", "-p", "{port}", *options, "pages:application"]
    with served(command, cwd=folder, log=folder / "log") as server:
        yield server


def seen(server: Server, path: str, **headers: str) -> list[Any]:
    """What a page and a socket at ``path`` find in their scopes, which is the same for both."""
    page: list[Any] = get(server, path, **headers).json()
    with Client(server, path, headers=headers) as client:
        assert client.receive_json() == page
    return page


def test_the_root_path_is_told_and_the_path_is_as_it_was_sent(bare: Environment, tmp_path: Path) -> None:
    with daphne(bare, tmp_path, "--root-path", "/chat") as server:
        assert seen(server, "/chat/ws/") == ["/chat/ws/", "/chat", False]
        assert seen(server, "/ws/") == ["/ws/", "/chat", False]
        proxied = {"Daphne-Root-Path": "/caf%C3%A9"}
        assert seen(server, "/caf%C3%A9/ws/", **proxied) == ["/café/ws/", "/café", False]


def test_the_access_log_is_a_file_that_is_added_to(bare: Environment, tmp_path: Path) -> None:
    log = tmp_path / "accesses"
    log.write_text("of yesterday\n", encoding="utf-8")
    with daphne(bare, tmp_path, "-v", "0", "--access-log", "accesses") as server:
        seen(server, "/caf%C3%A9/?a=b")
        until(lambda: log.read_text(encoding="utf-8").count("\n") == 3, "two lines more")
        shown = re.sub(r":\d+ - ", ":port - ", log.read_text(encoding="utf-8"))
        assert shown.splitlines() == [
            "of yesterday",
            'INFO:     127.0.0.1:port - "GET /caf%C3%A9/?a=b HTTP/1.1" 200 OK',
            'INFO:     127.0.0.1:port - "WebSocket /caf%C3%A9/?a=b" [accepted]',
        ]
        assert "GET" not in server.log()


SERVER = """
import signal, sys
from daphne.server import Server
from pages import application

def own(number, frame):
    print("own handler", flush=True)

# A shell may have ignored it for what it runs in the background.
signal.signal(signal.SIGINT, own if "own" in sys.argv else signal.default_int_handler)
server = Server(application, ["tcp:interface=127.0.0.1:port=" + sys.argv[1]])
server.ready_callable = lambda: print("ready", flush=True)  # as a subclass does
server.run()
print("behind run()", flush=True)
"""


@pytest.mark.parametrize(
    ("options", "numbers"),
    [([], [signal.SIGINT]), ([], [signal.SIGTERM]), (["own"], [signal.SIGINT, signal.SIGTERM])],
    ids=["Ctrl-C", "SIGTERM", "Ctrl-C with a handler of the project's"],
)
def test_run_returns_after_a_signal(
    options: list[str], numbers: list[signal.Signals], bare: Environment, tmp_path: Path
) -> None:
    """Was: the signal was raised again, so that run() never returned."""
    write(tmp_path, pages=SITE, server=SERVER)
    command = [bare.python, "server.py", "{port}", *options]
    with served(command, cwd=tmp_path, log=tmp_path / "log", env={**SHIMMED, **UNCOVERED}) as server:
        with Client(server, "/") as client:
            client.receive()
            assert "ready" in server.log()
            for number in numbers:
                assert "behind run()" not in server.log()
                server.process.send_signal(number)
                if options and number is signal.SIGINT:
                    server.process.wait_log("own handler")
            assert server.process.wait() == 0
        assert "behind run()" in server.log() and "Traceback" not in server.log()
