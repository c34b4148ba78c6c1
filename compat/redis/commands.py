"""What a send needs of Redis, and scripts that serve all who call them at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Any, Protocol

from compat.exceptions import MessageTooLarge
from compat.redis.encoding import Argument
from compat.redis.scripts import Script

__all__ = ["MOST_BYTES", "MOST_CALLS", "Commands", "Joined"]

MOST_CALLS, MOST_BYTES = 64, 256 * 1024
"""How many callers one run of a script serves, and how long what they bring may be, but for a longer one."""


class Commands(Protocol):
    """Runs Redis commands for a send: ``Shards`` or a direct line."""

    station: Any
    """The sender's station, or None for a direct line."""

    async def call(self, index: int, *arguments: Argument) -> Any:
        """Send a command to the host ``index`` and return its reply."""

    async def run(self, index: int, script: Script, keys: list[str], *arguments: Argument) -> Any:
        """Run a script on the host ``index`` and return its reply."""

    def run_for_each(
        self,
        index: int,
        script: Script,
        keys: list[str],
        same: Sequence[Argument],
        once: Callable[[], Argument],
        own: Sequence[Argument],
    ) -> Awaitable[Any]:
        """Run a script that serves several callers at once; return the answer to this one (``Joined``)."""
        ...


class _Batch:
    """The callers whom one run of a script serves."""

    def __init__(self) -> None:
        self.calls: list[tuple[Sequence[Argument], asyncio.Future[Any]]] = []
        self.size = 0

    def has_room(self, size: int) -> bool:
        return len(self.calls) < MOST_CALLS and self.size + size <= MOST_BYTES


class Joined:
    """Runs a script once for those who call it in one turn of the event loop for the same keys.

    Its arguments are ``same``, in which the callers agree, one of ``once()``, and then each caller's ``own``.
    It returns a list with an answer for each. ``run`` is that of ``Commands``.
    """

    def __init__(self, run: Callable[..., Awaitable[list[Any]]]) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._batches: dict[tuple[object, ...], _Batch] = {}
        """Those that callers can still join."""
        self._running: set[asyncio.Task[None]] = set()

    def call(
        self,
        index: int,
        script: Script,
        keys: list[str],
        same: Sequence[Argument],
        once: Callable[[], Argument],
        own: Sequence[Argument],
    ) -> asyncio.Future[Any]:
        """Return a future for the answer, or for what ``run`` raises."""
        which = (index, script.digest, *keys, *same)
        size = sum(len(argument) for argument in own if isinstance(argument, bytes | str))
        batch = self._batches.get(which)
        if batch is None or not batch.has_room(size):
            batch = self._batches[which] = _Batch()
            self._loop.call_soon(self._leave, which, batch, (index, script, keys, *same, once()))
        future: asyncio.Future[Any] = self._loop.create_future()
        batch.calls.append((own, future))
        batch.size += size
        return future

    def _leave(self, which: tuple[object, ...], batch: _Batch, first: tuple[Any, ...]) -> None:
        if self._batches.get(which) is batch:
            del self._batches[which]
        calls = [call for call in batch.calls if not call[1].cancelled()]
        if calls:
            task = self._loop.create_task(self._serve(first, calls))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _serve(
        self, first: tuple[Any, ...], calls: list[tuple[Sequence[Argument], asyncio.Future[Any]]]
    ) -> None:
        try:
            answers = await self._run(*first, *chain.from_iterable(own for own, _ in calls))
        except MessageTooLarge as error:
            if len(calls) > 1:  # nothing has been sent, and it is one of them
                for call in calls:
                    await self._serve(first, [call])
            else:
                _fail(calls, error)
        except BaseException as error:  # whatever it is, nobody waits for ever
            _fail(calls, error)
            if not isinstance(error, Exception):
                raise
        else:
            for (_, future), answer in zip(calls, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _fail(calls: list[tuple[Sequence[Argument], asyncio.Future[Any]]], error: BaseException) -> None:
    for _, future in calls:
        if isinstance(error, asyncio.CancelledError):
            future.cancel()
        elif not future.done():
            future.set_exception(error)
