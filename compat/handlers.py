"""Two mistakes, told as early as can be: ``def`` for ``async def``, and a class for its application.

The hooks that every consumer knows are checked when a class is made; a handler for a channel layer's
message, which only its name makes one, is checked when the first such message comes. A class given where
``as_asgi()`` was due is found by whatever of ours takes an application (``require_application``), by FastAPI
when it looks for parameters of the class, and by Starlette when it calls the class with a connection.
"""

from __future__ import annotations

import inspect
import types
from typing import Any

__all__ = ["HOOKS", "check_handler", "check_hooks", "check_made", "complaint", "require_application"]

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


def require_application(application: Any, where: str) -> None:
    """TypeError for a consumer's class, or its ``as_asgi``, in the place of its application.

    Either would fail at each connection.
    """
    is_class = inspect.isclass(application) and hasattr(application, "as_asgi")
    if is_class or is_as_asgi(application):
        raise TypeError(f"{where}: {complaint(application)}")


def is_as_asgi(application: Any) -> bool:
    """Whether that is ``Consumer.as_asgi``, the parentheses forgotten."""
    made_by = getattr(application, "__self__", None)
    return inspect.ismethod(application) and application.__name__ == "as_asgi" and inspect.isclass(made_by)


def check_made(consumer: Any, args: tuple[Any, ...]) -> None:
    """TypeError for a consumer that somebody makes by calling its class as an application."""
    if len(args) == 3 and isinstance(args[0], dict) and "type" in args[0]:
        raise TypeError(complaint(type(consumer)))


def complaint(given: Any) -> str:
    """What is wrong with a consumer's class, or with its ``as_asgi``, where an application is due."""
    if is_as_asgi(given):
        name = given.__self__.__name__
        return f"{name}.as_asgi is a method that makes an application. Write {name}.as_asgi()."
    name = given.__name__
    return f"{name} is a consumer's class, not an application. Write {name}.as_asgi()."
