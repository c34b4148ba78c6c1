"""A thread for the sync code of each request; later requests use it again.

A thread that starts and ends costs more than the rest of a page.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

from compat.forks import renew_in_child

__all__ = ["KEPT_THREADS", "RequestContext"]

KEPT_THREADS = 32
"""How many threads without a request are kept. A request that finds none starts its own."""

Call = tuple["asyncio.Future[Any]", Callable[[], Any]]


class RequestThread(Executor):
    """An executor of one thread, which starts with the first call.

    ``submit`` is for ``loop.run_in_executor``, and returns a future of the running loop. An event loop leaves
    such a future as it is, and a future of ``concurrent.futures`` would take a third of the call's time.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._submitted = self._ended = 0

    def submit(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # see above
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> asyncio.Future[Any]:
        """Run ``fn`` after the calls before it; not at all if its future is cancelled before its turn."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._submitted += 1
        self._calls.put((future, functools.partial(fn, *args, **kwargs)))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="django-request", daemon=True)
            self._thread.start()
        return future

    @property
    def busy(self) -> bool:
        """True if a call has not ended, such as a view whose request was cancelled."""
        return self._submitted != self._ended

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the thread after the calls that were submitted."""
        self._calls.put(None)
        if wait and self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (entry := self._calls.get()) is not None:
            future, call = entry
            result: Any = None
            error: BaseException | None = None
            if not future.cancelled():
                try:
                    result = call()
                except StopIteration as raised:  # no future takes it, and the request would wait for ever
                    error = RuntimeError("sync code raised StopIteration")
                    error.__cause__ = raised
                except BaseException as raised:  # noqa: BLE001 - the request's, which awaits the future
                    error = raised
            self._ended += 1
            with suppress(RuntimeError):  # the loop has been closed
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)
            del entry, future, call, result, error  # until the next call, which may be long


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


_idle: list[RequestThread] = []
renew_in_child(_idle.clear)  # a forked process has these objects without their threads


class RequestContext(ThreadSensitiveContext):
    """A ``ThreadSensitiveContext`` whose thread serves other requests afterwards.

    Inside of another context that one counts, as in asgiref. A thread that is still busy at the end is waited
    for, and then serves others. Values of ``threading.local`` remain in a thread, as under WSGI.
    """

    async def __aenter__(self) -> RequestContext:
        await super().__aenter__()  # type: ignore[no-untyped-call]  # asgiref has no types here
        if self.token:
            try:
                thread = _idle.pop()
            except IndexError:
                thread = RequestThread()
            SyncToAsync.context_to_thread_executor[self] = thread
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        thread = SyncToAsync.context_to_thread_executor.pop(self, None)
        await super().__aexit__(*exc_info)  # type: ignore[no-untyped-call]  # as above
        if not isinstance(thread, RequestThread):
            return
        try:
            if thread.busy:
                await thread.submit(int)  # runs when the calls before it have ended
        finally:
            if thread.busy or len(_idle) >= KEPT_THREADS:
                thread.shutdown(wait=False)
            else:
                _idle.append(thread)
