"""Run a coroutine up to its first wait, without a task: one, or one after the other by a ``Stepper``."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Generator
from typing import Any

__all__ = ["OVER", "Stepper", "start"]

OVER = object()
"""What ``Stepper.step`` returns for a coroutine that has ended."""


def start(work: Awaitable[None]) -> Awaitable[None] | None:
    """Run ``work`` up to its first wait; return an awaitable for the rest, or None if it has ended.

    Raises what it raises until then.
    """
    # granian's send is written in Rust, and returns a future.
    coroutine: Any = work if work.__class__ is types.CoroutineType else _awaited(work)
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    return _rest(coroutine, awaited)


async def _awaited(something: Awaitable[None]) -> None:
    await something


@types.coroutine
def _rest(started: Any, awaited: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that has been run up to a wait, for which it has yielded ``awaited``."""
    while True:
        try:
            value = yield awaited
        except BaseException as error:  # noqa: BLE001 - a cancellation, for one
            try:
                awaited = started.throw(error)
            except StopIteration:
                return
        else:
            try:
                awaited = started.send(value)
            except StopIteration:
                return


class Stepper:
    """Runs coroutines as ``start`` does, without an exception for each that does not wait: 0.2 µs less.

    ``step(coroutine)`` returns ``OVER`` if the coroutine has ended, else what it waits for; then call
    ``rest``. If it raises, call ``begin``.
    """

    __slots__ = ("_running", "step")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin anew."""
        self._running: Generator[Any, Any, None] = one_after_the_other()
        self.step = self._running.send
        self.step(None)

    def rest(self, awaited: Any) -> Awaitable[None]:
        """Return an awaitable for the rest of a coroutine, which waits for ``awaited``."""
        rest = _until_over(self._running, awaited)
        self.begin()
        return rest


def _one_after_the_other() -> Generator[Any, Any, None]:
    """Run the coroutines that are sent; yield what they wait for, and ``OVER`` after each."""
    work = yield
    while True:
        yield from work
        work = yield OVER


one_after_the_other: Any = types.coroutine(_one_after_the_other)  # so that it may await coroutines


@types.coroutine
def _until_over(running: Generator[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    while awaited is not OVER:
        try:
            value = yield awaited
        except BaseException as error:  # noqa: BLE001 - a cancellation, for one
            awaited = running.throw(error)
        else:
            awaited = running.send(value)
