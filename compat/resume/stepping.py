"""Run a coroutine up to its first wait, without a task."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Generator
from typing import Any

__all__ = ["start"]


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
