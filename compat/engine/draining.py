"""Close the connections of consumers one after another when the server stops.

With ``DRAIN_SECONDS`` above 0, the first SIGTERM (or SIGINT) begins a drain. New websockets are refused with
503. The open ones are closed with 1012 ("service restart") one after another, spread over that time, so that
clients do not all reconnect at once; the ``disconnect()`` of each one runs. After that, or at the second
signal, the server stops as it does without a drain, and ends plain endpoints and the manager's connections. A
handler that does not return is cancelled; one that blocks its thread does not keep the process from ending.

The signal handler is installed before the server's own when the first websocket of a consumer is served. This
needs a server that uses ``signal.signal`` on the thread of its event loop, as uvicorn does. Other servers
stop as usual, and a log line says that there is no drain. If one of them leaves its event loop with
connections open, these are ended when the interpreter exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable
from multiprocessing import parent_process
from types import FrameType
from typing import Any

from compat.clock import until
from compat.codes import SERVICE_RESTART
from compat.engine import garbage  # noqa: F401 - it reports to be told of the start
from compat.engine.admissions import admissions
from compat.engine.contracts import Running, Waiting
from compat.engine.refusal import listed, on_one_line
from compat.metrics import starting
from compat.settings import settings

__all__ = ["Drain", "drain", "on_its_loop"]

log = logging.getLogger("compat.draining")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
CLOSED_TIMEOUT_S = 5.0
"""Seconds that a connection may take to end after its close or its cancellation."""

LOOPS = ("asyncio", "uvloop")
"""The packages whose event loops are told of signals (``add_signal_handler``)."""

PARKED_TIMEOUT_S = 1.0
LOOK_S = 1.0
"""Seconds between two checks whether the server has stopped without a signal."""

Handler = Callable[[int, FrameType | None], Any]


class Drain:
    """The open websockets of this process, and how they are closed when it stops."""

    def __init__(self) -> None:
        self.open: dict[Running, asyncio.AbstractEventLoop] = {}
        self.servers: dict[int, Handler] = {}
        """The server's own signal handlers."""
        self.entered = self.watching = False
        """There has been a connection; there has been one in the main thread."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop of the server with these handlers."""
        self.task: asyncio.Task[None] | None = None
        self.waiting: Waiting | None = None
        """The object to call on the event loop when the server stops."""
        self.held: int | None = None
        """The signal that the server gets when ``waiting`` has finished; None if there is none."""
        self.repeated = False
        """True once a SIGTERM has been ignored, because it was the parent's for the same stop."""
        self.gone: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        """Set, on that loop, when the last connection has ended; None while no task waits for that."""

    def enter(self, consumer: Running, loop: asyncio.AbstractEventLoop) -> None:
        """Register a connection on the running ``loop``; the first one reports that a server runs.

        The first one of the main thread, which is the only one that gets signals, installs their handlers.
        """
        self.open[consumer] = loop
        if self.watching or (self.entered and not _is_main()):
            return
        if not self.entered:
            starting()
            before_threads_are_joined(self.end_left_behind)
        self.entered, self.watching = True, _is_main()
        if drain_seconds():
            if not self.servers:
                self._watch()
            if not self._drains():
                log.warning(
                    "DRAIN_SECONDS has no effect: the server %s",
                    "does not handle SIGTERM with signal.signal()" if self.watching else "runs in a thread",
                )

    def tell_stop(self, waiting: Waiting) -> None:
        """Call ``waiting.stop()`` on the running event loop when a signal stops its server.

        If uvicorn stops without a signal, ``waiting.release()`` is called.
        """
        self.waiting = waiting
        if self.loop is not asyncio.get_running_loop():  # a process may run one server after another
            self._watch()

    def leave(self, consumer: Running) -> None:
        """Remove a connection that has ended."""
        self.open.pop(consumer, None)
        if self.gone is not None and not self.open:
            loop, gone = self.gone
            with contextlib.suppress(RuntimeError):  # that loop is no more
                loop.call_soon_threadsafe(gone.set)

    def end_left_behind(self) -> None:
        """End the connections whose event loop a server has left without closing it, as granian does.

        Their handlers would wait for that loop, and the interpreter for their threads.
        """
        for loop in set(self.open.values()):
            if not loop.is_closed() and not loop.is_running():
                for consumer in [consumer for consumer, its_loop in self.open.items() if its_loop is loop]:
                    consumer.cancel()
                loop.run_until_complete(self._all_gone())

    async def _all_gone(self, within_s: float = CLOSED_TIMEOUT_S) -> bool:
        """Return True as soon as all connections have ended, or False after ``within_s`` seconds."""
        gone = asyncio.Event()
        self.gone = asyncio.get_running_loop(), gone
        if self.open:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(gone.wait(), within_s)
        return not self.open

    def _drains(self) -> bool:
        """Return True if the server has a handler of SIGTERM that can be called later.

        A handler that is called by the event loop does not count: the loop calls it at once in any case.
        """
        handler = self.servers.get(signal.SIGTERM)
        return handler is not None and _module(handler) not in LOOPS

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        if not (_is_main() and callable(signal.getsignal(signal.SIGTERM))):
            return
        found = {int(number): signal.getsignal(number) for number in SIGNALS}
        self.servers = {number: handler for number, handler in found.items() if callable(handler)}
        self.loop = loop
        for number in self.servers:
            signal.signal(number, lambda number, frame: self._stop(loop, number, frame))
        server = getattr(self.servers[signal.SIGTERM], "__self__", None)
        if hasattr(server, "servers") and hasattr(server, "server_state"):  # uvicorn
            self._look(loop, server)

    def _look(self, loop: asyncio.AbstractEventLoop, server: Any) -> None:
        """Check whether the server has stopped without a signal; if so, release the connections it awaits."""
        if not any(listener.is_serving() for listener in server.servers):
            if not server.server_state.tasks:
                self.loop = None  # the loop may have another server next
                return
            if self.waiting is not None:
                self.waiting.release()
        loop.call_later(LOOK_S, self._look, loop, server)

    def _stop(self, loop: asyncio.AbstractEventLoop, number: int, frame: FrameType | None) -> None:
        """Begin the drain, or stop at once at the second signal; runs in the signal handler."""
        if number == signal.SIGTERM and self._is_repeated():
            return
        if not (drain_seconds() and self._drains()):
            if self.waiting is not None and self.held is None:
                self.held = number
                loop.call_soon_threadsafe(self._begin_stop)
                return
            self._restore()
            self._pass_on()  # before this one, as they came
            self.servers[number](number, frame)
            return
        if self.waiting is not None:
            loop.call_soon_threadsafe(self.waiting.stop)
        if not admissions.draining:
            admissions.refuse_all()
            loop.call_soon_threadsafe(self._begin)
            return
        log.warning("second signal: ending at once with %d websockets open", len(self.open))
        if self.task is not None:
            self.task.cancel()
        self._restore()
        self._end_at_once()

    def _is_repeated(self) -> bool:
        """Return True, once, for a SIGTERM of a worker that stops already.

        Ctrl-C and systemd send their signal to all processes, and then the parent of the workers stops them.
        """
        is_worker = parent_process() is not None or "gunicorn.arbiter" in sys.modules
        if self.repeated or not is_worker or not (admissions.draining or self.held is not None):
            return False
        self.repeated = True
        return True

    def _begin_stop(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._stop_after_parked())

    def _pass_on(self) -> None:
        """Give the server the signal that was held back, unless it has got it before a second one."""
        number, self.held = self.held, None
        if number is not None:
            self._restore()
            self.servers[number](number, None)

    async def _stop_after_parked(self) -> None:
        """Let the server stop, after ``waiting`` has finished.

        Consumers of clients without a socket here get a moment for their ``disconnect()`` first.
        """
        assert self.waiting is not None
        await until(self.waiting.is_finished, self.waiting.stop())
        await until(lambda: not any(consumer.is_parked() for consumer in self._own()), PARKED_TIMEOUT_S)
        await self._end_left()
        asyncio.get_running_loop().call_soon(self._pass_on)  # the server's handler may raise

    async def _end_left(self, within_s: float = CLOSED_TIMEOUT_S) -> None:
        """Wait for the calls that the server does not wait for; cancel those that run after ``within_s``.

        After that the process ends, also while they run.
        """
        waiting = self.waiting
        if waiting is None or await until(lambda: not waiting.outliving(), within_s):
            return
        late = waiting.outliving()
        names = listed(map(on_one_line, late.values()), limit=3)
        log.warning("stopping: cancelled what had not ended in time: %s", names)
        for call in late:
            call.cancel()
        await until(lambda: not waiting.outliving(), CLOSED_TIMEOUT_S)

    def _own(self) -> list[Running]:
        """Return the connections of the running event loop; a server in a thread has others."""
        own = asyncio.get_running_loop()
        return [consumer for consumer, loop in tuple(self.open.items()) if loop is own]

    def _end_at_once(self) -> None:
        """Stop the server without waiting for its connections, and guarantee that the process ends."""
        handler = self.servers[signal.SIGTERM]
        _stop_server(handler)
        server = getattr(handler, "__self__", None)
        if hasattr(server, "force_exit"):
            server.force_exit = True  # type: ignore[union-attr]
        else:  # like Ctrl-C during a stop
            self.servers.get(signal.SIGINT, handler)(signal.SIGINT, None)
        # The interpreter waits for its threads at exit, and a handler may block one of them.
        last_resort = threading.Timer(CLOSED_TIMEOUT_S, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()

    def _restore(self) -> None:
        for number, handler in self.servers.items():
            signal.signal(number, handler)

    def _begin(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._close_all())

    async def _close_all(self) -> None:
        """Close the open connections evenly over the drain time, then let the server stop.

        Those of a server in a thread are closed too, because the process is about to end.
        """
        seconds = drain_seconds()
        consumers = list(self.open)
        log.warning("stopping: closing %d websockets over %g s", len(consumers), seconds)
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), seconds / max(len(consumers) - 1, 1)
        closing = []
        for number, consumer in enumerate(consumers):
            # Each connection has its own time, so that slow closes and late timers do not add up.
            if await self._all_gone(began + number * pause - loop.time()):
                break
            if (its_loop := self.open.get(consumer)) is not None:
                closing.append(asyncio.ensure_future(on_its_loop(its_loop, consumer.close, SERVICE_RESTART)))
        end = loop.time() + CLOSED_TIMEOUT_S
        if closing:
            await asyncio.wait(closing, timeout=CLOSED_TIMEOUT_S)
        if not await self._all_gone():
            log.warning(
                "stopping: cancelled what had not ended %g s later: %s", CLOSED_TIMEOUT_S, _names(self.open)
            )
            for consumer, its_loop in tuple(self.open.items()):
                with contextlib.suppress(RuntimeError):  # that loop is no more
                    its_loop.call_soon_threadsafe(consumer.cancel)
        ended = await self._all_gone()
        if ended:
            await self._end_left(end - loop.time())
        self._restore()
        if ended:
            _stop_server(self.servers[signal.SIGTERM])
        else:
            log.error("stopping: ending without these, which block their threads: %s", _names(self.open))
            self._end_at_once()


