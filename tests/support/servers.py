"""ASGI servers for the tests: any command as a process, and uvicorn in a thread of this process."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from tests.support import watch
from tests.support.processes import Process, free_port
from tests.support.waiting import until

__all__ = ["Address", "LiveServer", "Server", "served", "worker_options"]

UVICORN_LOGGERS = ("uvicorn.error", "uvicorn.access", "uvicorn.asgi")
"""Whose levels the option ``log_level`` sets for the whole process."""


class Address:
    """Where a server on the loopback interface is reached."""

    host = "127.0.0.1"

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def origin(self) -> str:
        """What a browser on one of the server's own pages sends as Origin."""
        return f"http://{self.host}:{self.port}"

    def http(self, path: str) -> str:
        return f"http://{self.host}:{self.port}{path}"

    def ws(self, path: str) -> str:
        return f"ws://{self.host}:{self.port}{path}"


class Server(Address):
    """A server process that listens."""

    def __init__(self, process: Process, port: int) -> None:
        super().__init__(port)
        self.process = process

    def log(self) -> str:
        return self.process.log()


@contextmanager
def served(
    command: Sequence[str], *, cwd: Path, log: Path, env: Mapping[str, str] | None = None, attempts: int = 3
) -> Iterator[Server]:
    """Run a command that serves on the port put in place of "{port}" in its arguments, until the block ends.

    Between the choice of a free port and its use somebody else may take it: then another one is tried.
    """
    for attempt in range(attempts):
        port = free_port()
        with Process([part.format(port=port) for part in command], cwd=cwd, log=log, env=env) as process:
            try:
                process.wait_listening(port)
            except AssertionError:
                # "Address already in use", as most servers say it, or "That port is already in use."
                if attempt + 1 == attempts or "already in use" not in process.log().lower():
                    raise
                continue
            yield Server(process, port)
        return


def worker_options(count: int) -> list[str]:
    """The options with which uvicorn serves by ``count`` processes.

    It kills those that do not answer within 5 s, and on a busy machine a process takes as long to begin.
    Versions before 0.37 cannot be told to wait longer.
    """
    options = ["--workers", str(count)]
    if "timeout_worker_healthcheck" in inspect.signature(uvicorn.Config).parameters:
        options += ["--timeout-worker-healthcheck", "60"]
    return options


class _Uvicorn(uvicorn.Server):
    """uvicorn that tells its event loop."""

    loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().serve(sockets)


class LiveServer(Address):
    """uvicorn in a thread of this process, on a free port: log records and consumers are at hand in the test.

    `app` is any ASGI application, `options` are uvicorn's; the loop is asyncio's where they name no other.
    Leaving the block asks uvicorn to end, which it does in order: open websockets are closed with 1012, what
    is left on the loop is cancelled, and the thread has ended.
    """

    def __init__(self, app: Any, **options: Any) -> None:
        self._socket = socket.socket()
        self._socket.bind((self.host, 0))
        super().__init__(self._socket.getsockname()[1])
        defaults = {"log_config": None, "lifespan": "off", "timeout_graceful_shutdown": 5, "loop": "asyncio"}
        options = {**defaults, **options}
        if options.get("ws") == "websockets":  # which warns that it is deprecated when it is imported
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module("uvicorn.protocols.websockets.websockets_impl")
        self._levels = {name: logging.getLogger(name).level for name in UVICORN_LOGGERS}
        self.uvicorn = _Uvicorn(uvicorn.Config(app, **options))
        self._thread = threading.Thread(
            target=self.uvicorn.run, args=([self._socket],), name="live-server", daemon=True
        )

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the server; None before it has begun."""
        return self.uvicorn.loop

    def __enter__(self) -> LiveServer:
        self._thread.start()
        until(lambda: self.uvicorn.started or not self._thread.is_alive(), "uvicorn in a thread is up")
        assert self.uvicorn.started, "uvicorn ended before it was up"
        assert self.loop is not None
        self._watch = watch.watched(self.loop, self._thread)
        self._watch.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._watch.__exit__(None, None, None)
        self.uvicorn.should_exit = True
        self._thread.join(20)
        self._socket.close()
        for name, level in self._levels.items():  # "trace" would wrap the next server's receive and send
            logging.getLogger(name).setLevel(level)
        assert not self._thread.is_alive(), "uvicorn did not end"
