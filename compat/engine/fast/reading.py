"""Read the socket inside the consumer's task, while it has no message to handle.

A server's own ``receive()`` waits only for a queue. So its coroutine is run up to its first wait, and the
consumer's task waits for the same future. Compared with a second task that reads, this saves a task switch
per message and a task per connection. If middleware wraps ``receive()``, it may have timeouts or cancel
scopes, which belong to one task; then ``engine.reader.TaskReader`` is used.

This relies on three internals of CPython's asyncio: a coroutine yields the future that it waits for; a future
has ``_callbacks``, which include the method that resumes a task; and ``asyncio.Queue.get`` is written in
Python, so that a coroutine that waits in it can be recognised.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import Future
from collections.abc import Awaitable, Callable, Coroutine, Generator
from socket import SO_RCVBUF, SOL_SOCKET
from typing import Any

from compat.engine.contracts import Consumer, Resumed
from compat.engine.events import BETWEEN, NOTHING
from compat.engine.fast import leave_out
from compat.engine.fast.at_once import AtOnce
from compat.engine.fast.framing import pass_frames
from compat.engine.fast.scheduling import Rounds
from compat.engine.inbox import Inbox
from compat.engine.reader import LAST, SocketReader, TaskReader
from compat.redis.waiting import settle
from compat.types import Message, Receive

__all__ = ["FLOOD", "FastInbox", "StepReader", "is_small", "narrow", "read"]

if not (hasattr(Future, "_callbacks") and hasattr(asyncio.Queue.get, "__code__")):
    leave_out("reading", "asyncio's futures or queues are not those of CPython")

OWNERS = (asyncio.BaseProtocol, asyncio.Queue, Resumed)
"""Classes whose methods wait only for a queue: uvicorn's protocols, the queue of a communicator, ours."""

FLOOD, SMALL = 128, 1024
"""A client floods the server with so many frames in a row, each of at most so many bytes or characters."""
NARROW_BYTES = 2**16
"""The kernel's receive buffer for such a client, with the kernel's own overhead."""

_GET = getattr(asyncio.Queue.get, "__code__", None)


class FastInbox(Inbox):
    """An inbox whose task may wait for the socket's future instead of a future of the inbox."""

    __slots__ = ("at_once", "begun", "passer", "reader")

    def __init__(self, loop: asyncio.AbstractEventLoop, scheduler: Rounds) -> None:
        super().__init__(loop, scheduler)
        self.reader: StepReader | None = None
        self.passer: Consumer | None = None
        """The consumer, if finished frames for it need not wake its task."""
        self.at_once: AtOnce | None = None
        """Handles messages of one type without the task, if their handler only sends."""
        self.begun: Any = None
        """The rest of a handler that ``at_once`` has begun and the task has to continue, or None."""

    def read_by(self, reader: StepReader | None) -> None:
        """Read the client's messages through ``reader`` from now on; None stops reading."""
        self.reader = reader

    def pass_by(self, consumer: Consumer | None) -> None:
        """Send finished frames for ``consumer`` while its task waits for the socket; None: stop that."""
        self.passer = consumer

    def handle_by(self, at_once: AtOnce | None) -> None:
        """Let ``at_once`` handle messages while the task waits for the socket; None: stop that."""
        self.at_once = at_once

    def waiting(self) -> Awaitable[Any]:
        """Return an awaitable to wait for after ``take()`` returned None; raise the error of ``fail``."""
        reader = self.reader
        if reader is not None and reader.awaited is not None and self.failure is None:
            return reader
        return super().waiting()

    def take(self) -> Message | None:
        """Return the next message, or None if none waits; frames and events alternate, the frame first."""
        reader = self.reader
        if self.frame is None and reader is not None:
            awaited = reader.awaited
            if awaited is not None and awaited.done() and (frame := reader.step()) is not None:
                self.put_frame(frame)
        if self.turn and self.at_once is not None and self.events and self.cursors is None:
            if not self.at_once.handles(self) and self.begun is not None:
                self.waiter = None
                return self.current
        return Inbox.take(self)

    def wake(self) -> bool | None:
        """Wake the consumer's task as ``Inbox.wake`` does; it stops waiting for the socket's future."""
        reader, waiter = self.reader, self.waiter
        if reader is None or waiter is None or waiter is not reader.awaited:
            return super().wake()
        if self.events and self.cursors is None and not waiter.done():
            if self.at_once is not None and self.at_once.handles(self):
                return True
            if self.begun is None and self.passer is not None and self._pass_on(self.passer):
                return True
        self.waiter = None
        if not waiter.done():
            callbacks: list[Any] | None = waiter._callbacks
            for resume, context in callbacks or ():
                # The future may have other callbacks: asyncio.shield() adds a plain function.
                if getattr(resume, "__self__", None) is self.task:
                    waiter.remove_done_callback(resume)
                    context.run(resume, self.scheduler.done)
                    return self.waiter is not None
        return None

    def take_event(self, kind: object, now: float) -> Message | None:
        """Take the next event and return its message; None if it has expired, or is not of type ``kind``."""
        events = self.events
        deadline, message, copy = events[0]
        if deadline <= now or message.get("type") != kind:
            return None
        if not isinstance(events, tuple):
            events.popleft()
        if not events or isinstance(events, tuple):
            self._emptied()
        self.current, self.due, self.turn = message, deadline, False
        if copy is not None:
            self.current = message = copy()
        return message

    def take_events(self, number: int) -> bool:
        """Take the first ``number`` events, whose frames have been sent; return True if no event is left."""
        if number:
            self.turn = False
        if number == len(self.events):
            self.current = BETWEEN
            self._emptied()
            return True
        events = self.own()
        for _ in range(number):
            _, self.current, _ = events.popleft()
        return False

    def _emptied(self) -> None:
        self.current = BETWEEN
        self.events = NOTHING
        if self.capacity > self.room:
            self.capacity = self.room
        if self.drained is not None:
            self._tell_drained()

    def go_on_with(self, begun: Any) -> None:
        """Let the task continue ``begun``, the handler of the current message; None: it does."""
        self.begun = begun

    def taken(self) -> None:
        """Wake the task for the events that are left, after others have been handled while it waited."""
        self.current = BETWEEN
        if self.events:
            self.scheduler.call(self, self.is_half_full())

    def _pass_on(self, consumer: Consumer) -> bool:
        """Send the finished frames at the front; return True if the task need not be woken now."""
        if not self.events or self.events[0][1].get("type") != "websocket.send":
            return False
        passed = pass_frames(consumer, self.events)
        if passed and not self.take_events(passed):
            self.taken()
        return passed > 0


