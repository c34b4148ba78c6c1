"""Routers: ASGI applications that hand a connection on, by its protocol, its path or its channel.

    application = ProtocolTypeRouter({
        "http": pages,
        "websocket": URLRouter([
            path("ws/chat/<room_name>/", ChatConsumer.as_asgi()),
            path("ws/api/", URLRouter([...])),
        ]),
    })

What no route takes is a ValueError, as in Channels, in a test and wherever a caller catches it (to try
another router). Elsewhere it is refused: 404 or 403, and one warning on the logger "compat.routing".
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from compat.callers import answers_before, catches_value_error
from compat.consumer import ConsumerApp
from compat.endpoint import ASGISignature
from compat.exceptions import ImproperlyConfigured
from compat.familiar import catchable, familiar
from compat.handlers import require_application
from compat.layers import channel_layers
from compat.matching import (
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
from compat.patterns import Resolver404, URLPattern
from compat.refusal import listed, refuse, shown, status_seen
from compat.security.coverage import warn_of_unchecked
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
"""The name that type stubs of Channels give to the routes of a URLRouter; projects import it."""

_DJANGO_ERRORS = "django.core.exceptions"
_DJANGO_URL_ERRORS = "django.urls.exceptions"


def get_default_application() -> Any:
    """The application that the setting ``ASGI_APPLICATION`` names ("package.module.attribute").

    Raises ImproperlyConfigured when there is no such setting, module or attribute.
    """
    error = familiar(ImproperlyConfigured, _DJANGO_ERRORS)
    dotted = settings.get("ASGI_APPLICATION")
    if not isinstance(dotted, str) or "." not in dotted:
        raise error(
            "Cannot find ASGI_APPLICATION setting. It names the application by module and attribute, such as "
            f"'mysite.asgi.application'; it is {dotted!r}."
        )
    path, name = dotted.rsplit(".", 1)
    try:
        module = importlib.import_module(path)
    except ImportError as cause:
        raise error(f"Cannot import ASGI_APPLICATION module {path!r}: {cause}") from cause
    try:
        return getattr(module, name)
    except AttributeError as cause:
        hint = f" Write a dot for the colon: {dotted.replace(':', '.')!r}." if ":" in name else ""
        raise error(f"Cannot find {name!r} in ASGI_APPLICATION module {path}.{hint}") from cause


class ProtocolTypeRouter:
    """Hands a connection to the application for its scope's type ("http", "websocket", "channel", ...).

    A type that is not in ``application_mapping`` is a ValueError. From a server, "http" and "websocket" are
    refused instead, and "lifespan" is answered: by the first application that is a Starlette or FastAPI app
    (so that its start-up code runs, "http" asked first), else by the router, which makes the channel layers:
    settings of theirs that are wrong end the server at start.
    """

    __signature__ = ASGISignature()

    def __init__(self, application_mapping: Mapping[str, Any]) -> None:
        for kind, application in application_mapping.items():
            require_application(application, f"ProtocolTypeRouter: {kind!r}")
        self.application_mapping = application_mapping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        kind = scope["type"]
        if kind in self.application_mapping:
            try:
                return await self.application_mapping[kind](scope, receive, send)
            except ValueError as error:
                if IN_LOG not in vars(error):
                    raise
                # Of a router inside: a caller of that one has raised it again.
                return await _give_up(error, scope, receive, send)
        if kind == "lifespan" and is_served(scope):
            warn_of_unchecked(self)
            return await self._lifespan_application()(scope, receive, send)
        known = f"the ProtocolTypeRouter has {listed(self.application_mapping)}"
        reason = f"No application configured for scope type {kind!r}: {known}"
        await _give_up(_not_taken(reason, reason), scope, receive, send)

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


async def _lifespan_of_layers(scope: Scope, receive: Receive, send: Send) -> None:
    """The lifespan of an application that starts nothing itself: a layer that is set wrongly ends it here."""
    await receive()
    for alias in channel_layers.aliases():
        try:
            channel_layers[alias]
        except Exception as error:  # noqa: BLE001 - a BACKEND is anybody's; the server prints why and exits
            said = f"CHANNEL_LAYERS[{alias!r}] makes no layer: {type(error).__name__}: {error}"
            return await send({"type": "lifespan.startup.failed", "message": said})
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


class URLRouter:
    """Hands a connection to the application of the first route that matches its path.

    ``routes``: what ``path()`` and ``re_path()`` return, ours or Django's, and Starlette's routes
    (``WebSocketRoute``, ``Route``, ``Mount``), in any mixture. A route whose application is a URLRouter, bare
    or inside middleware, takes only the beginning of the path and leaves the rest to that router; where the
    rest does not match there, the next route is tried.

    The application gets a copy of the scope with

    - ``url_route``: ``{"args": tuple, "kwargs": dict}``, what all routers on the way took from the path;
    - ``path_params``: the same kwargs, where Starlette's applications look for them;
    - ``path_remaining``: what is left of the path.

    ``root_path`` is taken off first, so the router also works inside a Starlette or FastAPI ``Mount``.
    Raises, when made, ImproperlyConfigured for ``include()`` and TypeError for what is no route.
    """

    __signature__ = ASGISignature()
    _path_routing = True

    def __init__(self, routes: Sequence[Any]) -> None:
        self.routes = routes
        for route in routes:
            prepare_route(route)
            if complaint := route_complaint(route):
                logger.warning("URLRouter: route %r never matches: %s", route_text(route), complaint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        path = path_to_route(scope)
        if path is None:
            reason = f"The path does not begin with root_path {scope['root_path']!r}."
            return await _give_up(_no_route(scope["path"], reason), scope, receive, send)
        tried: list[str] = []
        following, found = self._match(path, scope, 0, tried)
        while found is not None:
            run, inner, route, end = found.application, found.scope, found.route, found.end
            del found  # each connection keeps what there is here for as long as it lasts
            try:
                if isinstance(run, ConsumerApp):
                    return await run.connection(inner, receive, send)
                return await run(inner, receive, send)
            except catchable(Resolver404, _DJANGO_URL_ERRORS) as error:
                text = route_text(route) + end
                tried += [text + str(one) for one in getattr(error, "tried", ())] or [text]
            following, found = self._match(path, scope, following, tried)
        if "path_remaining" in scope and not _is_answered_on_the_way(scope):
            raise familiar(Resolver404, _DJANGO_URL_ERRORS)(f"No route found for path {path!r}.", tried=tried)
        reason = f"Tried: {listed(tried)}."
        if not path.endswith("/") and self.serves(f"{path}/", scope.get("type", "websocket")):
            reason += " With a slash at its end the path is served."
        await _give_up(_no_route(path, reason), scope, receive, send)

    def serves(self, path: str, scope_type: str = "websocket") -> bool:
        """Whether a route, here or in a router within, takes ``path``, going by patterns alone."""
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
        """The first route from ``start`` on that matches, and where to go on if it gives the path back.

        Those that do not match go to ``tried``. After the last one comes the first that matches in part.
        """
        routes = self.routes
        for at in range(start, len(routes)):
            found = match_route(routes[at], path, scope)
            if found is None:
                tried.append(route_text(routes[at]))
            elif not found.partial:
                return at + 1, found
        after_all = len(routes) + 1
        matching = (match_route(route, path, scope) for route in routes if start < after_all)
        return after_all, next((found for found in matching if found is not None and found.partial), None)


class ChannelNameRouter:
    """Hands a worker's messages to the application for ``scope["channel"]``; ValueError for any other."""

    __signature__ = ASGISignature()

    def __init__(self, application_mapping: Mapping[str, Any]) -> None:
        for channel, application in application_mapping.items():
            require_application(application, f"ChannelNameRouter: {channel!r}")
        self.application_mapping = application_mapping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if "channel" not in scope:
            raise ValueError(
                "ChannelNameRouter got a scope without a 'channel' key. Only workers make scopes with one: "
                'put the router under "channel" in a ProtocolTypeRouter.'
            )
        channel = scope["channel"]
        if channel not in self.application_mapping:
            known = listed(self.application_mapping)
            raise ValueError(f"No application configured for channel name {channel!r}; there are {known}")
        return await self.application_mapping[channel](scope, receive, send)


