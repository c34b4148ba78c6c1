"""The bridge for sync consumers: a ready queue of connections, drained by as few threads as keep up with it.

A connection with something to do is in its loop's ready queue, at most once; a lock is its token. A worker
thread takes a connection, runs a slice of its messages in order, lets go of it, and takes the next. One worker
runs; others are woken only when it is stuck in a handler, which a tick notices (more threads than needed cost:
they fight for the GIL). Message types that were slow before are handed over before they are run.

What a handler sends is appended to the connection's own queue, and the loop is woken once for all that a
worker has done; the connection's task sends it. A handler that is 64 frames ahead of its client blocks.

A worker enters asgiref once per busy period, so ``async_to_sync`` in a handler finds the event loop by its
public rules. Each connection has one context, so contextvars pass from handler to handler.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from asgiref import sync as asgiref_sync
from asgiref.sync import SyncToAsync, sync_to_async

from compat import db
from compat.dispatch import Ending, Socket
from compat.exceptions import StopConsumer
from compat.inbox import Inbox
from compat.settings import settings
from compat.types import Message, Receive

if TYPE_CHECKING:
    from compat.consumer import SyncConsumer

__all__ = ["Pool", "SyncConnection"]

TICK_S = 0.001
"""How long a handler may run before it counts as stuck and another worker takes over."""

SLICE = 32
"""Messages of one connection that a worker runs before it looks at the others."""

FLUSH_EVERY = 256
"""Turns of a busy worker between two wake-ups of the loop."""

MAX_UNSENT = 64
"""Frames that a handler may be ahead of its client before ``send()`` blocks it."""


class Worker:
    """One busy thread, as the loop sees it."""

    __slots__ = ("kind", "seen", "slow", "turns")

    def __init__(self) -> None:
        self.turns = 0
        self.seen = -1
        """``turns`` at the last tick: the same again means that a handler is stuck."""
        self.slow = False
        self.kind: Any = None
        """(class, message type) of what it runs."""


class Pool:
    """The ready queue of one event loop and the workers that drain it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.size = thread_limit()
        self.ready: deque[SyncConnection] = deque()
        self.touched: deque[SyncConnection] = deque()
        """Connections that the loop has to look at: frames to send, an end, a place for a frame."""
        self.lock = threading.Lock()
        """Held to change ``active``, and by a worker that decides to leave: a wake-up cannot be lost."""
        self.active: set[Worker] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.slow_kinds: set[Any] = set()
        self.kicked = self.flushing = self.ticking = False

    # On the loop

    def submit(self, connection: SyncConnection) -> None:
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
                worker = Worker()
                self.active.add(worker)
            self._launch(worker)
        self._ensure_tick()

    def _launch(self, worker: Worker) -> None:
        enter = sync_to_async(self._work, thread_sensitive=False, executor=executor())
        task = self.loop.create_task(enter(worker))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _ensure_tick(self) -> None:
        if not self.ticking:
            self.ticking = True
            self.loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        """While workers run: one that is still in the handler of last time counts as stuck, others take over."""
        fast = stuck = 0
        for worker in tuple(self.active):
            if not worker.slow and worker.turns == worker.seen:
                worker.slow = True
                if worker.kind is not None:
                    self.slow_kinds.add(worker.kind)
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
            connection = self.touched.popleft()
            connection.touched = False
            connection.wake()

    # In worker threads

    def flush_soon(self) -> None:
        """Have the loop look at the touched connections."""
        if self.touched and not self.flushing:
            self.flushing = True
            try:
                self.loop.call_soon_threadsafe(self.flush)
            except RuntimeError:
                pass  # the loop has been closed under a handler that still ran

    def hand_over(self) -> None:
        """Before a handler that is known to be slow: see that somebody else takes the queue."""
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
                self.flush_soon()
                with self.lock:
                    if ready:
                        continue
                    self.active.discard(worker)
                    return
            connection.run_slice(worker)
            turns += 1
            if worker.slow or turns % FLUSH_EVERY == 0:
                self.flush_soon()

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


