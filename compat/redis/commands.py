"""What a send needs of Redis, and scripts that serve all who call them at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, Protocol

from compat.exceptions import LayerUnavailable, MessageTooLarge
from compat.redis.encoding import Argument
from compat.redis.scripts import Script
from compat.redis.waiting import CLOSED, fail

__all__ = ["MOST_BYTES", "MOST_CALLS", "Commands", "Joined", "Share"]

MOST_CALLS, MOST_BYTES = 64, 256 * 1024
"""How many callers one run of a script serves, and how long what they bring may be, but for a longer one."""


Answers = Callable[[Any], Iterable[Any]]
"""Makes of the reply of a script an answer for each caller, in their order."""


class Share(NamedTuple):
    """One caller's share in a run of a script that serves several at once.

    The arguments of the script are ``same``, in which the callers agree, one of ``once()``, and then each
    caller's ``own``.
    """

    script: Script
    keys: list[str]
    same: Sequence[Argument]
    once: Callable[[], Argument]
    own: Sequence[Argument]
    answers: Answers


class Commands(Protocol):
    """Runs Redis commands for a send: ``Shards`` or a direct line."""

    station: Any
    """The sender's station, or None for a direct line."""

    async def call(self, index: int, *arguments: Argument) -> Any:
        """Send a command to the host ``index`` and return its reply."""

    async def run(self, index: int, script: Script, keys: list[str], *arguments: Argument) -> Any:
        """Run a script on the host ``index`` and return its reply."""

    def share(self, index: int, share: Share) -> Awaitable[Any]:
        """Run a script that serves several callers at once on a host; return the answer to this one."""
        ...


Call = tuple[Sequence[Argument], asyncio.Future[Any]]
"""What one caller brings, and what it waits for."""


class _Batch:
    """The callers whom one run of a script serves; ``run(*own)`` runs it with what they bring."""

    def __init__(self, run: Callable[..., Awaitable[Any]], answers: Answers) -> None:
        self._run = run
        self._answers = answers
        self.calls: list[Call] = []
        self.size = 0

    def has_room(self, size: int) -> bool:
        return len(self.calls) < MOST_CALLS and self.size + size <= MOST_BYTES

    async def serve(self, calls: Sequence[Call]) -> None:
        """Run the script for some of the callers, and end their waits, whatever happens."""
        try:
            await self._run_for(calls)
        except MessageTooLarge as error:
            if len(calls) == 1:
                _fail(calls, error)
                return
            for number, call in enumerate(calls):  # nothing has been sent, and it is one of them
                try:
                    await self.serve([call])
                except BaseException as worse:
                    _fail(calls[number:], worse)
                    raise
        except BaseException as error:
            _fail(calls, error)
            if not isinstance(error, Exception):
                raise

    async def _run_for(self, calls: Sequence[Call]) -> None:
        waiting = [call for call in calls if not call[1].cancelled()]
        if not waiting:
            return
        reply = await self._run(*chain.from_iterable(own for own, _ in waiting))
        for (_, future), answer in zip(waiting, self._answers(reply), strict=True):
            if not future.done():
                future.set_result(answer)


class Joined:
    """Runs a script once for those who call it in one turn of the event loop for the same keys.

    ``run`` is that of ``Commands``.
    """

    def __init__(self, run: Callable[..., Awaitable[Any]]) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._batches: dict[tuple[object, ...], _Batch] = {}
        """Those that callers can still join."""
        self._running: set[asyncio.Task[None]] = set()

    def call(self, index: int, share: Share) -> asyncio.Future[Any]:
        """Return a future for the answer, or for what ``run`` raises."""
        script, keys, same, once, own, answers = share
        which = (index, script.digest, *keys, *same)
        size = sum(len(argument) for argument in own if isinstance(argument, bytes | str))
        batch = self._batches.get(which)
        if batch is None or not batch.has_room(size):
            batch = _Batch(partial(self._run, index, script, keys, *same, once()), answers)
            self._loop.call_soon(self._leave, which, batch)
            self._batches[which] = batch
        future: asyncio.Future[Any] = self._loop.create_future()
        batch.calls.append((own, future))
        batch.size += size
        return future

    def _leave(self, which: tuple[object, ...], batch: _Batch) -> None:
        if self._batches.get(which) is batch:
            del self._batches[which]
        task = self._loop.create_task(batch.serve(batch.calls))
        self._running.add(task)
        task.add_done_callback(self._running.discard)


def _fail(calls: Sequence[Call], error: BaseException) -> None:
    is_closing = isinstance(error, asyncio.CancelledError)  # the task is cancelled, and the callers are not
    for _, future in calls:
        if not future.done():
            fail(future, LayerUnavailable(CLOSED) if is_closing else error)
