"""Consumers that any web page can open a socket to: found, warned of once, checked where that was asked for.

A browser lets every page open a socket to every host, with that host's cookies. Channels projects wrap their
sockets in an Origin check by habit; in a FastAPI app it is easily left out, and nothing shows it. So:

- a consumer behind an ``OriginValidator`` is left alone;
- ``configure(ALLOWED_HOSTS=[...])``, or ALLOWED_HOSTS in the module that COMPAT_SETTINGS_MODULE names, puts
  the check in front of all others;
- without either there is one warning, when the application starts or else when the first browser comes, and
  the consumer is served, as it is by Channels.

``CHANNEL_ORIGIN_CHECK = False`` says that somebody else checks: it ends the warning and the check. An
ALLOWED_HOSTS of Django's settings is about the Host header of requests and asks for no check here, since
projects without an Origin check have it too.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from compat.refusal import listed
from compat.settings import settings
from compat.types import Receive, Scope, Send, is_served

if TYPE_CHECKING:
    from compat.consumer import ConsumerApp

__all__ = [
    "Part",
    "check_due",
    "checked",
    "covered",
    "parts",
    "serves_sockets",
    "settled",
    "unchecked_sockets",
    "warn_of_unchecked",
]

log = logging.getLogger("compat.security")

covered: ContextVar[bool] = ContextVar("compat.security.covered", default=False)
"""True inside of an OriginValidator, for the connection that it has let through."""

CURE = (
    "Pages of any site can open sockets there, with your visitors' cookies. Put the check in front of every "
    'consumer by configure(ALLOWED_HOSTS=["example.com"]), or of some by AllowedHostsOriginValidator(app); '
    "CHANNEL_ORIGIN_CHECK = False says that something else checks."
)

WRAPPED = ("inner", "application", "app")
"""Where middleware keeps what it wraps: ours and Channels', and Starlette's."""

Run = Callable[[Scope, Receive, Send], Awaitable[None]]
"""What handles a connection."""

MAX_DEPTH = 50
"""Objects that wrap one another in a circle, or answer to every attribute, are followed no further."""


def settled(consumer: ConsumerApp) -> bool:
    """True when ``check_due`` is False for every connection, as long as no setting changes."""
    return consumer.origin_told and not _enforced()


def check_due(consumer: ConsumerApp, scope: Scope) -> bool:
    """True when the connection's Origin is to be checked and has not been; warns where nobody checks it."""
    if scope["type"] != "websocket" or not is_served(scope) or covered.get() or not _wanted():
        return False
    if _enforced():
        return True
    if not consumer.origin_told:
        for name, _ in scope.get("headers", ()):
            # Of a browser's connection: the others send no Origin, and there is nothing to check.
            if name == b"origin":
                _warn(_news([(scope.get("path", "/"), consumer)]))
                break
    return False


async def checked(run: Run, scope: Scope, receive: Receive, send: Send) -> None:
    """``run`` the consumer's connection if its Origin is allowed."""
    from compat.security.websocket import AllowedHostsOriginValidator

    await AllowedHostsOriginValidator(run)(scope, receive, send)


def warn_of_unchecked(application: Any) -> None:
    """One warning with the paths of all consumers in ``application`` that nobody checks; at start, once."""
    if paths := unchecked_sockets(application):
        _warn(paths)


def unchecked_sockets(application: Any) -> list[str]:
    """The paths of the consumers in ``application`` that nobody checks and that were not told of before.

    Finds what is in routers and routes of ours, of Starlette and of FastAPI; a function keeps its secrets.
    """
    if not _wanted() or _enforced():
        return []
    return _news(
        [
            (part.path or "/", part.application)
            for part in parts(application)
            if serves_sockets(part.application) and not part.checked
        ]
    )


def _warn(paths: list[str]) -> None:
    log.warning("no Origin check stands in front of the websocket consumers at %s. %s", listed(paths), CURE)


def _wanted() -> bool:
    return bool(settings.kept("CHANNEL_ORIGIN_CHECK"))


def _enforced() -> bool:
    return bool(settings.kept("ALLOWED_HOSTS")) and settings.chosen("ALLOWED_HOSTS")


def _news(found: list[tuple[str, ConsumerApp]]) -> list[str]:
    """The paths of consumers that nobody has been told of; from now on somebody has."""
    paths = list(dict.fromkeys(path for path, consumer in found if not consumer.origin_told))
    for _, consumer in found:
        consumer.origin_told = True
    return paths


class Part(NamedTuple):
    """Something that an application hands its websockets to, at ``path``."""

    path: str
    application: Any
    checked: bool
    """An OriginValidator stands in front of it."""


def parts(
    application: Any, path: str = "", *, checked: bool = False, depth: int = MAX_DEPTH
) -> Iterator[Part]:
    """``application``, and what is inside: routers, routes, middleware, and at their ends consumers."""
    from compat.consumer import ConsumerApp
    from compat.security.websocket import OriginValidator

    yield Part(path, application, checked)
    if depth == 0 or isinstance(application, ConsumerApp):
        return
    checked = checked or isinstance(application, OriginValidator)
    for inner, part in _inside(application):
        yield from parts(inner, path + part, checked=checked, depth=depth - 1)


def serves_sockets(application: Any) -> bool:
    """Whether that is a consumer of websockets, and not a router, middleware, or a consumer of requests."""
    from compat.consumer import ConsumerApp

    return isinstance(application, ConsumerApp) and hasattr(application.consumer_class, "websocket_connect")


def _inside(application: Any) -> Iterator[tuple[Any, str]]:
    """What ``application`` may hand a websocket to, and which part of the path it takes from it."""
    from compat.routing import ProtocolTypeRouter, URLRouter
    from compat.starlette_routes import PatternsRoute

    if isinstance(application, ProtocolTypeRouter):
        if "websocket" in application.application_mapping:
            yield application.application_mapping["websocket"], ""
    elif isinstance(application, URLRouter):
        for route in application.routes:
            yield (route, "") if hasattr(route, "handle") else (route.callback, f"/{route.pattern}")
    elif isinstance(application, PatternsRoute):
        if application.protocol == "websocket":
            yield application.router, ""
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
