"""A stop that does not cut everybody off at once.

With ``DRAIN_SECONDS`` above 0, the first SIGTERM (or SIGINT) begins a drain: new sockets are refused with 503
and the open ones are closed with 1012 ("service restart") one after another, spread over that time, so that
clients do not all come back at once, and each one's ``disconnect()`` runs. Then, or at the second signal,
the server stops as it would have.

The handler is put in front of the server's when the first websocket is served. That needs a server that
handles signals by ``signal.signal`` on the thread of its event loop, as uvicorn does; with any other a server
stops as it always did, and a log line says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

from compat.exceptions import ImproperlyConfigured
from compat.limits import admissions
from compat.settings import settings

__all__ = ["Drain", "drain"]

log = logging.getLogger("compat.draining")

SERVICE_RESTART = 1012
SIGNALS = (signal.SIGTERM, signal.SIGINT)
CLOSED_TIMEOUT_S = 5.0
"""How long a client that has been closed may take to be gone."""

Handler = Callable[[int, FrameType | None], Any]


class Closable(Protocol):
    """What a drain needs of a running consumer's way out."""

    async def close(self, code: int) -> None: ...


class Drain:
    """The open websockets of this process, and how they are closed when it stops."""

    def __init__(self) -> None:
        self.open: set[Closable] = set()
        self.servers: dict[int, Handler] = {}
        """The server's own handlers, by signal."""
        self.watching = False
        self.task: asyncio.Task[None] | None = None
        self.gone: asyncio.Event | None = None
        """Set when the last one has ended; there only while somebody waits for that."""

    def enter(self, socket: Closable) -> None:
        """A websocket is served from now on."""
        self.open.add(socket)
        if not self.watching:
            self.watching = True
            if drain_seconds():
                self._watch()

    def leave(self, socket: Closable) -> None:
        """It is over."""
        self.open.discard(socket)
        if self.gone is not None and not self.open:
            self.gone.set()

    async def _all_gone(self) -> None:
        self.gone = asyncio.Event()
        if self.open:
            await self.gone.wait()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        found = {int(number): signal.getsignal(number) for number in SIGNALS}
        handlers = {number: handler for number, handler in found.items() if callable(handler)}
        if threading.current_thread() is not threading.main_thread() or signal.SIGTERM not in handlers:
            log.warning("DRAIN_SECONDS has no effect: this server does not handle SIGTERM by signal.signal()")
            return
        self.servers = handlers
        for number in handlers:
            signal.signal(number, lambda number, frame: self._stop(loop, number, frame))

    def _stop(self, loop: asyncio.AbstractEventLoop, number: int, frame: FrameType | None) -> None:
        """In the signal handler: begin, or at the second signal let the server end at once."""
        if not admissions.draining:
            admissions.draining = True
            loop.call_soon_threadsafe(self._begin)
            return
        log.warning("second signal: ending at once with %d websockets open", len(self.open))
        if self.task is not None:
            self.task.cancel()
        self._restore()
        # As Ctrl-C after a stop has begun: to uvicorn that means not to wait for anybody.
        _stop_server(self.servers[signal.SIGTERM])
        self.servers.get(signal.SIGINT, self.servers[signal.SIGTERM])(signal.SIGINT, frame)

    def _restore(self) -> None:
        for number, handler in self.servers.items():
            signal.signal(number, handler)

    def _begin(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._close_all())

    async def _close_all(self) -> None:
        """Close what is open, evenly over the drain time; then hand over to the server."""
        seconds = drain_seconds()
        sockets = list(self.open)
        log.warning("stopping: closing %d websockets over %g s", len(sockets), seconds)
        pause = seconds / max(len(sockets), 1)
        closing = []
        for socket in sockets:
            if socket in self.open:
                closing.append(asyncio.ensure_future(socket.close(SERVICE_RESTART)))
            await asyncio.sleep(pause)
        if closing:
            await asyncio.wait(closing, timeout=CLOSED_TIMEOUT_S)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_gone(), CLOSED_TIMEOUT_S)
        self._restore()
        _stop_server(self.servers[signal.SIGTERM])


def _stop_server(handler: Handler) -> None:
    """Have the server stop as for SIGTERM; uvicorn by its flag, since it ends a signal's stop with 143."""
    server = getattr(handler, "__self__", None)
    if hasattr(server, "should_exit"):
        server.should_exit = True  # type: ignore[union-attr]
    else:
        handler(signal.SIGTERM, None)


def drain_seconds() -> float:
    """Setting ``DRAIN_SECONDS``: over how long a stop spreads its closes; 0 closes all at once."""
    seconds = settings.get("DRAIN_SECONDS")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise ImproperlyConfigured(f"DRAIN_SECONDS must be a number of seconds, 0 or more; found {seconds!r}")
    return float(seconds)


drain = Drain()
"""That of this process."""