class StepReader:
    """Runs ``receive()`` for an inbox, up to its next wait, and again when that wait is over.

    The consumer's task waits for the same future as ``receive()``. If a layer's message comes first,
    ``FastInbox.wake`` resumes the task, and ``receive()`` continues to wait.
    """

    __slots__ = ("awaited", "by_queue", "coroutine", "inbox", "last", "receive")

    def __init__(self, receive: Receive, inbox: FastInbox) -> None:
        self.receive = receive
        self.inbox = inbox
        self.coroutine: Coroutine[Any, Any, Message] | None = None
        self.awaited: Future[Any] | None = inbox.scheduler.done
        """The future that ``receive()`` waits for; once done, call ``step``. None: there is no next step."""
        self.by_queue: bool | None = None
        """True if ``receive()`` waits only in ``asyncio.Queue.get``; None before its first wait."""
        self.last: Message | None = None
        """See ``SocketReader``."""
        inbox.read_by(self)

    def step(self) -> Message | None:
        """Return the client's next message, or None if it has not come; then wait for ``awaited``."""
        coroutine = self.coroutine
        if coroutine is None:
            receive: Callable[[], Any] = self.receive
            coroutine = self.coroutine = receive()
        try:
            awaited = coroutine.send(None)
        except StopIteration as returned:
            message: Message = returned.value
        except Exception as error:  # noqa: BLE001 - a server's failure to read is the consumer's to report
            self.awaited = None
            self.inbox.fail(error)
            return None
        else:
            self.awaited = awaited if isinstance(awaited, Future) else self._future_of(awaited)
            if self.by_queue is None:
                waits_in = getattr(getattr(coroutine, "cr_await", None), "cr_code", None)
                self.by_queue = waits_in is _GET
            return None
        self._has_read(message)
        return message

    def returned(self, message: Message) -> None:
        """Record that ``receive()``, whose coroutine the engine's loop has run, has returned ``message``."""
        self._has_read(message)
        self.inbox.took(message)

    def _has_read(self, message: Message) -> None:
        self.coroutine = None
        if message["type"] in LAST:
            self.awaited, self.last = None, message
        else:
            self.awaited = self.inbox.scheduler.done

    def _future_of(self, awaited: Any) -> Future[None]:
        """Return a future for what a coroutine yields: None (wait one turn), or an object like a future."""
        loop = self.inbox.loop
        future: Future[None] = loop.create_future()
        if awaited is None:
            loop.call_soon(settle, future)
        else:
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(lambda _: settle(future))
        return future

    def __await__(self) -> Generator[Any, Any, None]:
        awaited = self.awaited
        assert awaited is not None
        self.inbox.wait_for(awaited)
        awaited._asyncio_future_blocking = True  # a task requires this of a future that it waits for
        return iter((awaited,))  # type: ignore[return-value]  # an iterator in C, for one wait

    async def stop(self) -> None:
        """See ``SocketReader``."""
        coroutine, self.coroutine = self.coroutine, None
        self.awaited = None
        self.inbox.read_by(None)  # this breaks reference cycles, so that the garbage collector is not needed
        self.inbox.pass_by(None)
        self.inbox.handle_by(None)
        if self.inbox.begun is not None:  # the task was cancelled at that moment
            self.inbox.begun.close()
            self.inbox.go_on_with(None)
        if coroutine is not None:
            coroutine.close()


def is_small(message: Message) -> bool:
    """Return True for a client's frame of up to ``SMALL`` bytes or characters."""
    return len(message.get("text") or message.get("bytes") or "") <= SMALL


def narrow(protocol: Any) -> None:
    """Shrink the kernel's receive buffer for a client that has sent ``FLOOD`` small frames in a row.

    A server parses all bytes of a read in one turn. For 256 KiB of small frames that takes 25 ms, in which no
    other client is served. ``protocol``: the server's, or None if it is not known.
    """
    if isinstance(protocol, Resumed):
        protocol = protocol.protocol
    if protocol is None or protocol.transport.is_closing():  # then asyncio's TLS has no socket
        return
    with contextlib.suppress(OSError, ValueError):  # it is closed
        sock = protocol.transport.get_extra_info("socket")
        if sock is not None and sock.getsockopt(SOL_SOCKET, SO_RCVBUF) > NARROW_BYTES:
            sock.setsockopt(SOL_SOCKET, SO_RCVBUF, NARROW_BYTES // 2)  # the kernel doubles it


class _NoSteps:
    """Replaces a ``StepReader`` if a task reads the socket."""

    awaited = None


NO_STEPS = _NoSteps()


def read(receive: Receive, inbox: Inbox) -> SocketReader:
    """Start to read the socket into ``inbox``, in steps if possible; call it in the consumer's task."""
    if isinstance(inbox, FastInbox) and isinstance(getattr(receive, "__self__", None), OWNERS):
        return StepReader(receive, inbox)
    return TaskReader(receive, inbox)
