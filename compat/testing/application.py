"""A communicator for any ASGI application: a queue for its input, and a queue for its output."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import time

from asgiref import testing
from asgiref.compatibility import guarantee_single_callable

from compat.db import sparing_transactions
from compat.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ApplicationCommunicator", "no_op"]


def no_op() -> None:
    """Do nothing; communicators of a project replace ``close_old_connections`` by it."""


class ApplicationCommunicator(testing.ApplicationCommunicator):
    """Runs ``application(scope, …)`` in a task, which the first call starts.

    It behaves as its base class, ``asgiref.testing.ApplicationCommunicator``, except that an error of the
    application is raised at once by a call that waits for its output. Timeouts are in seconds; None waits
    forever.

    The task starts in an empty context, without the context variables of the test. In it, database
    connections in a transaction are not closed between messages, because the transaction may be the test's.
    """

    application: ASGIApp
    scope: Scope
    _future: asyncio.Task[None] | None = None

    def __init__(self, application: ASGIApp, scope: Scope) -> None:
        self.application = guarantee_single_callable(application)  # type: ignore[no-untyped-call]  # asgiref's
        self.scope = scope

    # A subclass may call the constructor of asgiref's class instead. Up to asgiref 3.8 that sets these three,
    # so the queues are no properties, unlike there (hence pyright).

    @functools.cached_property
    def input_queue(self) -> asyncio.Queue[Message]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Messages that the application has not received yet."""
        return asyncio.Queue()

    @functools.cached_property
    def output_queue(self) -> asyncio.Queue[Message]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Messages of the application that the test has not read yet."""
        return asyncio.Queue()

    @property
    def future(self) -> asyncio.Task[None]:
        """The task of the application; reading the attribute starts it."""
        return self._start()

    @future.setter
    def future(self, task: asyncio.Task[None]) -> None:
        self._future = task

    def _start(self) -> asyncio.Task[None]:
        if self._future is None:
            context = contextvars.Context()
            context.run(sparing_transactions.set, True)
            run = _run(self.application, self.scope, self.input_queue.get, self.output_queue.put)
            self._future = context.run(asyncio.create_task, run)
        return self._future

    async def send_input(self, message: Message) -> None:
        """Send ``message`` to the application.

        From asgiref 3.9 on, raises the error of an application that has failed, and asyncio.CancelledError if
        a call that timed out has cancelled it.
        """
        self._start()
        await super().send_input(message)  # type: ignore[no-untyped-call]  # asgiref's

    async def receive_output(self, timeout: float | None = 1) -> Message:
        """Return the application's next message.

        Raises the error of an application that has failed. If no message arrives within ``timeout`` seconds,
        cancels the application and raises asyncio.TimeoutError.
        """
        self._raise_failure()
        output = asyncio.create_task(self.output_queue.get())
        try:
            if await self._first_of(output, timeout):
                return output.result()
        finally:
            output.cancel()
        if self.future.done():
            self._raise_failure()
        else:
            await self._cancel()
        path = self.scope.get("path", "-")
        raise asyncio.TimeoutError(
            f"the application at {path!r} sent no message within {timeout} s, and was cancelled. Check that "
            "it awaits send(), or pass a larger timeout=…; receive_nothing() tests that it sends no message"
        )

    async def receive_nothing(self, timeout: float = 0.1, interval: float = 0.01) -> bool:
        """Return True if no message arrives for ``timeout`` seconds (checked every ``interval``); read no
        message.

        Raises as ``send_input`` does.
        """
        self._start()
        nothing: bool = await super().receive_nothing(timeout, interval)  # type: ignore[no-untyped-call]  # asgiref's
        return nothing

    async def wait(self, timeout: float | None = 1) -> None:
        """Wait until the application ends, and raise its error.

        After ``timeout`` seconds the application is cancelled, without an error (as in asgiref).
        """
        try:
            await asyncio.wait((self.future,), timeout=timeout)
        finally:
            if not self.future.done():
                await self._cancel()
        if not self.future.cancelled():
            self.future.result()

    def stop(self, exceptions: bool = True) -> None:
        """Cancel the application if it runs; if it has failed, raise its error unless ``exceptions`` is
        False.
        """
        if self._future is None:
            return
        if not self._future.done():
            self._future.cancel()
        elif exceptions:
            self._future.result()

    async def _first_of(self, output: asyncio.Future[Message], timeout: float | None) -> bool:
        """Wait for output, or for the application to fail; return True if there is output."""
        started = time.monotonic()
        await asyncio.wait((output, self.future), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if output.done() or not self.future.done():
            return output.done()
        if self.output_queue.empty() and (self.future.cancelled() or self.future.exception() is not None):
            return False
        # It has returned; its last messages, or those of a task that it has started, may follow.
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - started))
        await asyncio.wait((output,), timeout=left)
        return output.done()

    def _raise_failure(self) -> None:
        if self.future.done():
            self.future.result()

    async def _cancel(self) -> None:
        self.future.cancel()
        await asyncio.wait((self.future,))
        if not self.future.cancelled():
            self.future.result()


async def _run(application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the application. It does not hold the communicator, which cancels it when the test drops it."""
    await application(scope, receive, send)
