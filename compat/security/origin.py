"""Origin checks for consumers, and a warning about consumers without one.

A browser lets every page open a websocket to every host, with that host's cookies. Channels projects have an
Origin check from the tutorial; in a FastAPI app it is easily forgotten. So:

- A consumer behind an ``OriginValidator`` needs no other check.
- ``configure(ALLOWED_HOSTS=[...])``, or ALLOWED_HOSTS in the module that COMPAT_SETTINGS_MODULE names, checks
  the connections of all other consumers.
- Otherwise one warning is logged, at the start of the application or at the first connection of a browser,
  and the consumer accepts every Origin, as with Channels.

``CHANNEL_ORIGIN_CHECK = False`` turns off the check and the warning. An ALLOWED_HOSTS in Django's settings is
for the Host header of requests, and turns on no check here, because projects without an Origin check have it
too.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from compat.engine.refusal import listed
from compat.settings import settings
from compat.types import Receive, Scope, Send, is_served

if TYPE_CHECKING:
    from compat.consumer import ConsumerApp

__all__ = [
    "Part",
    "check_due",
    "checked",
    "covered",
    "enforced",
    "parts",
    "serves_sockets",
    "unchecked_sockets",
    "warn_of_browser",
    "warn_of_unchecked",
]

log = logging.getLogger("compat.security")

covered: ContextVar[bool] = ContextVar("compat.security.covered", default=False)
"""True inside of an OriginValidator, for a connection that it has allowed."""

CURE = (
    "Pages of any site can open sockets there with your visitors' cookies. Check every consumer with "
    'configure(ALLOWED_HOSTS=["example.com"]), or some with AllowedHostsOriginValidator(app). If something '
    "else checks the Origin, set CHANNEL_ORIGIN_CHECK = False."
)

WRAPPED = ("inner", "application", "app")
"""Attributes in which middleware keeps the wrapped application: ours, Channels' and Starlette's."""

Run = Callable[[Scope, Receive, Send], Awaitable[None]]
"""A function that handles a connection."""

MAX_DEPTH = 50
"""The limit for objects that wrap each other in a circle, or have every attribute."""


def enforced() -> bool:
    """Return True if connections are checked that no ``OriginValidator`` has checked."""
    return bool(settings.kept("ALLOWED_HOSTS")) and settings.chosen("ALLOWED_HOSTS")


def check_due(consumer: ConsumerApp, scope: Scope) -> bool:
    """Return True if the Origin of the connection still has to be checked; warn about a consumer without a
    check.
    """
    if enforced():
        return _is_concerned(scope)
    warn_of_browser(consumer, scope)
    return False


def warn_of_browser(consumer: ConsumerApp, scope: Scope) -> None:
    """Warn about a consumer without a check, once, if a browser connects to it."""
    if consumer.origin_told or not is_served(scope):  # a test may have headers of any kind
        return
    for name, _ in scope.get("headers", ()):
        # Browsers always send an Origin, and few other clients do.
        if name == b"origin":
            if _is_concerned(scope):
                _warn(_news([(scope.get("path", "/"), consumer)]))
            break


def _is_concerned(scope: Scope) -> bool:
    return scope["type"] == "websocket" and is_served(scope) and not covered.get() and _wanted()


async def checked(run: Run, scope: Scope, receive: Receive, send: Send) -> None:
    """Call ``run`` if the Origin of the connection is allowed, else refuse the connection."""
    from compat.security.websocket import AllowedHostsOriginValidator

    await AllowedHostsOriginValidator(run)(scope, receive, send)


def warn_of_unchecked(application: Any) -> None:
    """Log one warning with the paths of all consumers in ``application`` that have no check."""
    if paths := unchecked_sockets(application):
        _warn(paths)


def unchecked_sockets(application: Any) -> list[str]:
    """Return the paths of the consumers in ``application`` that have no check and have not been reported.

    Routers and routes of ours, of Starlette and of FastAPI are searched; functions are not.
    """
    if not _wanted() or enforced():
        return []
    return _news(
        [
            (part.path or "/", part.application)
            for part in parts(application)
            if serves_sockets(part.application) and not part.checked
        ]
    )


def _warn(paths: list[str]) -> None:
    log.warning("the websocket consumers at %s have no Origin check. %s", listed(paths), CURE)


def _wanted() -> bool:
    return bool(settings.kept("CHANNEL_ORIGIN_CHECK"))


def _news(found: list[tuple[str, ConsumerApp]]) -> list[str]:
    """Return the paths of consumers that have not been reported, and mark them as reported."""
    paths = list(dict.fromkeys(path for path, consumer in found if not consumer.origin_told))
    for _, consumer in found:
        consumer.tell_origin()
    return paths


class Part(NamedTuple):
    """An application that receives the websockets of an outer one, at ``path``."""

    path: str
    application: Any
    checked: bool
    """It is inside of an OriginValidator."""


def parts(
    application: Any, path: str = "", *, checked: bool = False, depth: int = MAX_DEPTH
) -> Iterator[Part]:
    """Yield ``application`` and the applications inside: routers, routes, middleware, consumers."""
    from compat.consumer import ConsumerApp
    from compat.security.websocket import OriginValidator

    yield Part(path, application, checked)
    if depth == 0 or isinstance(application, ConsumerApp):
        return
    checked = checked or isinstance(application, OriginValidator)
    for inner, part in _inside(application):
        yield from parts(inner, path + part, checked=checked, depth=depth - 1)


def serves_sockets(application: Any) -> bool:
    """Return True for a consumer of websockets, as opposed to a router, middleware or a consumer of
    requests.
    """
    from compat.consumer import ConsumerApp

    return isinstance(application, ConsumerApp) and hasattr(application.consumer_class, "websocket_connect")


def _inside(application: Any) -> Iterator[tuple[Any, str]]:
    """Yield the inner applications of ``application``, each with the part of the path that leads to it."""
    if hasattr(application, "inner_applications"):  # a router of ours
        yield from application.inner_applications("websocket")
    elif hasattr(application, "original_router"):  # how FastAPI keeps an included router
        yield application.original_router, getattr(application.include_context, "prefix", "")
    elif hasattr(application, "methods"):
        return  # a route for HTTP
    elif isinstance(getattr(application, "path", None), str):  # a WebSocketRoute or a Mount of Starlette
        yield application.app, application.path
    elif isinstance(getattr(application, "routes", None), list):
        yield from ((route, "") for route in application.routes)
    else:
        yield from ((getattr(application, name), "") for name in WRAPPED if hasattr(application, name))
