"""``async_unsafe``: keeps blocking functions off the event loop."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from typing import Any

from ..core.exceptions import SynchronousOnlyOperation

__all__ = ["async_unsafe"]

_MESSAGE = "this blocks, and an event loop runs in this thread: call it through sync_to_async"


def async_unsafe(message: Any) -> Any:
    """The function raises SynchronousOnlyOperation when a loop runs in this thread
    (DJANGO_ALLOW_ASYNC_UNSAFE: not).
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                return function(*args, **kwargs)
            if not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
                raise SynchronousOnlyOperation(_MESSAGE if callable(message) else message)
            return function(*args, **kwargs)

        return inner

    return decorate(message) if callable(message) else decorate
