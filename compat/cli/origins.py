"""Which consumers any web page can open a socket to: what the development server warns of.

A browser lets every page open a socket to every host, with that host's cookies. Channels projects wrap their
sockets in an Origin check by habit; in a FastAPI app it is easily left out, and nothing shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compat.consumer import ConsumerApp
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.security.websocket import OriginValidator
from compat.starlette_routes import PatternsRoute

__all__ = ["unchecked_sockets"]

WRAPPED = ("inner", "application", "app")
"""Where middleware keeps what it wraps: ours and Channels', and Starlette's."""

MAX_DEPTH = 50
"""Objects that wrap one another in a circle, or answer to every attribute, are followed no further."""


def unchecked_sockets(application: Any) -> list[str]:
    """The paths of the consumers in ``application`` that no OriginValidator stands in front of.

    Finds what is in routers and routes of ours, of Starlette and of FastAPI; a function keeps its secrets.
    """
    return list(dict.fromkeys(_walk(application, "", MAX_DEPTH)))


def _walk(application: Any, path: str, depth: int) -> Iterator[str]:
    if depth == 0 or isinstance(application, OriginValidator):
        return
    if isinstance(application, ConsumerApp):
        yield path or "/"
        return
    for inner, part in _inside(application):
        yield from _walk(inner, path + part, depth - 1)


def _inside(application: Any) -> Iterator[tuple[Any, str]]:
    """What ``application`` may hand a websocket to, and which part of the path it takes from it."""
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
