"""A decorator that retries with growing pauses (``Backoff``)."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from compat.redis.backoff import Backoff

__all__ = ["with_retry"]

log = logging.getLogger("compat.manager")

F = TypeVar("F", bound=Callable[..., Any])


def with_retry(
    max_retries: int = 3,
    base_delay: float = 0.1,
    max_delay: float = 2.0,
    exponential_base: float = 2.0,
    jitter: bool = True,
    exceptions: tuple[type[Exception], ...] = (Exception,),
) -> Callable[[F], F]:
    """Return a decorator for functions and coroutine functions that retries after one of ``exceptions``.

    It retries up to ``max_retries`` times. The first pause is ``base_delay`` seconds, the longest
    ``max_delay``. The error of the last attempt is raised. Each failure is logged as a WARNING, the last as
    an ERROR.
    """

    def decorate(function: F) -> F:
        def pauses() -> Iterator[float]:
            backoff = Backoff(min(base_delay, max_delay), max_delay, exponential_base, jitter)
            return (backoff.next_s() for _ in range(max_retries))

        def report(error: Exception, pause: float | None) -> None:
            name = getattr(function, "__qualname__", repr(function))
            if pause is None:
                log.error("%s failed after %d retries: %s", name, max_retries, error)
            else:
                log.warning("%s failed, next attempt in %.2f s: %s", name, pause, error)

        @functools.wraps(function)
        async def in_loop(*args: Any, **kwargs: Any) -> Any:
            left = pauses()
            while True:
                try:
                    return await function(*args, **kwargs)
                except exceptions as error:
                    pause = next(left, None)
                    report(error, pause)
                    if pause is None:
                        raise
                await asyncio.sleep(pause)

        @functools.wraps(function)
        def blocking(*args: Any, **kwargs: Any) -> Any:
            left = pauses()
            while True:
                try:
                    return function(*args, **kwargs)
                except exceptions as error:
                    pause = next(left, None)
                    report(error, pause)
                    if pause is None:
                        raise
                time.sleep(pause)

        return cast("F", in_loop if inspect.iscoroutinefunction(function) else blocking)

    return decorate
