"""How far an instance of a worker's application is with the messages that it has got."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from compat.engine.dispatching import HANDLED, blocking_dispatch
from compat.exceptions import StopConsumer
from compat.redis.waiting import settle
from compat.types import Message, Receive

__all__ = ["AHEAD", "Progress"]

AHEAD = 10
"""How many messages of a channel may wait in the worker for its consumer."""

_call_of: ContextVar[object] = ContextVar("compat_worker_call", default=None)
"""The call of a consumer's ``receive()`` in which middleware asks for a message."""


class Handed:
    """A message that the application has got, and what its consumer has received for it.

    That is the message itself, or what middleware has made of it: a copy, several messages, or none.
    """

    __slots__ = (
        *("has_failed", "is_dropped", "is_got", "is_itself", "is_past", "is_received"),
        *("message", "unbegun", "unended"),
    )

    def __init__(self, message: Message) -> None:
        self.message = message
        self.is_got = False
        self.is_past = False
        """Nothing more is received for it."""
        self.is_received = False
        self.is_itself = False
        """The message itself was received."""
        self.is_dropped = False
        """Nothing was received for it, and nothing will be."""
        self.has_failed = False
        """One of its handlers has raised an error, or was cancelled as another one has ended the consumer."""
        self.unended: list[Message] = []
        """What was received for it, and not handled without an error."""
        self.unbegun: list[Message] = []
        """Those of ``unended`` whose handlers have not begun."""

    def received(self, message: Message) -> None:
        """Note what the consumer has received; if it is the message itself, nothing else counts."""
        if self.is_itself:
            return
        if message is self.message:
            self.is_itself = self.is_past = True
            self.unended.clear()
            self.unbegun.clear()
        self.is_received = True
        self.unended.append(message)
        self.unbegun.append(message)

    def is_handled(self, *, ended: bool = False) -> bool:
        """Return True if all that was received for it has been handled, and nothing more will be.

        ``ended``: its consumer has ended without an error, and StopConsumer leaves a message in ``unended``.
        """
        waiting = self.unbegun if ended else self.unended
        return self.is_dropped or (self.is_past and self.is_received and not (waiting or self.has_failed))

    def is_left(self) -> bool:
        """Return True if something is received for it whose handler has not begun, or may be later."""
        return bool(self.unbegun) or not (self.is_received or self.is_dropped)

    def is_at_rest(self) -> bool:
        """Return True if none of its handlers runs, or has raised an error."""
        return len(self.unended) == len(self.unbegun)


