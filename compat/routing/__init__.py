"""Routers: ASGI applications that pass a connection to another one, by its protocol, path or channel.

    application = ProtocolTypeRouter({
        "http": pages,
        "websocket": URLRouter([
            path("ws/chat/<room_name>/", ChatConsumer.as_asgi()),
            path("ws/api/", URLRouter([...])),
        ]),
    })

A connection without a matching route raises ValueError, as in Channels, in a test and if a caller catches the
error (to try another router). Otherwise it is refused with 404 or 403, and one warning on the logger
"compat.routing".
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compat.advice.callers import answers_before, catches_value_error, read_sources
from compat.advice.endpoint import ASGISignature
from compat.advice.familiar import catchable, familiar
from compat.advice.handlers import require_application
from compat.client.page import NAMES, PREFIX, files
from compat.consumer import ConsumerApp
from compat.engine.refusal import listed, refuse, shown, status_seen
from compat.exceptions import ImproperlyConfigured
from compat.fallback import fallback_enabled, is_carrier, serve
from compat.layers import channel_layers
from compat.metrics import starting
from compat.patterns import Resolver404, URLPattern
from compat.routing.hidden import WHY_HIDDEN, hidden
from compat.routing.matching import (
    Application,
    Found,
    inner_router,
    match_route,
    path_to_route,
    prepare_route,
    route_complaint,
    route_text,
    with_inner,
)
from compat.security.origin import warn_of_unchecked
from compat.settings import settings
from compat.types import Receive, Scope, Send, is_served

__all__ = [
    "ChannelNameRouter",
    "ProtocolTypeRouter",
    "URLRouter",
    "get_default_application",
]

logger = logging.getLogger("compat.routing")

_ExtendedURLPattern = URLPattern
"""The name of a URLRouter's routes in type stubs of Channels; projects import it."""

_DJANGO_ERRORS = "django.core.exceptions"
_DJANGO_URL_ERRORS = "django.urls.exceptions"


def get_default_application() -> Any:
    """Return the application of the setting ``ASGI_APPLICATION`` ("package.module.attribute").

    Raises ImproperlyConfigured if the setting, the module or the attribute does not exist.
    """
    error = familiar(ImproperlyConfigured, _DJANGO_ERRORS)
    dotted = settings.get("ASGI_APPLICATION")
    if not isinstance(dotted, str) or "." not in dotted:
        raise error(
            "Cannot find ASGI_APPLICATION setting. Set it to the module and attribute of the application, "
            f"such as 'mysite.asgi.application'; it is {dotted!r}."
        )
    path, name = dotted.rsplit(".", 1)
    try:
        module = importlib.import_module(path)
    except ImportError as cause:
        raise error(f"Cannot import ASGI_APPLICATION module {path!r}: {cause}") from cause
    try:
        return getattr(module, name)
    except AttributeError as cause:
        hint = f" Write a dot instead of the colon: {dotted.replace(':', '.')!r}." if ":" in name else ""
        raise error(f"Cannot find {name!r} in ASGI_APPLICATION module {path}.{hint}") from cause


class ProtocolTypeRouter:
    """Passes a connection to the application for its scope's type ("http", "websocket", "channel", ...).

    A type that is not in ``application_mapping`` raises ValueError. From a server, "http" and "websocket" are
    refused instead, and "lifespan" is passed to the first Starlette or FastAPI application (under "http",
    then under "websocket"), so that its start-up code runs. Without one, the router answers: it creates the
    channel layers, so that errors in their settings stop the server at its start. The router also answers GET
    and HEAD requests for the files of the page's socket, ``/_channels/socket.js`` and the others. With
    ``CHANNEL_FALLBACK`` it serves requests of clients that have no websocket (``compat.fallback``).
    """

    __signature__ = ASGISignature()

    def __init__(self, application_mapping: Mapping[str, Any]) -> None:
        for kind, application in application_mapping.items():
            require_application(application, f"ProtocolTypeRouter: {kind!r}")
        self.application_mapping = application_mapping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        kind = scope["type"]
        if kind == "http":
            if _is_for_the_page(scope):
                return await files(scope, receive, send)
            if is_carrier(scope) and fallback_enabled():
                return await serve(self, scope, receive, send)
        if kind in self.application_mapping:
            try:
                return await self.application_mapping[kind](scope, receive, send)
            except ValueError as error:
                if IN_LOG not in vars(error):
                    raise
                # An inner router's error, which a caller of that router has raised again.
                return await _give_up(error, scope, receive, send)
        if kind == "lifespan" and is_served(scope):
            warn_of_unchecked(self)
            return await self._lifespan_application()(scope, receive, send)
        known = f"the ProtocolTypeRouter has {listed(self.application_mapping)}"
        reason = f"No application configured for scope type {kind!r}: {known}"
        await _give_up(_not_taken(reason, reason), scope, receive, send)

    def inner_applications(self, kind: str) -> Iterator[tuple[Any, str]]:
        """Yield the application for connections of the type ``kind``, with its part of the path ("")."""
        if kind in self.application_mapping:
            yield self.application_mapping[kind], ""

    def _lifespan_application(self) -> Application:
        mapping = self.application_mapping
        outermost = [mapping[kind] for kind in ("http", "websocket") if kind in mapping]
        starlette: Any = getattr(sys.modules.get("starlette.applications"), "Starlette", ())
        found = [app for one in outermost for app in with_inner(one) if isinstance(app, starlette)]
        if any(app is not found[0] for app in found):
            logger.warning(
                "ProtocolTypeRouter: only the http application's lifespan runs, not the websocket one's. "
                'Give the router an application for both: ProtocolTypeRouter({..., "lifespan": application}).'
            )
        return found[0] if found else _lifespan_of_layers


