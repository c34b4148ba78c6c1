"""Helpers for consumers and channel layers in a FastAPI or Starlette application.

    app = FastAPI(lifespan=lifespan)
    app.router.add_websocket_route("/ws/rooms/{room}/", RoomConsumer.as_asgi())
    include_consumers(app, websocket_urlpatterns)      # patterns of path() and re_path()

    @app.post("/rooms/{room}/messages")
    async def say(room: str, text: str, layer: Annotated[BaseChannelLayer, Depends(channel_layer())]) -> None:
        await layer.group_send(room, {"type": "chat.message", "text": text})

This module does not import FastAPI.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket, WebSocketState

from compat.codes import TRY_AGAIN_LATER
from compat.configured import require_right
from compat.engine.dependencies import endpoint
from compat.engine.outage import RETRY_AFTER_S, SERVICE_UNAVAILABLE, report_outage
from compat.engine.redaction import hide_usual_parameters
from compat.engine.refusal import can_respond, connection_lost, listed
from compat.exceptions import CompatError, ImproperlyConfigured, InvalidChannelLayerError, LayerUnavailable
from compat.layers import (
    DEFAULT_CHANNEL_LAYER,
    BaseChannelLayer,
    channel_layers,
    get_channel_layer,
    required_layer,
)
from compat.layers.base import require_group
from compat.layers.history import History
from compat.layers.presence import Presence
from compat.metrics import starting
from compat.routing.hidden import warn_of_hidden
from compat.routing.matching import require_routed
from compat.routing.starlette import PatternsRoute
from compat.routing.unrouted import log_unrouted
from compat.security.origin import warn_of_unchecked

__all__ = [
    "add_exception_handlers",
    "channel_layer",
    "close_layers",
    "endpoint",
    "group_history",
    "group_presence",
    "include_consumers",
    "lifespan",
    "open_layers",
    "page_ticket",
]

log = logging.getLogger("compat.layers")

SHOWN = "compat.positions"
"""The key of a scope: the positions of the histories that the page shows."""
hide_usual_parameters()  # a dependency may read a token from the query string, which servers log


def channel_layer(alias: str = DEFAULT_CHANNEL_LAYER) -> Callable[[], Awaitable[BaseChannelLayer]]:
    """Return a dependency that passes the layer ``alias`` to an endpoint: ``Depends(channel_layer("chat"))``.

    The alias is looked up at each request, so it may be configured later. A request raises
    InvalidChannelLayerError, which lists the configured layers, if it does not exist.
    """

    async def the_layer() -> BaseChannelLayer:
        return required_layer(alias, f"Depends(channel_layer({alias!r}))")

    return the_layer


def group_history(
    group: str, count: int | None = None, *, alias: str = DEFAULT_CHANNEL_LAYER
) -> Callable[[HTTPConnection], Awaitable[History]]:
    """Return a dependency that passes a group's messages: ``Depends(group_history("chat_{room}", 50))``.

    ``group`` may name parameters of the path. A request raises what ``layer.history()`` raises, and
    ImproperlyConfigured for a parameter that the path has not.
    """

    async def the_history(connection: HTTPConnection) -> History:
        layer = required_layer(alias, f"group_history(alias={alias!r})")
        name = _named(group, layer, connection)
        said = await layer.history(name, count)
        connection.scope.setdefault(SHOWN, {})[name] = said.position
        return said

    return the_history


def group_presence(
    group: str, *, alias: str = DEFAULT_CHANNEL_LAYER
) -> Callable[[HTTPConnection], Awaitable[Presence]]:
    """Return a dependency that passes who is in a group: ``Depends(group_presence("chat_{room}"))``.

    ``group`` may name parameters of the path. A request raises what ``layer.presence()`` raises, and
    ImproperlyConfigured for a parameter that the path has not; a name that no group may have is answered with
    404.
    """

    async def the_presence(connection: HTTPConnection) -> Presence:
        layer: Any = required_layer(alias, f"group_presence(alias={alias!r})")
        if not hasattr(layer, "presence"):
            raise InvalidChannelLayerError(
                f"group_presence() needs a layer of compat; {type(layer).__qualname__} knows no people"
            )
        people: Presence = await layer.presence(_named(group, layer, connection))
        return people

    return the_presence


def _named(group: str, layer: BaseChannelLayer, connection: HTTPConnection) -> str:
    """Return a group's name with the parameters of the path; answer 404 to one that no group may have.

    Raises ImproperlyConfigured if the path has not all of them.
    """
    try:
        name = group.format(**connection.path_params)
    except LookupError as error:
        missing = repr(error.args[0]) if isinstance(error, KeyError) else "no name"
        raise ImproperlyConfigured(
            f"the group {group!r} needs {missing} from the path, and the path's parameters are "
            f"{listed(connection.path_params)}; use one name in both"
        ) from None
    try:
        require_group(layer, name)
    except TypeError as error:
        raise HTTPException(404, "There is no such group") from error
    return name


def page_ticket(
    *groups: str, alias: str = DEFAULT_CHANNEL_LAYER
) -> Callable[[HTTPConnection], Awaitable[str]]:
    """Return a dependency that passes a ticket for a page: ``Depends(page_ticket("chat_{room}"))``.

    The page's connection then gets what its groups have had since (``layer.ticket()``): since now, or since a
    ``group_history`` that stands before it among the endpoint's parameters. The groups may name parameters of
    the path; the user is that of the request's scope.
    """

    async def the_ticket(connection: HTTPConnection) -> str:
        layer = required_layer(alias, f"page_ticket(alias={alias!r})")
        shown: dict[str, str] = connection.scope.get(SHOWN, {})
        names = [_named(group, layer, connection) for group in groups]
        return await layer.ticket({name: shown.get(name) for name in names}, connection.scope.get("user"))

    return the_ticket


def include_consumers(app: Any, patterns: Sequence[Any]) -> None:
    """Add ``patterns`` (a ``websocket_urlpatterns`` of Channels) to the routes of ``app``.

    Paths without a matching pattern are left to routes that are added later. A websocket that no route
    matches is refused as before, with a line in the log. ``app``: a FastAPI or Starlette application. Raises
    TypeError for an APIRouter, whose patterns FastAPI would ignore.
    """
    router = getattr(app, "router", None)
    if router is None or not hasattr(router, "routes"):
        raise TypeError(
            f"include_consumers() takes a FastAPI or Starlette application, not {type(app).__name__}. On an "
            "APIRouter use add_websocket_route(path, Consumer.as_asgi())"
        )
    router.routes.append(PatternsRoute(patterns))
    log_unrouted(app)


def add_exception_handlers(app: Any) -> None:
    """Make a FastAPI or Starlette ``app`` answer LayerUnavailable, which a call of a layer may raise.

    A request is answered with 503, Retry-After and ``{"detail": "Service Unavailable"}``; the websocket of an
    endpoint is refused with 503, or closed with 1013 if it is open. The layer logs one line when the outage
    begins and one when it ends. Without this call, each request is answered with 500 and logs a traceback.
    ``lifespan`` makes this call for its application; make it yourself if the application has its own
    lifespan. Existing handlers for LayerUnavailable, ConnectionError or OSError are kept.
    """
    for handlers in _handlers_of(app):
        if not any(known in handlers for known in _KNOWN_AS):
            handlers[LayerUnavailable] = _unavailable


_KNOWN_AS = (LayerUnavailable, CompatError, ConnectionError, OSError)


def _handlers_of(app: Any) -> Iterator[dict[Any, Any]]:
    """Yield the dicts of exception handlers of ``app``, including that of its middleware stack once it is
    built.
    """
    from starlette.middleware.exceptions import ExceptionMiddleware

    handlers = getattr(app, "exception_handlers", None)
    if isinstance(handlers, dict):
        yield handlers
    layer = getattr(app, "middleware_stack", None)
    while layer is not None:
        if isinstance(layer, ExceptionMiddleware):
            yield layer._exception_handlers
            return
        layer = getattr(layer, "app", None)


async def _unavailable(connection: HTTPConnection, error: Exception) -> Any:
    scope = connection.scope
    report_outage(error)
    wait = {"Retry-After": str(RETRY_AFTER_S)}
    answer = JSONResponse({"detail": "Service Unavailable"}, SERVICE_UNAVAILABLE, headers=wait)
    if scope["type"] == "http":
        return answer
    assert isinstance(connection, WebSocket)
    await refuse_or_close(connection, TRY_AGAIN_LATER, answer=answer)
    return None


async def refuse_or_close(
    websocket: WebSocket, code: int, reason: str = "", *, answer: Response | None = None
) -> None:
    """End a websocket, unless it has ended: close it with ``code`` and ``reason``, or refuse its handshake.

    The handshake is refused with ``answer`` if there is one and the server takes it; else with HTTP 403.
    """
    if answer is not None and websocket.client_state is WebSocketState.CONNECTING:
        await websocket.receive()  # the handshake must be received before a response
    if WebSocketState.DISCONNECTED in (websocket.client_state, websocket.application_state):
        return
    is_open = websocket.application_state is not WebSocketState.CONNECTING
    if answer is None or is_open or not can_respond(websocket.scope):
        await websocket.close(code, reason)
        return
    await websocket.send_denial_response(answer)
    await connection_lost(websocket._receive)


@contextlib.asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Run ``open_layers()`` during the life of the application: ``FastAPI(lifespan=lifespan)``.

    It also warns about consumers without an Origin check (``compat.security.origin``) and about routes that
    never run, logs websockets that no route matches, and calls ``add_exception_handlers``. Raises TypeError
    for a route with a consumer's class instead of ``as_asgi()``.
    """
    for route in getattr(app, "routes", ()):
        require_routed(route)
    warn_of_hidden(app)
    log_unrouted(app)
    warn_of_unchecked(app)
    add_exception_handlers(app)
    async with open_layers():
        yield


@contextlib.asynccontextmanager
async def open_layers() -> AsyncIterator[None]:
    """Create every configured layer, and close them at the end; for your own lifespan.

    A wrong setting, or a layer that is configured wrongly, raises an error here, at the start. No server is
    connected to, so an application can start while its Redis is away.
    """
    require_right()
    for alias in channel_layers.aliases():
        get_channel_layer(alias)
    starting()
    try:
        yield
    finally:
        await close_layers()


async def close_layers() -> None:
    """Close the connections of this process's layers on the running event loop.

    An error is logged, and the other layers are closed.
    """
    for alias, layer in list(channel_layers.backends.items()):
        close = getattr(layer, "close", None) or getattr(layer, "close_pools", None)
        if close is None:
            continue
        try:
            await close()
        except Exception:  # any layer, and redis-py's errors derive from nothing else
            log.exception("closing the layer %r failed", alias)