class SyncInbox(Inbox):
    """An inbox whose reader is a worker thread: a push queues the connection instead of waking a task."""

    __slots__ = ("connection",)
    connection: SyncConnection

    def push(self, message: Message, deadline: float) -> bool:
        if len(self.events) >= self.capacity:
            return self._overflow(message, deadline)
        self.events.append((deadline, message))
        self.connection.schedule()
        return True

    def wake(self) -> None:
        self.connection.schedule()

    @property
    def idle(self) -> bool:
        return not self.connection.busy.locked()

    def fail(self, error: BaseException) -> None:
        self.failure = error
        self.connection.wake()

    def _free(self) -> None:
        pass  # the loop frees the place: ``free_frame``

    def free_frame(self) -> None:
        """On the loop: let the socket's reader go on when the place for a frame is free."""
        if self.frame is None:
            super()._free()


class SyncConnection:
    """One sync consumer's connection: its inbox, its frames on the way out, its token and its context."""

    __slots__ = (
        "busy",
        "closing",
        "consumer",
        "context",
        "current",
        "error",
        "finished",
        "home",
        "inbox",
        "nested",
        "out",
        "pool",
        "room",
        "socket",
        "touched",
        "waiter",
        "worker",
    )

    def __init__(self, consumer: SyncConsumer, socket: Socket) -> None:
        loop = asyncio.get_running_loop()
        self.consumer = consumer
        self.socket = socket
        self.pool = _pool(loop)
        self.inbox = SyncInbox(loop)
        self.inbox.connection = self
        self.out: deque[Message] = deque()
        self.busy = threading.Lock()
        """The token: who holds it may run handlers, or has queued the connection to be run."""
        self.room: threading.Event | None = None
        """Set when a handler that waits to send may look again; made by the first that waits."""
        self.context = contextvars.copy_context()
        self.home: int = 0
        """The thread that ran the last handler."""
        self.nested: list[Any] = []
        """Tasks that ``async_to_sync`` in a handler runs on the loop (asgiref's task context)."""
        self.worker: Worker | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.current: Message | None = None
        self.error: Exception | None = None
        self.touched = self.finished = self.closing = False

    # On the loop

    def schedule(self) -> None:
        """Queue this connection, unless it is queued or running, or its client is too far behind."""
        if len(self.out) < MAX_UNSENT and not self.stopped() and self.busy.acquire(blocking=False):
            self.pool.submit(self)

    def stopped(self) -> bool:
        """True when no further message is to be handled."""
        return self.finished or self.closing or self.error is not None

    def wake(self) -> None:
        """Let this connection's task look."""
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)

    async def run(self, ending: Ending, receive: Receive) -> None:
        """Run the consumer until it stops, its client leaves, a handler raises, or the task is cancelled."""
        async with ending.of(receive):
            try:
                await self._pump()
            except asyncio.CancelledError:
                for task in tuple(self.nested):
                    task.cancel()
                raise
            finally:
                await self._settle()
                ending.current = self.current

    async def _pump(self) -> None:
        """Send what handlers have sent, until one has ended the consumer."""
        inbox = self.inbox
        while True:
            await self._drain()
            if self.error is not None:
                raise self.error
            if self.finished:
                raise StopConsumer
            inbox.free_frame()
            if inbox.events or inbox.frame is not None:
                self.schedule()
            elif inbox.failure is not None:
                raise inbox.failure
            await self._wait()

    async def _drain(self) -> None:
        """Send what waits; an error of the server ends the consumer, unless it says that the client has left."""
        out, socket = self.out, self.socket
        while out:
            try:
                await socket.raw_send(out[0])
            except Exception as error:  # noqa: BLE001 - any server, and any middleware around its send
                out.clear()
                if isinstance(error, OSError) and socket.served and socket.websocket:
                    socket.closed = True
                elif self.error is None:
                    self.error = error
            else:
                out.popleft()
        if self.room is not None:
            self.room.set()

    async def _wait(self) -> None:
        self.waiter = self.pool.loop.create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    async def _settle(self) -> None:
        """Wait for the handler that still runs, if any; afterwards none will. A thread cannot be cancelled."""
        self.closing = True
        if self.room is not None:
            self.room.set()
        cancelled: asyncio.CancelledError | None = None
        while not self.busy.acquire(blocking=False):
            try:
                await self._wait()
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        await self._drain()

    async def call(self, message: Message) -> None:
        """Run the handler of ``message`` by itself, after everything else (see ``_settle``)."""
        run = sync_to_async(self._handle, thread_sensitive=False, executor=executor())
        try:
            await run(message)
        finally:
            await self._drain()

    # In worker threads

    def emit(self, message: Message) -> None:
        """Queue an ASGI message to the client; blocks while ``MAX_UNSENT`` wait already. From any thread."""
        if not self.socket.admit(message):
            return
        out = self.out
        out.append(message)
        self._touch()
        if self.worker is None or self.worker.slow:
            self.pool.flush_soon()
        while len(out) >= MAX_UNSENT and not self.closing:
            self.room = self.room or threading.Event()
            self.room.clear()
            self.pool.flush_soon()
            if len(out) >= MAX_UNSENT and not self.closing:
                self.room.wait(1)

    def run_slice(self, worker: Worker) -> None:
        """Handle messages in order, as many as are there but at most ``SLICE``; then let go of the token."""
        inbox, pool, left = self.inbox, self.pool, SLICE
        self.worker = worker
        try:
            while left and len(self.out) < MAX_UNSENT and not self.closing:
                message = inbox.take()
                if message is None:
                    break
                left -= 1
                self.current = message
                self._run(message, worker)
        except StopConsumer:
            self.finished = True
        except Exception as error:  # noqa: BLE001 - what a handler raises ends this consumer, and only it
            self.error = error
        except BaseException as error:  # noqa: BLE001 - what it awaited was cancelled, or it calls sys.exit()
            self.error = RuntimeError(f"the handler was interrupted by {type(error).__name__}")
            self.error.__cause__ = error
        finally:
            self.worker = None
            if self.stopped() or inbox.space is not None:
                self._touch()
            self.busy.release()
        if self.closing:
            self._touch()
            pool.flush_soon()
        elif (inbox.events or inbox.frame is not None) and len(self.out) < MAX_UNSENT and not self.stopped():
            if self.busy.acquire(blocking=False):
                pool.ready.append(self)

    def _run(self, message: Message, worker: Worker) -> None:
        pool = self.pool
        worker.kind = kind = (type(self.consumer), message.get("type"))
        worker.turns += 1
        if kind not in pool.slow_kinds:
            self._handle(message)
            return
        worker.slow = True
        pool.hand_over()
        began = time.perf_counter()
        self._handle(message)
        if time.perf_counter() - began < TICK_S:
            pool.slow_kinds.discard(kind)

    def _handle(self, message: Message) -> None:
        """Run one handler in this connection's context, where ``async_to_sync`` finds the loop."""
        local = SyncToAsync.threadlocal
        # Each time: a nested sync_to_async on this thread leaves its own values behind.
        local.main_event_loop = self.pool.loop
        local.main_event_loop_pid = os.getpid()
        local.task_context = self.nested
        thread = threading.get_ident()
        if thread != self.home:
            self.home = thread
            self.context.run(_rehome, self.context)
        self.context.run(self._call, message)

    def _call(self, message: Message) -> None:
        db.close_old_connections()
        try:
            self.consumer.dispatch(message)
        finally:
            db.close_old_connections()

    def _touch(self) -> None:
        if not self.touched:
            self.touched = True
            self.pool.touched.append(self)


def _rehome(context: contextvars.Context) -> None:
    """Make asgiref's ``Local`` values of ``context`` visible on this thread, as asgiref itself does."""
    restore = getattr(asgiref_sync, "_restore_context", None)
    if restore is not None:
        restore(context)


def thread_limit() -> int:
    """Setting ``CHANNEL_THREADS``: how many sync handlers may run at once, in this process."""
    size = settings.get("CHANNEL_THREADS")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(
            f"CHANNEL_THREADS must be a whole number of threads (24 by default), or 0 for Channels' one thread; "
            f"found {size!r}"
        )
    return size


_pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = weakref.WeakKeyDictionary()
_executor: ThreadPoolExecutor | None = None
_executor_lock = threading.Lock()


def executor() -> ThreadPoolExecutor:
    """The threads that sync consumers of all event loops of this process share."""
    global _executor
    with _executor_lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(thread_limit(), thread_name_prefix="sync-consumer")
        return _executor


def _pool(loop: asyncio.AbstractEventLoop) -> Pool:
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = Pool(loop)
    return pool
