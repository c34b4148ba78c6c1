"""Read the socket inside the consumer's task, whenever that has nothing to handle.

A server's own ``receive()`` waits for a queue and nothing else. So its coroutine is run up to where it waits,
and the consumer's task waits for the same future: one task switch less per message, and one task less per
connection, than with a task that reads. Where middleware stands in front of it, it may have time-outs or
cancel scopes, which belong to a task, and ``engine.reader.TaskReader`` runs it.

This relies on three things of CPython's asyncio: a coroutine yields the future that it waits for; a future
has ``_callbacks``, among them the method that resumes a task; ``asyncio.Queue.get`` is written in Python, so
that it can be recognised as what a coroutine waits in.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from compat.engine.fast import leave_out
from compat.engine.fast.scheduling import Rounds
from compat.engine.inbox import Inbox
from compat.engine.reader import LAST, SocketReader, TaskReader
from compat.types import Message, Receive

__all__ = ["FastInbox", "StepReader", "read"]

if not (hasattr(Future, "_callbacks") and hasattr(asyncio.Queue.get, "__code__")):
    leave_out("reading", "asyncio's futures or queues are not those of CPython")

OWNERS = (asyncio.BaseProtocol, asyncio.Queue)
"""Whose methods wait for nothing but a queue: a protocol of uvicorn, and the queue of a communicator."""

_GET = getattr(asyncio.Queue.get, "__code__", None)


class FastInbox(Inbox):
    """An inbox whose task may wait for the future of the socket in place of one of the inbox's own."""

    __slots__ = ("reader",)

    def __init__(self, loop: asyncio.AbstractEventLoop, scheduler: Rounds) -> None:
        super().__init__(loop, scheduler)
        self.reader: StepReader | None = None

    def read_by(self, reader: StepReader | None) -> None:
        """Ask ``reader`` for the client's messages from now on; None: read no more."""
        self.reader = reader

    def waiting(self) -> Awaitable[Any]:
        """Return what to await when ``take()`` found nothing; raise what ``fail`` was given."""
        reader = self.reader
        if reader is not None and reader.awaited is not None and self.failure is None:
            return reader
        return super().waiting()

    def take(self) -> Message | None:
        """Return the next message, or None. A frame and events alternate, the frame first."""
        reader = self.reader
        if self.frame is None and reader is not None:
            awaited = reader.awaited
            if awaited is not None and awaited.done() and (frame := reader.step()) is not None:
                self.put_frame(frame)
        return Inbox.take(self)

    def wake(self) -> None:
        """See ``Inbox.wake``; a task that waits for the socket's future goes on without it."""
        reader, waiter = self.reader, self.waiter
        if reader is None or waiter is None or waiter is not reader.awaited:
            super().wake()
            return
        self.waiter = None
        if not waiter.done():
            callbacks: list[Any] | None = waiter._callbacks
            for resume, context in callbacks or ():
                # There may be others: a future of asyncio.shield() has a plain function of its own.
                if getattr(resume, "__self__", None) is self.task:
                    waiter.remove_done_callback(resume)
                    context.run(resume, self.scheduler.done)
                    return


class StepReader:
    """Runs ``receive()`` for an inbox, up to where it waits; the inbox looks whether that is over.

    The future that ``receive()`` waits for is what the consumer's task waits for. When something comes from a
    layer instead, ``FastInbox.wake`` lets the task go on without it.
    """

    __slots__ = ("awaited", "by_queue", "coroutine", "inbox", "receive")

    def __init__(self, receive: Receive, inbox: FastInbox) -> None:
        self.receive = receive
        self.inbox = inbox
        self.coroutine: Coroutine[Any, Any, Message] | None = None
        self.awaited: Future[Any] | None = inbox.scheduler.done
        """What ``receive()`` waits for: a step is worth while when it is done. None: no step is left."""
        self.by_queue: bool | None = None
        """``receive()`` waits for a queue, and after that no more. None: it has not waited yet."""
        inbox.read_by(self)

    def step(self) -> Message | None:
        """Return the client's next message, if it has come; else ``awaited`` is what it takes."""
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
        self.coroutine = None
        self.awaited = None if message["type"] in LAST else self.inbox.scheduler.done
        return message

    def returned(self, message: Message) -> None:
        """Note that the coroutine, which the loop has iterated itself, has returned ``message``."""
        self.coroutine = None
        self.awaited = None if message["type"] in LAST else self.inbox.scheduler.done
        self.inbox.took(message)

    def _future_of(self, awaited: Any) -> Future[None]:
        """A future that is done when ``awaited`` is: None (the next turn), or something like a future."""
        loop = self.inbox.loop
        future: Future[None] = loop.create_future()
        if awaited is None:
            loop.call_soon(future.set_result, None)
        else:
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(lambda _: None if future.done() else future.set_result(None))
        return future

    def __await__(self) -> Generator[Any, Any, None]:
        awaited = self.awaited
        assert awaited is not None
        self.inbox.wait_for(awaited)
        awaited._asyncio_future_blocking = True  # what a task wants of a future that it is to wait for
        return iter((awaited,))  # type: ignore[return-value]  # a generator in C, for one wait

    @property
    def last(self) -> Message | None:
        """See ``SocketReader``."""
        frame = self.inbox.frame
        return frame if frame is not None and frame["type"] in LAST else None

    async def stop(self) -> None:
        """See ``SocketReader``."""
        coroutine, self.coroutine = self.coroutine, None
        self.awaited = None
        self.inbox.read_by(None)  # no circle is left to the garbage collector
        if coroutine is not None:
            coroutine.close()


class _NoSteps:
    """In place of a ``StepReader`` where a task reads the socket."""

    awaited = None


NO_STEPS = _NoSteps()


def read(receive: Receive, inbox: Inbox) -> SocketReader:
    """Begin to fill the place for a frame in ``inbox``; from the task that reads the inbox."""
    if isinstance(inbox, FastInbox) and isinstance(getattr(receive, "__self__", None), OWNERS):
        return StepReader(receive, inbox)
    return TaskReader(receive, inbox)
