"""Telling a ``def`` from an ``async def`` where the other one was due, as early as can be.

The hooks that every consumer knows are checked when a class is made; a handler for a channel layer's
message, which only its name makes one, is checked when the first such message comes.
"""

from __future__ import annotations

import inspect
import types
from typing import Any

__all__ = ["HOOKS", "check_handler", "check_hooks"]

HOOKS = (
    "connect",
    "disconnect",
    "handle",
    "http_disconnect",
    "http_request",
    "receive",
    "receive_json",
    "send_json",
    "websocket_connect",
    "websocket_disconnect",
    "websocket_receive",
)
"""Methods that the consumers of ``compat.generic`` await (or call, in a sync consumer)."""


def check_hooks(cls: type, *, sync: bool) -> None:
    """Raise TypeError if a hook of the new class ``cls`` is of the wrong kind, naming it."""
    for name in HOOKS:
        if name in cls.__dict__:
            check_handler(cls, name, cls.__dict__[name], sync=sync)


def check_handler(cls: type, name: str, handler: Any, *, sync: bool) -> None:
    """Raise TypeError if ``handler`` cannot be what ``cls`` does with it."""
    function = inspect.unwrap(getattr(handler, "__func__", handler))
    if not isinstance(function, types.FunctionType):
        return  # a callable object, such as database_sync_to_async's: its result will tell
    is_async = inspect.iscoroutinefunction(function)
    where = f"{cls.__module__}.{cls.__qualname__}.{name}"
    if sync and is_async:
        raise TypeError(
            f"{where} is an 'async def' in a sync consumer, which would never run it: write 'def {name}', "
            f"or derive the class from the consumer's Async flavour"
        )
    # A plain function under another name is a decorator's wrapper, which may well return a coroutine.
    if not sync and not is_async and function.__name__ == name:
        raise TypeError(
            f"{where} is a plain 'def' in an async consumer, which awaits it: write 'async def {name}', "
            f"or derive the class from the consumer's sync flavour"
        )
