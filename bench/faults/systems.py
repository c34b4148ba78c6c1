"""The systems of the matrix: how each one's server and client are started, and what its client is told."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.servers import CACHE, python_of

__all__ = ["PING_S", "PONG_S", "SYSTEMS", "System", "versions"]

PING_S, PONG_S = 1.0, 2.0
"""Every server pings so often, and waits so long for an answer. Our client asks its server likewise."""

NODE = Path(__file__).resolve().parent / "node"


@dataclass(frozen=True)
class System:
    """A system that takes part."""

    name: Literal["ours", "python-socketio", "socket.io"]
    server: tuple[str, ...]
    client: tuple[str, ...]
    path: str
    """Of the URL, with ``{who}`` in place of the client's name."""
    has_redis: bool
    """Its server can be run over Redis here."""

    def server_command(self) -> list[str]:
        """Return the command of a server, with ``{port}`` in place of the port."""
        return list(self.server)

    def client_command(self, port: int, who: str) -> list[str]:
        """Return the command of a client."""
        scheme = "ws" if self.name == "ours" else "http"
        url = f"{scheme}://127.0.0.1:{port}{self.path.format(who=who)}"
        return [*self.client, url, str(PING_S), str(PONG_S)]

    def was_told(self, opened: dict[str, Any]) -> bool:
        """Return True if what a client is told when it is back says that something may be missing.

        python-socketio has no word for it: there, a connection that is new is all that an application sees.
        """
        if self.name == "ours":
            return opened["recovered"] == ""
        return not opened["recovered"]


def _uvicorn(environment: str, app: str) -> tuple[str, ...]:
    pings = ("--ws-ping-interval", str(PING_S), "--ws-ping-timeout", str(PONG_S))
    where = ("--port", "{port}", "--log-level", "warning", "--no-access-log")
    return (python_of(environment), "-m", "uvicorn", f"bench.faults.apps.{app}:app", *where, *pings)


SYSTEMS = (
    System(
        name="ours",
        server=_uvicorn("ours", "ours"),
        client=(python_of("ours"), "-m", "bench.faults.clients.ours"),
        path="/chat/?who={who}",
        has_redis=True,
    ),
    System(
        name="python-socketio",
        server=_uvicorn("faults", "python_socketio"),
        client=(python_of("faults"), "-m", "bench.faults.clients.python_socketio"),
        path="/?who={who}",
        has_redis=True,
    ),
    System(
        name="socket.io",
        server=("node", str(NODE / "server.js"), "{port}"),
        client=("node", str(NODE / "client.js")),
        path="/?who={who}",
        has_redis=False,
    ),
)


def versions() -> list[str]:
    """Return the names and versions of what takes part, as they are installed."""
    script = (
        "import importlib.metadata as m, platform\n"
        "print('Python', platform.python_version())\n"
        "for name in {}: print(name, m.version(name))"
    )
    said = []
    for environment, names in (
        ("ours", ["channels-compat", "uvicorn", "websockets"]),
        ("faults", ["python-socketio", "python-engineio", "aiohttp"]),
    ):
        said += _lines([python_of(environment), "-c", script.format(names)])
    for name in ("socket.io", "socket.io-client"):
        installed = (CACHE / "node" / "node_modules" / name / "package.json").read_text(encoding="utf-8")
        said.append(f"{name} {json.loads(installed)['version']}")
    said += [f"Node {line}" for line in _lines(["node", "--version"])]
    said += [" ".join(line.split()[:3]) for line in _lines(["redis-server", "--version"])]
    return list(dict.fromkeys(said))


def _lines(command: list[str]) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
