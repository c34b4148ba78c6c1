"""The few lines that a FastAPI or Starlette app needs around consumers and layers.

    app = FastAPI(lifespan=lifespan)
    app.router.add_websocket_route("/ws/rooms/{room}/", RoomConsumer.as_asgi())
    include_consumers(app, websocket_urlpatterns)      # patterns of path() and re_path(), as they are

    @app.post("/rooms/{room}/messages")
    async def say(room: str, text: str, layer: Annotated[BaseChannelLayer, Depends(channel_layer())]) -> None:
        await layer.group_send(room, {"type": "chat.message", "text": text})

Nothing here imports FastAPI; what is returned is what FastAPI and Starlette take.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketState

from compat.dependencies import endpoint
from compat.exceptions import CompatError, InvalidChannelLayerError, LayerUnavailable
from compat.layers import DEFAULT_CHANNEL_LAYER, BaseChannelLayer, channel_layers, get_channel_layer
from compat.matching import require_routed
from compat.outage import RETRY_AFTER_S, SERVICE_UNAVAILABLE, TRY_AGAIN_LATER, report_outage
from compat.redaction import hide_usual_parameters
from compat.refusal import can_respond, connection_lost
from compat.security.coverage import warn_of_unchecked
from compat.starlette_routes import PatternsRoute

__all__ = [
    "add_exception_handlers",
    "channel_layer",
    "close_layers",
    "endpoint",
    "include_consumers",
    "lifespan",
    "open_layers",
]

log = logging.getLogger("compat.layers")
hide_usual_parameters()  # a dependency may read a token from the query, and servers log it


def channel_layer(alias: str = DEFAULT_CHANNEL_LAYER) -> Callable[[], Awaitable[BaseChannelLayer]]:
    """A dependency that gives an endpoint the layer under ``alias``: ``Depends(channel_layer("chat"))``.

    The alias is looked up at each request, so it may be configured after this call. A request for one that is
    not configured raises InvalidChannelLayerError, which names those that are.
    """

    async def the_layer() -> BaseChannelLayer:
        layer: BaseChannelLayer | None = get_channel_layer(alias)
        if layer is None:
            configured = ", ".join(map(repr, channel_layers.aliases())) or "none"
            raise InvalidChannelLayerError(
                f"Depends(channel_layer({alias!r})): there is no layer {alias!r}; configured: {configured}. "
                f"Add it to CHANNEL_LAYERS, or call register_channel_layer({alias!r}, layer)"
            )
        return layer

    return the_layer


def include_consumers(app: Any, patterns: Sequence[Any]) -> None:
    """Serve ``patterns`` (a ``websocket_urlpatterns`` of Channels) beside the routes that ``app`` has.

    Paths that no pattern takes go on to the routes that are added later. ``app``: a FastAPI or Starlette
    application. Raises TypeError for an APIRouter: FastAPI would leave the patterns out when it is included.
    """
    router = getattr(app, "router", None)
    if router is None or not hasattr(router, "routes"):
        raise TypeError(
            f"include_consumers() takes a FastAPI or Starlette application, not {type(app).__name__}. On an "
            "APIRouter use add_websocket_route(path, Consumer.as_asgi())"
        )
    router.routes.append(PatternsRoute(patterns))


def add_exception_handlers(app: Any) -> None:
    """Let a FastAPI or Starlette ``app`` answer LayerUnavailable, which a call of a layer may raise.

    A request gets 503 with Retry-After and ``{"detail": "Service Unavailable"}``; an endpoint's websocket is
    refused with 503, or closed with 1013 once it is open. The layer logs one line when the outage begins and
    one when it is over. Without this it is a 500 with a traceback for each. ``lifespan`` does it for its app;
    call it where the app has a lifespan of its own. A handler that the app has for LayerUnavailable,
    ConnectionError or OSError stays.
    """
    for handlers in _handlers_of(app):
        if not any(known in handlers for known in _KNOWN_AS):
            handlers[LayerUnavailable] = _unavailable


_KNOWN_AS = (LayerUnavailable, CompatError, ConnectionError, OSError)


def _handlers_of(app: Any) -> Iterator[dict[Any, Any]]:
    """What an app answers exceptions with: now, and once it is put together, as it is when it has begun."""
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
    if connection.client_state is WebSocketState.CONNECTING:
        await connection.receive()  # the handshake, which no response may overtake
    if WebSocketState.DISCONNECTED in (connection.client_state, connection.application_state):
        return None
    if connection.application_state is WebSocketState.CONNECTING and can_respond(scope):
        await connection.send_denial_response(answer)
        await connection_lost(connection._receive)
    else:
        await connection.close(TRY_AGAIN_LATER)
    return None


@contextlib.asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """``FastAPI(lifespan=lifespan)``: ``open_layers()`` for as long as the app runs.

    Warns of consumers that no Origin check covers (``compat.security.coverage``), and answers requests while
    a layer's server is away (``add_exception_handlers``). Raises TypeError for a
    route with a consumer's class in the place of ``as_asgi()``.
    """
    for route in getattr(app, "routes", ()):
        require_routed(route)
    warn_of_unchecked(app)
    add_exception_handlers(app)
    async with open_layers():
        yield


@contextlib.asynccontextmanager
async def open_layers() -> AsyncIterator[None]:
    """Make every configured layer now, and close them at the end: for a lifespan of your own.

    A layer that is configured wrongly raises here, at start, and not at the first connection. No server is
    connected to: a Redis that is away for a moment must not keep an app from starting.
    """
    for alias in channel_layers.aliases():
        get_channel_layer(alias)
    try:
        yield
    finally:
        await close_layers()


async def close_layers() -> None:
    """Close the connections that this process's layers hold on the running event loop.

    One that fails is logged, and the others are closed all the same.
    """
    for alias, layer in list(channel_layers.backends.items()):
        close = getattr(layer, "close", None) or getattr(layer, "close_pools", None)
        if close is None:
            continue
        try:
            await close()
        except (OSError, RuntimeError):
            log.exception("layer %r could not be closed in order", alias)
