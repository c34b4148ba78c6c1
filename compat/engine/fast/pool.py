"""A queue of connections with waiting messages, and the fewest worker threads that keep it empty.

A connection is in its loop's queue at most once; a lock is its token. A worker takes a connection, handles
its next message, releases the token, and takes the next connection. A connection with more messages is queued
again after a turn of the event loop, so that a task that one handler has started begins before the next
handler runs. A worker waits for that turn if the handler of a client's frame has used the loop and the
client's next frame is there. So the frames that a client sends to a room in a row reach each member together.

Normally one worker runs. Others are woken only if it is stuck in a handler, which a tick detects, because
more threads would compete for the GIL. Before a handler of a message type that was slow the last time,
another worker takes the queue. A worker whose handler waits for a client to read does not count among the
``CHANNEL_THREADS``, so that slow clients do not delay others.

A worker enters asgiref once per busy period, so that ``async_to_sync`` in a handler finds the event loop in
the documented way. After that it stays parked for a moment, because waking it is cheaper than entering again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from asgiref.sync import sync_to_async

from compat.clock import steady
from compat.engine.fast.thread_locals import LoopForThreads
from compat.engine.fast.workers import FrameSlot, Runnable, Worker
from compat.engine.scheduler import made_for
from compat.engine.shielding import begun
from compat.engine.threads import Threads, executor, thread_limit
from compat.metrics import Throttle

__all__ = ["TICK_S", "Pool", "pool_of"]

TICK_S = 0.001
"""Seconds after which a handler counts as stuck and another worker takes the queue."""

FLUSH_EVERY = 256
"""The number of messages that a busy worker handles between two wake-ups of the loop."""

SLICE_S = 0.001
"""Seconds after which the loop has a turn for other work, even if more connections have frames."""

PARK_S = 0.005
"""Seconds that a worker without work stays parked before it leaves its thread."""

NO_THREAD_S = 0.1
"""Seconds until the pool tries to start a thread again, after the system has refused one."""

log = logging.getLogger("compat.consumer")

_throttle = Throttle()


class Pool:
    """The ready queue of one event loop and the workers that drain it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.loop_for_threads = LoopForThreads(loop, self._used)
        self.size = thread_limit()
        self.ready: deque[Runnable] = deque()
        self.again: deque[Runnable] = deque()
        """Connections with more messages, whose token is held; they are queued after a turn of the loop."""
        self.turning = False
        """True while ``_turn`` is scheduled for the connections in ``again``."""
        self.entered = 0
        """How often handlers have used the loop."""
        self.touched: deque[Runnable] = deque()
        """Connections whose task must be woken: to send frames, or to end."""
        self.vacant: deque[FrameSlot] = deque()
        """Slots whose frame has been taken while the reader waited for that."""
        self.lock = threading.Lock()
        """Held to change ``active``, and while a worker decides to leave, so that no wake-up is lost."""
        self.active: set[Worker] = set()
        self.parked: Worker | None = None
        """A worker without work that waits ``PARK_S`` for more, or None."""
        self.barren_until = 0.0
        """No thread is started before this time, because the system has refused one."""
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
        """Wake up to ``wanted`` more workers, if there is work and the limit is not reached."""
        for _ in range(wanted):
            with self.lock:
                if not self.ready or len(self.active) >= self.size:
                    break
                if self.parked is None and steady() < self.barren_until:
                    break
                parked, self.parked = self.parked, None
                worker = parked or Worker()
                worker.begin()
                self.active.add(worker)
            if parked is not None:
                parked.bell.release()
            else:
                self._launch(worker)
        self._ensure_tick()

    def _launch(self, worker: Worker) -> None:
        threads = executor()
        enter = sync_to_async(self._work, thread_sensitive=False, executor=threads)
        task = begun(self.loop, enter(worker, threads))
        self.tasks.add(task)
        task.add_done_callback(lambda task: self._left(worker, task))

    def _left(self, worker: Worker, task: asyncio.Task[None]) -> None:
        """Handle that a worker has left its thread; if it got none, try again later."""
        self.tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        with self.lock:
            self.active.discard(worker)
        if count := _throttle.due(type(error)):
            log.error("a worker of sync handlers has no thread (%d times): %r", count, error)
        self.barren_until = steady() + NO_THREAD_S
        self.loop.call_later(NO_THREAD_S, self._kick)

    def is_at_work(self) -> bool:
        """Return False while no worker can take the queue, because all are in handlers that are slow."""
        with self.lock:
            return len(self.active) < self.size or not all(worker.slow for worker in self.active)

    def _ensure_tick(self) -> None:
        if not self.ticking:
            self.ticking = True
            self.loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        """Look after the workers; repeat this after ``TICK_S`` while it is needed, or if it has raised."""
        again = True
        try:
            again = self._look_after_workers()
        finally:
            self.ticking = again
            if again:
                self.loop.call_later(TICK_S, self._tick)

    def _look_after_workers(self) -> bool:
        """Mark workers that are still in the handler of the last tick as stuck, and start others."""
        fast = stuck = 0
        with self.lock:  # building a tuple may collect garbage, which lets other threads run
            workers = tuple(self.active)
        for worker in workers:
            if worker.look():
                kind = None if (connection := worker.connection) is None else connection.kind()
                if kind is not None:
                    self.slow_kinds.add(kind)
            stuck, fast = stuck + worker.slow, fast + (not worker.slow)
        self.flush()
        if self.ready and not fast:
            self.start(max(1, stuck))
            with self.lock:  # the new ones may block as well
                fast = sum(not worker.slow for worker in self.active)
        return bool(fast or (self.ready and len(self.active) < self.size))

    def flush(self) -> None:
        """Wake the tasks of the touched connections, which may write; the rest in the next turn."""
        self.flushing = False
        self.free_slots()
        until = steady() + SLICE_S
        while self.touched:
            self.touched.popleft().wake()
            if steady() > until:  # workers go on meanwhile, and touch others
                self.flush_soon()
                break

    def _used(self) -> None:
        """Note that a handler uses the loop, which takes the time to wake readers."""
        self.entered += 1
        self.free_slots()

    def free_slots(self) -> None:
        """Wake the readers of clients whose last frame has been taken."""
        while self.vacant:
            self.vacant.popleft().free_frame()

    def _turn(self) -> None:
        """Queue the connections in ``again`` two turns from now.

        The callbacks that their handlers have scheduled run in this turn or the next, and the tasks that
        those create begin in the turn after that.
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
        """Queue ``connection``, whose token the caller holds, after a turn of the loop."""
        self.again.append(connection)
        if not self.turning:
            self.turning = True
            self._soon(self._turn)

    def await_turn(self) -> bool:
        """Wait for a turn of the loop, as ``after_a_turn``; return False if it has not come within a tick."""
        over = threading.Lock()
        over.acquire()
        self._soon(self.loop.call_soon, self.loop.call_soon, over.release)
        return over.acquire(timeout=TICK_S)

    def flush_soon(self) -> None:
        """Have the loop wake the tasks of the touched connections, and the readers of empty slots."""
        if (self.touched or self.vacant) and not self.flushing:
            self.flushing = True
            self._soon(self.flush)

    def _soon(self, callback: Callable[..., object], *args: Any) -> None:
        try:
            self.loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            pass  # the loop has been closed while a handler still ran

    def hand_over(self, worker: Worker) -> None:
        """Let another worker take the queue, because ``worker`` is about to run a slow handler."""
        worker.slow_down()
        with self.lock:
            if not self.ready or not all(worker.slow for worker in self.active):
                return
        self._soon(self.start, 1)

    @contextlib.contextmanager
    def step_aside(self, worker: Worker) -> Iterator[None]:
        """Let another worker take the place of ``worker``, whose handler waits for its client."""
        with self.lock:
            self.active.discard(worker)
        threads = executor()
        threads.step_aside(1)
        try:
            if self.ready:
                self._soon(self.start, 1)
            yield
        finally:
            with self.lock:
                # If another worker has the queue now, this one leaves it after its handler.
                if self.active:
                    worker.slow_down()
                self.active.add(worker)
            threads.step_aside(-1)
            self._soon(self._ensure_tick)  # its handler may block again

    def _work(self, worker: Worker, threads: Threads) -> None:
        """Take connections until none is left, or until another worker has the queue: one busy period.

        The period also ends if ``threads`` are short: another call gets the thread first.
        """
        ready, turns = self.ready, 0
        while True:
            if worker.slow and not self._stay(worker):
                return
            try:
                connection = ready.popleft()
            except IndexError:
                if not self.turning:  # otherwise wait, for a tick at most, to send more frames at once
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
            worker.run(connection)
            turns += 1
            if threads.short:
                self._give_way(worker)
                return
            if worker.slow or turns % FLUSH_EVERY == 0:
                self.flush_soon()

    def _give_way(self, worker: Worker) -> None:
        """Leave the queue to another worker, which starts after the calls that wait for a thread."""
        with self.lock:
            self.active.discard(worker)
        self.flush_soon()
        self._soon(self._kick)

    def _woken(self, worker: Worker) -> bool:
        """Stay parked for ``PARK_S``; return True if the loop has woken this worker, else False."""
        if worker.bell.acquire(timeout=PARK_S):
            return True
        with self.lock:
            if self.parked is worker:
                self.parked = None
                return False
        worker.bell.acquire()  # the loop has just chosen this worker, and is about to release the bell
        return True

    def _stay(self, worker: Worker) -> bool:
        """Return False if this worker, back from a slow handler, must leave since another has the queue."""
        self.flush_soon()
        with self.lock:
            if any(not other.slow for other in self.active):
                self.active.discard(worker)
                return False
            worker.speed_up()
        self._soon(self._ensure_tick)
        return True


_pools: dict[asyncio.AbstractEventLoop, Pool] = {}


def pool_of(loop: asyncio.AbstractEventLoop) -> Pool:
    """Return the pool of ``loop``, which is made at the first call."""
    return _pools.get(loop) or made_for(loop, _pools, Pool)
