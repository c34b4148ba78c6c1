"""The ``daphne`` command where the real one is missing: what its applications get, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.shim.running import write
from tests.support.clients import Client, get
from tests.support.environments import Environment
from tests.support.servers import Server, served

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
