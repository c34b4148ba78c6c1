"""Any ASGI application as a pair of queues: what the client sends, what the application answers."""

from __future__ import annotations

import asyncio
import contextvars
import time

from asgiref import testing
from asgiref.compatibility import guarantee_single_callable

from compat.db import sparing_transactions
from compat.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ApplicationCommunicator", "no_op"]


def no_op() -> None:
    """Does nothing: what communicators of one's own put in the place of ``close_old_connections``."""


class ApplicationCommunicator(testing.ApplicationCommunicator):
    """Runs ``application(scope, …)`` in a task of its own, started by the first call that needs it.

    Behaves as ``asgiref.testing.ApplicationCommunicator`` (and is one), except that an application that fails
    while a test waits for its output is reported at once and not when the time is up. All timeouts are in
    seconds; None waits forever.

    The task begins in an empty context: context variables of the test do not leak into the application. In it
    database connections in a transaction are not closed between messages, since it may be the test's.
    """

    application: ASGIApp
    scope: Scope
    _future: asyncio.Task[None] | None = None

    def __init__(self, application: ASGIApp, scope: Scope) -> None:
        self.application = guarantee_single_callable(application)  # type: ignore[no-untyped-call]  # asgiref's
        self.scope = scope
        self._input_queue: asyncio.Queue[Message] = asyncio.Queue()
        self._output_queue: asyncio.Queue[Message] = asyncio.Queue()

    @property
    def input_queue(self) -> asyncio.Queue[Message]:
        """Messages that the application has yet to receive."""
        return self._input_queue

    @property
    def output_queue(self) -> asyncio.Queue[Message]:
        """Messages that the application has sent and the test has not read."""
        return self._output_queue

    @property
    def future(self) -> asyncio.Task[None]:
        """The application's task; starts it."""
        return self._start()

    def _start(self) -> asyncio.Task[None]:
        if self._future is None:
            context = contextvars.Context()
            context.run(sparing_transactions.set, True)
            run = self._run(self.input_queue.get, self.output_queue.put)
            self._future = context.run(asyncio.create_task, run)
        return self._future

    async def _run(self, receive: Receive, send: Send) -> None:
        await self.application(self.scope, receive, send)

    async def send_input(self, message: Message) -> None:
        """Hand ``message`` to the application.

        From asgiref 3.9 on, raises what the application has failed with, if it has, and
        asyncio.CancelledError when a call that ran out of time has ended it. Before, it is quiet.
        """
        self._start()
        await super().send_input(message)  # type: ignore[no-untyped-call]  # asgiref's

    async def receive_output(self, timeout: float | None = 1) -> Message:
        """The application's next message.

        Raises what the application has failed with; asyncio.TimeoutError, after cancelling the application,
        when nothing comes within ``timeout`` seconds.
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
            f"the application at {path!r} sent nothing within {timeout} s, and was cancelled. Did it await "
            "what it sends? A larger timeout=… waits longer; receive_nothing() is for silence that is meant"
        )

    async def receive_nothing(self, timeout: float = 0.1, interval: float = 0.01) -> bool:
        """True when no message comes for ``timeout`` seconds (looks every ``interval``); takes none.

        Raises as ``send_input`` does.
        """
        self._start()
        nothing: bool = await super().receive_nothing(timeout, interval)  # type: ignore[no-untyped-call]  # asgiref's
        return nothing

    async def wait(self, timeout: float | None = 1) -> None:
        """Wait for the application to end and raise what it failed with.

        One that has not ended within ``timeout`` seconds is cancelled, and that is no error (asgiref's rule).
        """
        try:
            await asyncio.wait((self.future,), timeout=timeout)
        finally:
            if not self.future.done():
                await self._cancel()
        if not self.future.cancelled():
            self.future.result()

    def stop(self, exceptions: bool = True) -> None:
        """Cancel the application if it runs; if it has failed, raise with what, unless told not to."""
        if self._future is None:
            return
        if not self._future.done():
            self._future.cancel()
        elif exceptions:
            self._future.result()

    async def _first_of(self, output: asyncio.Future[Message], timeout: float | None) -> bool:
        """Wait for output, or for the application to fail: True when there is output."""
        started = time.monotonic()
        await asyncio.wait((output, self.future), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if output.done() or not self.future.done():
            return output.done()
        if self.output_queue.empty() and (self.future.cancelled() or self.future.exception() is not None):
            return False
        # It has ended well: what it sent last, or what a task that it left behind sends, is still to come.
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
