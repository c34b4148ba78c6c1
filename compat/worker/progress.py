"""How far an instance of a worker's application is with the messages that it has got."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from compat.engine.dispatching import HANDLED, in_thread
from compat.redis.waiting import settle
from compat.types import Message, Receive

__all__ = ["AHEAD", "Progress"]

AHEAD = 10
"""How many messages of a channel may wait in the worker for its consumer."""


class Progress:
    """Which messages the application instances of a channel have got, begun and handled.

    A consumer of ours says so (``watched``). Of any other application it is known that it asks for the next
    message.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._is_told = False
        self._has_got = False
        self._has_begun = False
        self._asks = False
        self._handed: deque[Message] = deque(maxlen=AHEAD)
        """What the application has got, and has not reached its consumer."""
        self._reached: deque[tuple[Message, Message | None]] = deque()
        """What the consumer has got and not begun to handle, and what it was before middleware copied it."""
        self._moves: asyncio.Future[None] = self._loop.create_future()
        self._lock = threading.Lock()
        """For what the threads of handlers change: ``_running``, ``_reached`` and ``_has_begun``."""
        self._is_stopped = False
        self._running = 0
        """How many handlers run."""
        self._quiet = asyncio.Event()

    def begin(self) -> None:
        """Note that there is a message to handle."""
        self._has_got = self._has_begun = False
        self._done.clear()

    async def handled(self) -> None:
        """Wait until the message has been handled, or is left alone because of ``stop``."""
        await self._done.wait()

    def has_begun(self) -> bool:
        """Return True if the message has been handled, or is being handled."""
        return self._has_begun if self._is_told else self._has_got

    def moves(self) -> asyncio.Future[None]:
        """Return a future that is done when the application has got another message."""
        if self._moves.done():
            self._moves = self._loop.create_future()
        return self._moves

    def unbegun(self) -> list[Message]:
        """Return, once, what an instance has got and not begun to handle; it has failed, or is stopped."""
        with self._lock:
            reached = [original for _, original in self._reached if original is not None]
            left = [*reached, *self._handed] if self._is_told else []
            self._reached.clear()
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
        """Note, after ``stop``, that no handler runs, if that is so."""
        if self._is_stopped and (self._running == 0 if self._is_told else self._asks):
            self._quiet.set()
            if not self.has_begun():
                self._done.set()

    def _begins(self, message: Message) -> bool | None:
        """Note that a handler begins, and return None if it may not, because of ``stop``.

        Else return True for a message of the channel, and False for one of a group.
        """
        with self._lock:
            if self._is_stopped:
                return None
            self._running += 1
            for index, (reached, _) in enumerate(self._reached):
                if reached is message:
                    del self._reached[index]
                    self._has_begun = True
                    return True
        return False

    def _ended(self) -> None:
        with self._lock:
            self._running -= 1
        self._look()

    def watched(
        self, dispatch: Callable[[Message], Any], receive: Receive, threads: bool
    ) -> tuple[Callable[[Message], Any], Receive]:
        """Return ``dispatch`` of a consumer, which now tells when a message is handled, and has been.

        Also return its ``receive``, by which a message of the channel is known from those of groups.
        ``threads``: ``dispatch`` is called in the threads of handlers.
        """
        self._is_told = True
        handle = in_thread(dispatch) if threads else dispatch

        async def adispatch(message: Message) -> None:
            is_handed = self._begins(message)
            if is_handed is None:
                return
            try:
                await dispatch(message)
                if is_handed:
                    self._done.set()
            finally:
                self._ended()

        def dispatch_in_thread(message: Message) -> Any:
            is_handed = self._begins(message)
            if is_handed is not None:
                try:
                    handle(message)
                    if is_handed:
                        self._loop.call_soon_threadsafe(self._done.set)
                finally:
                    self._loop.call_soon_threadsafe(self._ended)
            return HANDLED

        async def reach() -> Message:
            ahead = bool(self._handed)
            message = await receive()
            while not ahead and len(self._handed) > 1:  # what came before the last one was swallowed
                self._handed.popleft()
            original = self._original(message)
            with self._lock:
                self._reached.append((message, original))
            return message

        return dispatch_in_thread if threads else adispatch, reach

    def _original(self, message: Message) -> Message | None:
        """Return what the application has got as ``message``, which middleware may have copied.

        What it has got before is in no middleware any more: it was swallowed.
        """
        if all(one is not message for one in self._handed):
            return self._handed.popleft() if self._handed else None
        while self._handed.popleft() is not message:
            pass
        return message

    def asked(self, receive: Receive) -> Receive:
        """Return ``receive`` of an application, which now tells when the next message is asked for."""

        async def ask() -> Message:
            if self._has_got and not self._is_told:
                self._done.set()
            self._asks = True
            self._look()
            try:
                message = await receive()
            finally:
                self._asks = False
            self._has_got = True
            self._handed.append(message)
            settle(self._moves)
            return message

        return ask
