"""Early errors for a class instead of its application, and for one value instead of a list.

A class instead of ``as_asgi()`` is found by our routers and middleware (``require_application``), by FastAPI
when it reads the parameters of the class, and by Starlette when it calls the class with a connection.
"""

from __future__ import annotations

import inspect
from typing import Any

__all__ = [
    "check_made",
    "complaint",
    "require_application",
    "require_list",
]


def require_list(cls: type, attribute: str, value: Any, of: str) -> None:
    """Raise TypeError if the ``value`` of a list attribute is one string or class instead."""
    if isinstance(value, str | type):
        shown = repr(value) if isinstance(value, str) else value.__name__
        raise TypeError(
            f"{cls.__module__}.{cls.__qualname__}.{attribute} must be a list of {of}: write "
            f"{attribute} = [{shown}]"
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