def _names(consumers: Iterable[Running]) -> str:
    return listed((consumer.name() for consumer in consumers), limit=3)


async def on_its_loop(
    loop: asyncio.AbstractEventLoop, close: Callable[[int], Coroutine[Any, Any, None]], code: int
) -> None:
    """Await ``close(code)`` on the event loop of its connection, if that is not closed."""
    if loop is asyncio.get_running_loop():
        await close(code)
    elif not loop.is_closed():
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(close(code), loop))


def before_threads_are_joined(callback: Callable[[], object]) -> None:
    """Call ``callback`` when the interpreter exits, in its main thread, before it waits for other threads.

    ``atexit`` is too late for that. concurrent.futures uses the same function, though it has no public name.
    Where there is none, nothing is called.
    """
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        register(callback)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _module(handler: Handler) -> str:
    return (getattr(handler, "__module__", None) or "").partition(".")[0]


def _stop_server(handler: Handler) -> None:
    """Stop the server as for SIGTERM; uvicorn by its flag, since its handler makes the exit code 143."""
    server = getattr(handler, "__self__", None)
    if hasattr(server, "should_exit"):
        server.should_exit = True  # type: ignore[union-attr]
    else:
        handler(signal.SIGTERM, None)


def drain_seconds() -> float:
    """Return the setting ``DRAIN_SECONDS``: the seconds over which the closes are spread; 0: no drain."""
    return settings.seconds("DRAIN_SECONDS")


drain = Drain()
"""The drain of this process."""