class Progress:
    """Which messages the application instances of a channel have got, begun and handled.

    A consumer of ours says so (``watched``). Of any other application, middleware included, it is known that
    it asks for the next message: it has done with the last one.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._job = Handed({})
        """The last job; there is one at a time."""
        self._done = asyncio.Event()
        self._is_told = False
        self._asks = False
        self._handed: list[Handed] = []
        """What the application has got and not handled, oldest first."""
        self._task: asyncio.Task[Any] | None = None
        """That in which the consumer runs; None if it is not ours."""
        self._call: object = None
        """The call of the consumer's ``receive()`` that has not returned."""
        self._moves: asyncio.Future[None] = self._loop.create_future()
        self._lock = threading.Lock()
        """For what the threads of handlers change: ``_running``, and what has begun."""
        self._is_stopped = False
        self._running = 0
        """How many handlers run."""
        self._quiet = asyncio.Event()

    def begin(self, job: Message) -> None:
        """Note that there is a job to handle."""
        self._job = Handed(job)
        self._done.clear()

    async def handled(self) -> None:
        """Wait until the job has been handled, or is left alone because of ``stop``."""
        await self._done.wait()

    def is_handled(self, *, ended: bool) -> bool:
        """Return True if the job has been handled; ``ended``: its instance has ended, without an error."""
        if ended and not self._is_told:
            return self._job.is_got
        return self._job.is_handled(ended=ended)

    def moves(self) -> asyncio.Future[None]:
        """Return a future that is done when the application has got another message."""
        if self._moves.done():
            self._moves = self._loop.create_future()
        return self._moves

    def unbegun(self) -> list[Message]:
        """Return, once, what an instance has got and not begun to handle; it has failed, or is stopped."""
        with self._lock:
            left = [one.message for one in self._handed if one.is_left()] if self._is_told else []
            self._handed.clear()
        return left

    def stop(self) -> None:
        """Let the handlers that run go on, and none begin."""
        with self._lock:
            self._is_stopped = True
        self._look()

    async def stopped(self) -> None:
        """Wait, after ``stop``, until no handler runs."""
        await self._quiet.wait()

    def _look(self) -> None:
        """Note that the job has been handled, or after ``stop`` that no handler runs, if that is so."""
        if self._job.is_handled():
            self._done.set()
        if self._is_stopped and (self._running == 0 if self._is_told else self._asks):
            self._quiet.set()
            if self._job.is_at_rest():
                self._done.set()

    def _begins(self, message: Message) -> Handed | None:
        """Note that a handler begins, and return for what; None if it may not, because of ``stop``."""
        with self._lock:
            if self._is_stopped:
                return None
            self._running += 1
            for handed in self._handed:
                if _removed(handed.unbegun, message):
                    return handed
        return Handed(message)  # of a group, or middleware's own

    def _ended(self, handed: Handed, message: Message | None) -> None:
        """Note that a handler has ended: that of ``message``, or one that has raised an error."""
        with self._lock:
            self._running -= 1
            if message is not None:
                _removed(handed.unended, message)
            self._clear()
        self._look()

    def watched(
        self, dispatch: Callable[[Message], Any], receive: Receive, threads: bool
    ) -> tuple[Callable[[Message], Any], Receive]:
        """Return ``dispatch`` of a consumer, which now tells when a message is handled, and has been.

        Also return its ``receive``, by which a message of the channel is known from those of groups.
        ``threads``: ``dispatch`` is called in the threads of handlers.
        """
        self._is_told = True
        self._task = asyncio.current_task()
        self._over()
        handle = blocking_dispatch(dispatch) if threads else dispatch

        async def adispatch(message: Message) -> None:
            handed = self._begins(message)
            if handed is None:
                return
            ended = None
            try:
                await dispatch(message)
                ended = message
            except BaseException as error:
                handed.has_failed |= not isinstance(error, StopConsumer)
                raise
            finally:
                self._ended(handed, ended)

        def dispatch_in_thread(message: Message) -> Any:
            handed = self._begins(message)
            if handed is not None:
                ended = None
                try:
                    handle(message)
                    ended = message
                except BaseException as error:
                    handed.has_failed |= not isinstance(error, StopConsumer)
                    raise
                finally:
                    self._loop.call_soon_threadsafe(self._ended, handed, ended)
            return HANDLED

        async def reach() -> Message:
            call = self._call = object()
            token = _call_of.set(call)
            try:
                message = await receive()
            finally:
                _call_of.reset(token)
                if self._call is call:
                    self._call = None
            self._received(message)
            return message

        return dispatch_in_thread if threads else adispatch, reach

    def _received(self, message: Message) -> None:
        """Note what the consumer has received, and for which of the messages that the application has got."""
        with self._lock:
            for index, handed in enumerate(self._handed):
                if handed.message is message:
                    for earlier in self._handed[:index]:  # they are in no middleware any more
                        _drop(earlier)
                    break
            else:  # middleware has made it: of the first one that is still its own, or else of the last one
                waiting = [one for one in self._handed if not one.is_received]
                handed = (waiting or self._handed[-1:] or [Handed(message)])[0]
            handed.received(message)
            self._clear()

    def asked(self, receive: Receive) -> Receive:
        """Return ``receive`` of a new instance, which now tells when the next message is asked for."""
        self._is_told = False
        self._task = None
        self._handed.clear()

        async def ask() -> Message:
            self._asks = True
            self._past()
            try:
                message = await receive()
            finally:
                self._asks = False
            handed = self._job if self._job.message is message else Handed(message)
            handed.is_got = True
            with self._lock:
                self._handed.append(handed)
            settle(self._moves)
            return message

        return ask

    def _past(self) -> None:
        """Note that the application asks for the next message.

        If its consumer waits in this call, it receives nothing more for the last one. If no consumer runs,
        the application has done with the job. Else middleware reads ahead, and may have the last ones still.
        """
        call = _call_of.get()
        runs = self._task is not None and self._task is not asyncio.current_task() and not self._task.done()
        if call is self._call is None and not runs:
            self._over()
            if self._job.is_got:
                _drop(self._job)
        with self._lock:
            for handed in self._handed:
                handed.is_past = True
            waiting = [one for one in self._handed if not one.is_received]
            its_own = call is not None and call is self._call
            for handed in waiting if its_own else waiting[:-AHEAD]:
                _drop(handed)
            self._clear()
        self._look()

    def _clear(self) -> None:
        """Remove what has been handled; the lock is held."""
        self._handed = [one for one in self._handed if not one.is_handled()]

    def _over(self) -> None:
        """Note that a consumer has ended, if there was one, and the application goes on without it."""
        with self._lock:
            self._handed = [one for one in self._handed if one.unbegun or not one.has_failed]
            for handed in self._handed:
                handed.unended[:] = handed.unbegun
        if self._job.unbegun or self._job.has_failed:
            self._done.set()
        self._look()


def _drop(handed: Handed) -> None:
    """Note that the consumer receives nothing for ``handed`` later."""
    handed.is_past = True
    handed.is_dropped = not handed.is_received


def _removed(messages: list[Message], message: Message) -> bool:
    """Remove ``message`` from ``messages``; return False if it is not there."""
    for index, one in enumerate(messages):
        if one is message:
            del messages[index]
            return True
    return False
