"""Waiting for a condition with a deadline: the only way in which a test waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["turns", "until", "until_async", "until_awaited", "within"]

T = TypeVar("T")
POLL_S = 0.02


def within(deadline_s: float, condition: Callable[[], object]) -> bool:
    """Whether `condition()` becomes true before the deadline: for what may rightly never happen."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True


def until(condition: Callable[[], T], what: str, *, deadline_s: float = 15.0) -> T:
    """The first truthy value of `condition()`; AssertionError naming `what` when the deadline has passed."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(POLL_S)


async def turns(count: int = 10) -> None:
    """Let everything run that is ready, so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until_async(condition: Callable[[], T], what: str, *, deadline_s: float = 15.0) -> T:
    """`until` for a test that shares its event loop with what it waits for."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        await asyncio.sleep(POLL_S)


async def until_awaited(look: Callable[[], Awaitable[T]], expected: T, *, deadline_s: float = 15.0) -> None:
    """Wait until what `look()` returns, when awaited, is `expected`."""
    end = time.monotonic() + deadline_s
    while (found := await look()) != expected:
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {expected!r}, but {found!r}")
        await asyncio.sleep(POLL_S)
