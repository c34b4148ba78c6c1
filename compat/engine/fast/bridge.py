"""Run sync consumers on a thread pool, without a task and a wake-up of the loop for each handler.

A handler's frames are appended to its connection's queue. The loop is woken once for the frames of several
handlers, and the connection's task sends them. A handler that is 64 frames ahead of its client blocks. Each
connection has one context, so a handler sees the context variables that the previous handler has set. This
relies on internals of asgiref, which ``thread_locals`` names.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading

from compat import db, logs
from compat.clock import steady
from compat.engine.connection import CLOSE_TIMEOUT_S, Connection
from compat.engine.contracts import FRAMES_BEFORE, SyncHandlers
from compat.engine.cursors import Progress
from compat.engine.dispatching import blocking_dispatch
from compat.engine.fast import framing
from compat.engine.fast.forgetting import forget_handshake
from compat.engine.fast.handling import MAX_UNSENT, Handling
from compat.engine.fast.pool import pool_of
from compat.engine.fast.sync_inbox import SyncInbox
from compat.engine.fast.unframing import unframe
from compat.engine.fast.unsent import kept
from compat.engine.fast.workers import Worker
from compat.engine.reader import TaskReader
from compat.engine.scheduler import Scheduler
from compat.engine.shielding import uncancel, whole
from compat.engine.socket import Socket, says_gone
from compat.engine.threads import (
    closing_old_connections,
    executor,
    interrupted_by,
    observed,
    require_own_thread,
)
from compat.exceptions import StopConsumer
from compat.redis.waiting import settle
from compat.types import Message

__all__ = ["Bridge"]


class Bridge(Handling):
    """One sync consumer's connection: its inbox, its queue of frames to send, its token and its context."""

    __slots__ = (
        *("busy", "connection", "draining", "error", "finished", "given_up", "hurried", "touched"),
        *("waiter", "worker"),
    )

    def __init__(self, consumer: SyncHandlers, socket: Socket, scheduler: Scheduler) -> None:
        loop = socket.loop
        super().__init__(consumer, socket, pool_of(loop))
        self.inbox = SyncInbox(loop, scheduler, self)
        self.busy = threading.Lock()
        """The token: its holder runs a handler, or has queued the connection for a worker."""
        self.worker: Worker | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.connection: Connection | None = None
        """The consumer's connection while it runs, else None."""
        self.error: Exception | None = None
        self.touched = self.finished = False
        self.draining = self.hurried = self.given_up = False

    # On the loop

    def schedule(self) -> bool:
        """Queue this connection for a worker; return False if it is queued, running, ended or full."""
        if len(self.out) < MAX_UNSENT and not self.stopped() and self.busy.acquire(blocking=False):
            self.pool.submit(self)
            return True
        return False

    def is_due(self) -> bool:
        """Return True if a worker is about to take a message, and in no handler that is known to be slow."""
        if not self.busy.locked() or self.stopped() or len(self.out) >= MAX_UNSENT:
            return False
        worker = self.worker
        return self.pool.is_at_work() if worker is None else not worker.slow

    def limit_stay(self) -> None:
        """Call ``Connection.limit_stay``."""
        if self.connection is not None:
            self.connection.limit_stay()

    def stopped(self) -> bool:
        """Return True if no further message will be handled."""
        return self.finished or self.closing or self.error is not None

    def wake(self) -> None:
        """Send the queued frames, or wake this connection's task for what may wait."""
        self.touched = False
        waiter = self.waiter
        if waiter is not None and self.out and self.socket.framed is not None and self._write_all():
            return
        if waiter is not None:
            self.waiter = None
            settle(waiter)
        elif self.draining:
            self._hurry()

    def _write_all(self) -> bool:
        """Write the queued frames; return False if anything is left for the connection's task."""
        if self.closing:
            return False
        inbox = self.inbox
        self.write_out()
        if self.out or self.stopped() or inbox.failure is not None:
            return False
        self.tell_room()
        inbox.shrink()
        if inbox.events or inbox.frame is not None:
            self.schedule()
        return True

    def _hurry(self) -> None:
        """Limit the time of a send that is under way, if a handler has ended the consumer."""
        connection = self.connection
        if connection is None or self.hurried or not (self.finished or self.error is not None):
            return
        self.hurried = True
        if self.error is not None:
            connection.announced(self.error)
        self.pool.loop.call_later(CLOSE_TIMEOUT_S, self._give_up, connection)

    def _give_up(self, connection: Connection) -> None:
        if self.draining and connection is self.connection:
            self.given_up = True
            connection.cancel()

    async def run(self, connection: Connection) -> None:
        """Run the consumer until it stops, its client leaves, a handler raises, or the task is cancelled."""
        self.connection = connection
        handle = blocking_dispatch(self.consumer.dispatch)
        self.handle = functools.partial(closing_old_connections, handle) if db.watched() else handle
        protocol = self.inbox.scheduler.bursts.protocol_of(connection.receive, self.socket.raw_send)
        error: BaseException | None = None
        try:
            self.context.run(logs.enter, self.consumer, self.inbox.channel)
            connection.begin(TaskReader, protocol, work=self)
            if "framing" in self.inbox.scheduler.parts:
                framing.attach(self.socket)
                unframe(self.socket.framed)
            self.handle = observed(self.handle, connection.timing, connection.tracing, self.context)
            await self._pump()
        except BaseException as raised:
            if connection.let_go_if_dropped(raised):
                raise
            error = raised
            if isinstance(raised, asyncio.CancelledError) and self.given_up:
                uncancel()
                error = self.error or StopConsumer()
            elif isinstance(raised, asyncio.CancelledError) and not self.inbox.ended:
                for task in tuple(self.nested):
                    task.cancel()
        self.draining = False
        try:
            await connection.end(error)
        finally:
            error = None
            own = self.consumer._compat_own_call
            if own is None or own.held is not connection:  # otherwise it has not ended yet
                self.connection = None
                del self.consumer, self.handle, self.inbox  # which are in reference cycles

    async def _pump(self) -> None:
        """Send the queued frames of handlers, until a handler has ended the consumer."""
        inbox, handshake_kept = self.inbox, True
        while True:
            if self.out:
                self.draining = True
                self._hurry()
                await self._drain()
                self.draining = False
            if self.error is not None:
                raise self.error
            if self.finished:
                raise StopConsumer
            inbox.free_frame()
            inbox.shrink()
            if inbox.events or inbox.frame is not None:
                self.schedule()
            elif inbox.failure is not None:
                raise inbox.failure
            handshake_kept = handshake_kept and not forget_handshake(self.socket.framed)
            await self._waiting()

    async def _drain(self) -> None:
        """Send the queued frames; an error ends the consumer, unless it means that the client has left."""
        out, socket = self.out, self.socket
        several = len(out) > 1 and socket.protocol is not None
        burst = self.inbox.scheduler.bursts.begin(socket.protocol, self.inbox, steady()) if several else None
        while out:
            if socket.shut:
                self.drop_unsent()
                break
            message = out[0]
            try:
                await self.send_next()
            except Exception as error:  # noqa: BLE001 - any server, and any middleware around its send
                self.drop_unsent()
                await self._failed(message, error)
        if burst is not None:
            burst.end()
        self.tell_room()

    async def _failed(self, message: Message, error: Exception) -> None:
        try:
            await self.socket.failed(message, error)
        except Exception as raised:  # noqa: BLE001 - what ``error`` means
            goes_on = self.connection is not None and self.connection.goes_on_after(raised)
            if not goes_on and self.error is None:
                self.error = raised

    def _waiting(self) -> asyncio.Future[None]:
        """Return a future that is done when ``wake`` is called."""
        self.waiter = waiter = self.pool.loop.create_future()
        return waiter

    async def flush(self) -> None:
        """Send the queued frames, for ``CLOSE_TIMEOUT_S`` at most; no further message is handled."""
        self.closing = True
        self.tell_room()
        if self.out:
            (await whole(self._drain(), CLOSE_TIMEOUT_S)).cancel()
            self.drop_unsent()

    def write_rest(self) -> None:
        if not self.draining:
            self.write_out()

    def progress(self) -> Progress:
        """See ``contracts.Work``; a message counts as running, too, if its handler has failed or has closed,
        or if it was taken after the close.
        """
        busy = self.busy.locked()  # first: a worker that ends has put its frames into ``out``
        running = (busy or self.error is not None) and not self.inbox.turn  # ``turn``: it is a client's
        return Progress(max(int(running), self.late), self.begun + len(self.out), self.sent, busy=busy)

    async def idle(self) -> None:
        """Wait until no handler runs, even if cancelled, and keep the token, so that none starts."""
        cancelled: asyncio.CancelledError | None = None
        while not self.busy.acquire(blocking=False):
            try:
                await self._waiting()
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def call(self, message: Message) -> None:
        """Run the handler of ``message`` in a thread after ``idle``, when no other handler runs."""
        # A running thread cannot be cancelled, but a task that waits for it can, hence ``whole``.
        await whole(self.pool.loop.run_in_executor(executor(), self.handle_alone, message))

    # In worker threads

    def emit(self, message: Message) -> None:
        """Queue a copy of an ASGI message to the client, from any thread; block while ``MAX_UNSENT`` wait.

        Raises RuntimeError in a thread that runs an event loop, because it would block that loop.
        """
        require_own_thread()
        socket, out = self.socket, self.out
        if len(out) >= MAX_UNSENT:  # before the append, so that a handler that sends once need not wait
            worker = self.worker if threading.get_ident() == self.thread else None
            with contextlib.nullcontext() if worker is None else self.pool.step_aside(worker):
                self._wait_for_room()
            if self.pool.loop.is_closed():  # nobody sends it any more
                return
        if (socket.closed or message["type"] != "websocket.send") and not socket.admit(message):
            return
        if message["type"] == "websocket.close":
            self.late = int(self.worker is not None and not self.inbox.turn)  # a handler of the layer's
        out.append(kept(message))
        if self.closing and FRAMES_BEFORE in message:
            message[FRAMES_BEFORE].cancel()  # the queue is not sent any more
        if not self.touched:
            self._touch()
        worker = self.worker
        if worker is None or worker.slow or len(out) >= MAX_UNSENT:
            self.pool.flush_soon()

    def _wait_for_room(self) -> None:
        while len(self.out) >= MAX_UNSENT and not (self.closing or self.pool.loop.is_closed()):
            room = self.no_room()
            self.pool.flush_soon()
            if len(self.out) >= MAX_UNSENT and not self.closing:
                room.wait(1)

    def run_next(self, worker: Worker) -> None:
        """Handle one message and release the token; queue the connection again if more messages wait."""
        inbox, pool = self.inbox, self.pool
        self.worker = worker
        try:
            self.handle_next(worker)
        except StopConsumer:
            self.finished = True
        except Exception as error:  # noqa: BLE001 - what a handler raises ends this consumer, and only it
            if not self._goes_on_after(error):
                self.error = error
        except BaseException as error:  # noqa: BLE001 - a task that it awaited was cancelled, or sys.exit()
            self.error = interrupted_by(error)
        finally:
            self.worker = None
            if self.stopped() or inbox.failure is not None:
                self._touch()
            self.busy.release()
        if self.closing:
            self._touch()
            pool.flush_soon()
        elif (inbox.events or inbox.frame is not None) and len(self.out) < MAX_UNSENT and not self.stopped():
            if self.busy.acquire(blocking=False):
                pool.after_a_turn(self)

    def _goes_on_after(self, error: Exception) -> bool:
        """Return what ``Connection.goes_on_after`` does, in a worker thread."""
        connection = self.connection
        if connection is None or self.inbox.ended or not (self.socket.gone and says_gone(error)):
            return False
        self.pool.loop.call_soon_threadsafe(connection.goes_on_after, error)
        return True

    def _touch(self) -> None:
        if not self.touched:
            self.touched = True
            self.pool.touched.append(self)
