"""The processes of the matrix: servers on a port that stays theirs, Redis, and clients that talk in lines.

Each is killed by the kernel when the runner ends.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

from bench.servers import free_port
from tests.support.waiting import until

__all__ = ["Child", "Client", "Redis", "Server"]

REPO = Path(__file__).resolve().parents[2]
WITH_THE_RUNNER = ("setpriv", "--pdeathsig", "KILL", "--")
START_S, STOP_S, PAGE_S = 60.0, 20.0, 5.0


class Child:
    """A process that can be started again with the same command."""

    talks = False
    """The runner reads its standard output; else that goes to the log."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._command = [*WITH_THE_RUNNER, *command]
        self._environment = os.environ | {"PYTHONUNBUFFERED": "1", "no_proxy": "*"} | environment
        self._log = log
        self.process: subprocess.Popen[str] | None = None

    @property
    def runs(self) -> bool:
        """Return True while the process runs."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it. From the main thread, whose end is the runner's."""
        with open(self._log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=REPO,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if self.talks else log,
                stderr=log,
                text=True,
            )

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still runs."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> None:
        """Wait for its end, and kill it if that takes too long."""
        assert self.process is not None
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


class Redis(Child):
    """A Redis without persistence: whoever kills it has flushed it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port)]
        super().__init__([*command, "--save", "", "--appendonly", "no"], {}, folder / "redis.log")

    def start(self) -> None:
        super().start()
        _await_port(self.port)


class Server(Child):
    """A server of one of the systems. ``command`` has ``{port}`` in place of its port."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.port = free_port()
        super().__init__(
            [part.format(port=self.port) for part in command], environment, folder / "server.log"
        )

    def start(self) -> None:
        super().start()
        _await_port(self.port)

    def say(self, room: str, first: int, last: int, size: int = 1) -> bool:
        """Have it send the numbers from ``first`` to before ``last``; return True if it says that it has."""
        query = urlencode({"room": room, "first": first, "last": last, "size": size})
        page = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PAGE_S)
        try:
            page.request("GET", f"/say?{query}")
            return page.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            page.close()


class Client(Child):
    """A client of one of the systems, and what it has told."""

    talks = True

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        super().__init__(command, environment, folder / "client.log")
        self.news: list[dict[str, Any]] = []
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        super().start()
        assert self.process is not None and self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self.news.append(json.loads(line))

    def send(self, kind: str, number: int) -> None:
        """Have it send a frame."""
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(json.dumps(f"{kind} {number}") + "\n")
        self.process.stdin.flush()

    def opens(self) -> list[dict[str, Any]]:
        """Return what it has told of each connection that was open."""
        return [one for one in tuple(self.news) if one["what"] == "open"]

    def numbers(self, what: str = "got") -> list[int]:
        """Return the numbers that have come, or those of its frames that were returned to it."""
        return [one["number"] for one in tuple(self.news) if one["what"] == what]

    def leave(self) -> None:
        """Have it say goodbye and end."""
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.close()
        self.wait()
        if self._reader is not None:
            self._reader.join(STOP_S)
        self.kill()


def _await_port(port: int) -> None:
    until(lambda: _listens(port), f"a server on port {port}", deadline_s=START_S)


def _listens(port: int) -> bool:
    """A client may get a free port as its own and be connected to itself, which does not count."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
            return bool(sock.getsockname() != sock.getpeername())
    except OSError:
        return False