def _is_for_the_page(scope: Scope) -> bool:
    """Return True for a request of a file of the page's socket, below ``root_path``."""
    name = str(scope.get("path", "")).rpartition("/")[2]
    if name not in NAMES or scope.get("method") not in ("GET", "HEAD"):
        return False
    return path_to_route(scope) == PREFIX + name


async def _lifespan_of_layers(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the lifespan: create the channel layers, and report a layer that cannot be created."""
    await receive()
    for alias in channel_layers.aliases():
        try:
            channel_layers[alias]
        except Exception as error:  # noqa: BLE001 - a foreign BACKEND may raise any error
            text = f"CHANNEL_LAYERS[{alias!r}] cannot be created: {type(error).__name__}: {error}"
            return await send({"type": "lifespan.startup.failed", "message": text})
    starting()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


class URLRouter:
    """Passes a connection to the application of the first route that matches its path.

    ``routes``: the return values of ``path()`` and ``re_path()``, ours or Django's, and Starlette's routes
    (``WebSocketRoute``, ``Route``, ``Mount``), in any mixture. A route whose application is a URLRouter, with
    or without middleware, matches the beginning of the path, and that router matches the rest. If the rest
    does not match, the next route is tried.

    The application receives a copy of the scope with

    - ``url_route``: ``{"args": tuple, "kwargs": dict}``, the arguments from the path, of all routers so far;
    - ``path_params``: the same kwargs, for Starlette's applications;
    - ``path_remaining``: the rest of the path.

    ``root_path`` is removed from the path first, so the router also works inside a ``Mount`` of Starlette or
    FastAPI. The constructor raises ImproperlyConfigured for ``include()``, and TypeError for an object that
    is not a route.
    """

    __signature__ = ASGISignature()
    _path_routing = True

    def __init__(self, routes: Sequence[Any]) -> None:
        self.routes = routes
        for route in routes:
            prepare_route(route)
            if complaint := route_complaint(route):
                logger.warning("URLRouter: route %r never matches: %s", route_text(route), complaint)
        for text in hidden(routes):
            logger.warning("URLRouter: route %r never runs: %s", text, WHY_HIDDEN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        path = path_to_route(scope)
        if path is None:
            reason = f"The path does not begin with root_path {scope['root_path']!r}."
            return await _give_up(_no_route(scope["path"], reason), scope, receive, send)
        tried: list[str] = []
        following, found = self._match(path, scope, 0, tried)
        while found is not None:
            run, inner, route, end = found.application, found.scope, found.route, found.end
            del found  # the frame would keep it in memory as long as the connection lasts
            try:
                if isinstance(run, ConsumerApp):
                    return await run.connection(inner, receive, send)
                return await run(inner, receive, send)
            except catchable(Resolver404, _DJANGO_URL_ERRORS) as error:
                text = route_text(route) + end
                tried += [text + str(one) for one in getattr(error, "tried", ())] or [text]
            following, found = self._match(path, scope, following, tried)
        if "path_remaining" in scope and not await _is_answered_on_the_way(scope):
            raise familiar(Resolver404, _DJANGO_URL_ERRORS)(f"No route found for path {path!r}.", tried=tried)
        reason = f"Tried: {listed(tried)}."
        if not path.endswith("/") and self.serves(f"{path}/", scope.get("type", "websocket")):
            reason += " There is a route for the path with a slash at its end."
        await _give_up(_no_route(path, reason), scope, receive, send)

    def inner_applications(self, kind: str) -> Iterator[tuple[Any, str]]:
        """Yield Starlette's routes, and the applications of other routes, each with its part of the path."""
        for route in self.routes:
            yield (route, "") if hasattr(route, "handle") else (route.callback, f"/{route.pattern}")

    def serves(self, path: str, scope_type: str = "websocket") -> bool:
        """Return True if the pattern of a route, here or in an inner router, matches ``path``."""
        path = path.lstrip("/")
        scope = {"type": scope_type, "method": "GET", "headers": [], "path": f"/{path}"}
        for route in self.routes:
            found = match_route(route, path, scope)
            if found is None or found.partial:
                continue
            inner = inner_router(found.application)
            if not isinstance(inner, URLRouter) or inner.serves(found.scope["path_remaining"], scope_type):
                return True
        return False

    def _match(self, path: str, scope: Scope, start: int, tried: list[str]) -> tuple[int, Found | None]:
        """Return the first matching route from ``start`` on, and the index at which to continue if it rejects
        the path.

        Routes that do not match are added to ``tried``. After the last route follows the first partial match.
        """
        routes = self.routes
        for at in range(start, len(routes)):
            found = match_route(routes[at], path, scope)
            if found is None:
                tried.append(route_text(routes[at]))
            elif not found.partial:
                return at + 1, found
        after_all = len(routes) + 1
        if start == after_all:
            return after_all, None
        matching = (match_route(route, path, scope) for route in routes)
        return after_all, next((found for found in matching if found is not None and found.partial), None)


class ChannelNameRouter:
    """Passes the messages of a worker to the application for ``scope["channel"]``; ValueError for other
    channels.
    """

    __signature__ = ASGISignature()

    def __init__(self, application_mapping: Mapping[str, Any]) -> None:
        for channel, application in application_mapping.items():
            require_application(application, f"ChannelNameRouter: {channel!r}")
        self.application_mapping = application_mapping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if "channel" not in scope:
            raise ValueError(
                "ChannelNameRouter got a scope without a 'channel' key. Only a worker's scope has one: put "
                'the router under "channel" in a ProtocolTypeRouter.'
            )
        channel = scope["channel"]
        if channel not in self.application_mapping:
            known = listed(self.application_mapping)
            raise ValueError(f"No application configured for channel name {channel!r}; there are {known}")
        return await self.application_mapping[channel](scope, receive, send)


IN_LOG = "_in_log"
"""An attribute of a router's ValueError: the text for the log, in which the path is written separately."""


async def _is_answered_on_the_way(scope: Scope) -> bool:
    """Return True if a Starlette application would answer a Resolver404 with 500 before it reaches the outer
    router.
    """
    if not is_served(scope) or scope.get("type") != "http":
        return False
    await read_sources(sys._getframe(1).f_back)
    return answers_before(sys._getframe(1).f_back, URLRouter.__call__.__code__)


def _no_route(path: str, reason: str) -> ValueError:
    return _not_taken(f"No route found for path {path!r}. {reason}", f"no route matches. {reason}")


def _not_taken(text: str, in_log: str) -> ValueError:
    """Return the error for a connection without a route or application: a plain ValueError, as in
    Channels.
    """
    error = ValueError(text)
    vars(error)[IN_LOG] = in_log
    return error


async def _give_up(error: ValueError, scope: Scope, receive: Receive, send: Send) -> None:
    """Raise ``error`` if a caller of the router catches it; else refuse the connection.

    The error is always raised for a scope that does not come from a server, or cannot be refused.
    """
    kind = scope.get("type")
    served = is_served(scope) and kind in ("http", "websocket")
    # Frame 1 is the router's __call__, which awaits this.
    if served:
        await read_sources(sys._getframe(1).f_back)
    if not served or catches_value_error(sys._getframe(1).f_back):
        raise error
    path, status = shown(scope.get("path", "")), status_seen(scope, 404)
    logger.warning("%s %s refused with %s: %s", kind, path, status, vars(error)[IN_LOG])
    await refuse(scope, receive, send, 404, "Not Found")
