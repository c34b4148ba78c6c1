"""Early errors for two mistakes: ``def`` instead of ``async def``, and a class instead of its application.

The hooks of consumers are checked when a class is defined, a handler for messages of a channel layer when the
first such message arrives. A class instead of ``as_asgi()`` is found by our routers and middleware
(``require_application``), by FastAPI when it reads the parameters of the class, and by Starlette when it
calls the class with a connection.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

__all__ = [
    "HOOKS",
    "check_handler",
    "check_hooks",
    "check_made",
    "complaint",
    "require_application",
    "require_list",
]

HOOKS = (
    "compat_parked",
    "compat_resumed",
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
"""Methods that consumers await (or call, if they are sync)."""
NOTICES = ("compat_parked", "compat_resumed")
"""Those whose message says nothing, so that they need not take it."""


def check_hooks(cls: type, *, sync: bool) -> None:
    """Raise TypeError if a hook of the new class ``cls`` is sync in an async consumer, or async in a sync
    one, or if ``groups`` of a websocket consumer is one string: its letters would be the groups.
    """
    for name in HOOKS:
        if name in cls.__dict__:
            check_handler(cls, name, cls.__dict__[name], sync=sync)
    for name in NOTICES:
        notice: Any = getattr(cls, name, None)
        if takes_no_message(notice):
            setattr(cls, name, with_message(notice))
    groups = inspect.getattr_static(cls, "groups", None)
    if groups and hasattr(cls, "websocket_connect"):
        require_list(cls, "groups", groups, "names")


def takes_no_message(notice: Any) -> bool:
    """Return True for a method that takes only ``self``."""
    if not inspect.isfunction(notice):
        return False
    return len(inspect.signature(notice, follow_wrapped=False).parameters) == 1


def with_message(notice: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a method that may be given a message, and calls ``notice``, which takes only ``self``."""

    @functools.wraps(notice)
    def taking(consumer: Any, message: Any = None) -> Any:
        return notice(consumer)

    return taking


def require_list(cls: type, attribute: str, value: Any, of: str) -> None:
    """Raise TypeError if the ``value`` of a list attribute is one string or class instead."""
    if isinstance(value, str | type):
        shown = repr(value) if isinstance(value, str) else value.__name__
        raise TypeError(
            f"{cls.__module__}.{cls.__qualname__}.{attribute} must be a list of {of}: write "
            f"{attribute} = [{shown}]"
        )


def check_handler(cls: type, name: str, handler: Any, *, sync: bool) -> None:
    """Raise TypeError if ``handler`` is sync in an async consumer, or async in a sync one."""
    function = inspect.unwrap(getattr(handler, "__func__", handler))
    if not isinstance(function, types.FunctionType):
        return  # a callable object, such as database_sync_to_async's, may return a coroutine
    is_async = inspect.iscoroutinefunction(function)
    where = f"{cls.__module__}.{cls.__qualname__}.{name}"
    if sync and is_async:
        raise TypeError(
            f"{where} is an 'async def' in a sync consumer, which would never run it: write 'def {name}', "
            f"or derive the class from the consumer's Async flavour"
        )
    # A plain function with another name is a decorator's wrapper, which may return a coroutine.
    if not sync and not is_async and function.__name__ == name:
        raise TypeError(
            f"{where} is a plain 'def' in an async consumer, which awaits it: write 'async def {name}', "
            f"or derive the class from the consumer's sync flavour"
        )


def require_application(application: Any, where: str) -> None:
    """Raise TypeError if ``application`` is a consumer's class, or its ``as_asgi``, instead of an
    application.
    """
    is_class = inspect.isclass(application) and hasattr(application, "as_asgi")
    if is_class or is_as_asgi(application):
        raise TypeError(f"{where}: {complaint(application)}")


def is_as_asgi(application: Any) -> bool:
    """Return True for ``Consumer.as_asgi`` without parentheses."""
    made_by = getattr(application, "__self__", None)
    return inspect.ismethod(application) and application.__name__ == "as_asgi" and inspect.isclass(made_by)


def check_made(consumer: Any, args: tuple[Any, ...]) -> None:
    """Raise TypeError if ``args``, with which a consumer's class was called, are those of an application."""
    if len(args) == 3 and isinstance(args[0], dict) and "type" in args[0]:
        raise TypeError(complaint(type(consumer)))


def complaint(given: Any) -> str:
    """Return the error text for a consumer's class, or its ``as_asgi``, instead of an application."""
    if is_as_asgi(given):
        name = given.__self__.__name__
        return f"{name}.as_asgi is a method that makes an application. Write {name}.as_asgi()."
    name = given.__name__
    return f"{name} is a consumer's class, not an application. Write {name}.as_asgi()."