IN_LOG = "_in_log"
"""Attribute of a router's ValueError: what a log line says, which names the path itself."""


def _is_answered_on_the_way(scope: Scope) -> bool:
    """Whether a request's Resolver404 would be a 500 of a Starlette app before the router outside gets it."""
    served = is_served(scope) and scope.get("type") == "http"
    return served and answers_before(sys._getframe(1).f_back, URLRouter.__call__.__code__)


def _no_route(path: str, reason: str) -> ValueError:
    return _not_taken(f"No route found for path {path!r}. {reason}", f"no route matches. {reason}")


def _not_taken(text: str, in_log: str) -> ValueError:
    """What is raised where no route or application takes a connection: as in Channels, a plain ValueError."""
    error = ValueError(text)
    vars(error)[IN_LOG] = in_log
    return error


async def _give_up(error: ValueError, scope: Scope, receive: Receive, send: Send) -> None:
    """Raise ``error`` where a caller of the router catches it; else refuse the connection.

    A scope that comes from no server, or that nothing can be refused to, is a raise.
    """
    kind = scope.get("type")
    served = is_served(scope) and kind in ("http", "websocket")
    # Frame 1 is the router's __call__, which awaits this.
    if not served or catches_value_error(sys._getframe(1).f_back):
        raise error
    path, status = shown(scope.get("path", "")), status_seen(scope, 404)
    logger.warning("%s %s refused with %s: %s", kind, path, status, vars(error)[IN_LOG])
    await refuse(scope, receive, send, 404, "Not Found")
