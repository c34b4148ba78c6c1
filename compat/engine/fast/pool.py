"""A ready queue of connections with something to do, drained by as few threads as keep up with it.

A connection is in its loop's queue at most once; a lock is its token. A worker thread takes a connection,
runs its next message, lets go of it, and takes the next. A connection with more messages is queued again when
the event loop has had a turn: what one handler has asked of the loop has begun when the next one runs. One
worker runs; others are woken only when it is stuck in a handler, which a tick notices (more threads than
needed cost: they fight for the GIL). Message types that were slow before are handed over before they run.

A worker enters asgiref once per busy period, so ``async_to_sync`` in a handler finds the event loop by its
public rules. It stays parked for a moment afterwards, and is woken rather than entered again.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine
from typing import Any, Protocol

from asgiref.sync import sync_to_async

from compat.engine.scheduler import made_for
from compat.engine.shielding import begun
from compat.engine.threads import executor, thread_limit

__all__ = ["TICK_S", "Pool", "Worker", "pool_of"]

TICK_S = 0.001
"""How long a handler may run before it counts as stuck and another worker takes over."""

FLUSH_EVERY = 256
"""Turns of a busy worker between two wake-ups of the loop."""

PARK_S = 0.005
"""How long a worker without work waits for more before it leaves its thread."""


class Runnable(Protocol):
    """What the pool needs of a connection."""

    def run_next(self, worker: Worker) -> None:
        """In a worker: handle a message, and let go of the token."""

    def kind(self) -> Any:
        """Return a key of the handler that runs: one that is slow is expected to be slow again."""

    def wake(self) -> None:
        """On the loop: look at what the workers have left."""


class Worker:
    """One busy thread, as the loop sees it."""

    __slots__ = ("bell", "connection", "seen", "slow", "turns")

    def __init__(self) -> None:
        self.bell = threading.Lock()
        """Held by this worker; the loop releases it to wake the worker where it is parked."""
        self.bell.acquire()
        self.turns = 0
        self.seen = -1
        """``turns`` at the last tick: the same again means that a handler is stuck."""
        self.slow = False
        self.connection: Runnable | None = None
        """What it runs."""


class Home:
    """An event loop as asgiref's ``async_to_sync`` needs it, in the thread of a handler.

    Its thread waits until its task has ended, however long. So the task begins in any case.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """As the loop's, which ``asyncio.run()`` may end before the task has begun."""
        begun(self._loop, coroutine)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class Pool:
    """The ready queue of one event loop and the workers that drain it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.home = Home(loop)
        self.size = thread_limit()
        self.ready: deque[Runnable] = deque()
        self.again: deque[Runnable] = deque()
        """Connections with another message, whose token is held: they are queued after a turn of the loop."""
        self.turning = False
        """Such a turn is under way, or asked for."""
        self.touched: deque[Runnable] = deque()
        """Connections that the loop has to look at: frames to send, an end, a place for a frame."""
        self.lock = threading.Lock()
        """Held to change ``active``, and by a worker that decides to leave: a wake-up cannot be lost."""
        self.active: set[Worker] = set()
        self.parked: Worker | None = None
        """One that has nothing to do, and stays for a moment in case that changes."""
        self.tasks: set[asyncio.Task[None]] = set()
        self.slow_kinds: set[Any] = set()
        self.kicked = self.flushing = self.ticking = False

    # On the loop

    def submit(self, connection: Runnable) -> None:
        """Queue ``connection``, whose token the caller holds."""
        self.ready.append(connection)
        if not self.kicked:
            self.kicked = True
            self.loop.call_soon(self._kick)

    def _kick(self) -> None:
        self.kicked = False
        with self.lock:
            needed = all(worker.slow for worker in self.active)
        if needed:
            self.start(1)
        self._ensure_tick()

    def start(self, wanted: int) -> None:
        """Wake up to ``wanted`` more workers, as far as there is work and the limit allows."""
        for _ in range(wanted):
            with self.lock:
                if not self.ready or len(self.active) >= self.size:
                    break
                parked, self.parked = self.parked, None
                worker = parked or Worker()
                worker.slow, worker.seen = False, -1
                self.active.add(worker)
            if parked is not None:
                parked.bell.release()
            else:
                self._launch(worker)
        self._ensure_tick()

    def _launch(self, worker: Worker) -> None:
        enter = sync_to_async(self._work, thread_sensitive=False, executor=executor())
        task = begun(self.loop, enter(worker))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _ensure_tick(self) -> None:
        if not self.ticking:
            self.ticking = True
            self.loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        """While workers run: one still in the handler of last time counts as stuck, and others take over."""
        fast = stuck = 0
        for worker in tuple(self.active):
            if not worker.slow and worker.turns == worker.seen:
                worker.slow = True
                connection = worker.connection
                if connection is not None:
                    self.slow_kinds.add(connection.kind())
            worker.seen = worker.turns
            stuck, fast = stuck + worker.slow, fast + (not worker.slow)
        self.flush()
        if self.ready and not fast:
            self.start(max(1, stuck))
        if fast or (self.ready and len(self.active) < self.size):
            self.loop.call_later(TICK_S, self._tick)
        else:
            self.ticking = False

    def flush(self) -> None:
        """Let the tasks of the touched connections look."""
        self.flushing = False
        while self.touched:
            self.touched.popleft().wake()

    def _turn(self) -> None:
        """Queue the connections that wait for a turn of the loop when it has had one.

        What their handlers have asked of the loop is called in this turn or the next, and the tasks that it
        makes begin in the one after that.
        """
        self.loop.call_soon(self.loop.call_soon, self._turned, len(self.again))

    def _turned(self, count: int) -> None:
        for _ in range(count):
            self.ready.append(self.again.popleft())
        self._kick()
        self.turning = False
        if self.again:
            self.turning = True
            self._turn()

    # In worker threads

    def after_a_turn(self, connection: Runnable) -> None:
        """Queue ``connection``, whose token the caller holds, when the loop has had a turn."""
        self.again.append(connection)
        if not self.turning:
            self.turning = True
            try:
                self.loop.call_soon_threadsafe(self._turn)
            except RuntimeError:
                pass  # the loop has been closed under a handler that still ran

    def flush_soon(self) -> None:
        """Have the loop look at the touched connections."""
        if self.touched and not self.flushing:
            self.flushing = True
            try:
                self.loop.call_soon_threadsafe(self.flush)
            except RuntimeError:
                pass  # the loop has been closed under a handler that still ran

    def hand_over(self, worker: Worker) -> None:
        """Before ``worker`` runs a handler that is known to be slow: have another worker take the queue."""
        worker.slow = True
        with self.lock:
            if not self.ready or not all(worker.slow for worker in self.active):
                return
        try:
            self.loop.call_soon_threadsafe(self.start, 1)
        except RuntimeError:
            pass

    def _work(self, worker: Worker) -> None:
        """A busy period: take connections until there are none, or until another worker does it as well."""
        ready, turns = self.ready, 0
        while True:
            if worker.slow and not self._stay(worker):
                return
            try:
                connection = ready.popleft()
            except IndexError:
                if not self.turning:  # or those that come again add to what is sent, for a tick at most
                    self.flush_soon()
                with self.lock:
                    if ready:
                        continue
                    self.active.discard(worker)
                    if self.parked is not None:
                        return
                    self.parked = worker
                if not self._woken(worker):
                    return
                continue
            worker.turns += 1
            worker.connection = connection
            connection.run_next(worker)
            worker.connection = None
            turns += 1
            if worker.slow or turns % FLUSH_EVERY == 0:
                self.flush_soon()

    def _woken(self, worker: Worker) -> bool:
        """Wait parked: a thread that is still there is cheaper to wake than one that has to be entered."""
        if worker.bell.acquire(timeout=PARK_S):
            return True
        with self.lock:
            if self.parked is worker:
                self.parked = None
                return False
        worker.bell.acquire()  # the loop has just taken it out, and releases the bell
        return True

    def _stay(self, worker: Worker) -> bool:
        """Back from a slow handler: False when a fast worker has the queue, and this one is to leave."""
        self.flush_soon()
        with self.lock:
            if any(not other.slow for other in self.active):
                self.active.discard(worker)
                return False
            worker.slow = False
        try:
            self.loop.call_soon_threadsafe(self._ensure_tick)
        except RuntimeError:
            pass
        return True


_pools: dict[asyncio.AbstractEventLoop, Pool] = {}


def pool_of(loop: asyncio.AbstractEventLoop) -> Pool:
    """The pool of ``loop``; those of loops that have been closed are forgotten when a new one begins."""
    return _pools.get(loop) or made_for(loop, _pools, Pool)
