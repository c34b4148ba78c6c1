"""Publish over HTTP: messages to groups, users and channels, from services that are not Python.

    app.include_router(router(authenticate=bearer(os.environ["PUBLISH_TOKEN"])), prefix="/publish")

    curl https://example.org/publish -H "Authorization: Bearer $PUBLISH_TOKEN" --json '
        {"group": "chat_lobby", "message": {"type": "chat.message", "message": "hello"}}'

``authenticate`` is a dependency of FastAPI that raises an HTTPException for whoever may not publish:
``bearer(token)``, ``signed(secret)`` or the application's own. Needs the extra ``[fastapi]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from starlette.requests import Request
from starlette.responses import Response

from compat.engine.outage import SERVICE_UNAVAILABLE
from compat.layers import DEFAULT_CHANNEL_LAYER, required_layer

try:
    from fastapi import APIRouter, Body, Depends
    from pydantic import Field, SkipValidation
except ModuleNotFoundError as error:
    raise ImportError(
        "compat.publish makes a router of FastAPI, which is not installed. Install it with: pip install "
        "'channels-compat[fastapi]'"
    ) from error

from compat.publish.bodies import (
    MAX_MESSAGES,
    UNPROCESSABLE,
    Answer,
    Problems,
    Refusal,
    Stopped,
    Unprocessable,
    listed,
    with_events,
)
from compat.publish.callers import UNAUTHORIZED, bearer, signed
from compat.publish.reading import MAX_BODY, MAX_VALUES, TOO_LARGE, BoundedRoute
from compat.publish.sending import json_answer, published, send_of
from compat.security.dependencies import refuses_makers, require_dependency

__all__ = ["MAX_BODY", "MAX_MESSAGES", "MAX_VALUES", "bearer", "router", "signed"]

Authenticate = Callable[..., Any]


def router(
    *,
    authenticate: Authenticate,
    alias: str = DEFAULT_CHANNEL_LAYER,
    typed: Mapping[str, type[Any]] | None = None,
) -> APIRouter:
    """Return a router with one route, ``POST ""``, which publishes over the layer ``alias``.

    ``authenticate``: a function or ``Depends(…)``, called for each request. ``typed``: maps patterns of group
    names (``"room_*"``, the first that matches counts) to typed consumers; a message to such a group must be
    one of the consumer's events. Raises TypeError without ``authenticate``, because whoever may publish can
    speak to every client.

    The body is ``{"group" | "user" | "channel": …, "message": {…}}`` or a list of these, at most ``MAX_BODY``
    bytes, ``MAX_VALUES`` values and ``MAX_MESSAGES`` messages. It is read when ``authenticate`` has returned.
    All are checked before the first is published. The answer is 200 with
    ``{"published": [{"delivered", "dropped"}]}``; 413 or 422 for a body that is not taken; 503 without Redis.
    422 and 503 say which have been published before.
    """
    consumers = dict(typed or {})
    for pattern, consumer in consumers.items():
        if getattr(consumer, "incoming_event_adapter", None) is None:
            raise TypeError(
                f"router(typed={{{pattern!r}: …}}): {consumer!r} is no typed consumer with an @event_handler"
            )
        if consumer.channel_layer_alias != alias:
            raise TypeError(
                f"router(typed={{{pattern!r}: …}}): {consumer.__qualname__} is on the layer "
                f"{consumer.channel_layer_alias!r}, and the router on {alias!r}; make one for each layer"
            )
    target: Any = with_events(consumers)
    require_dependency(authenticate, "router()")
    guard: Any = authenticate if hasattr(authenticate, "dependency") else Depends(_callable(authenticate))
    made = APIRouter(route_class=BoundedRoute, dependencies=[refuses_makers(guard, Depends)])

    async def publish(request: Request) -> Response:
        layer = required_layer(alias, f"compat.publish.router(alias={alias!r})")
        try:
            body = await request.json()
            sends = [send_of(layer, consumers, one, where) for where, one in listed(body, target)]
        except Unprocessable as error:
            return json_answer({"detail": error.detail}, UNPROCESSABLE)
        return await published(sends)

    def documented(body: Any) -> None: ...

    # FastAPI would read and parse the body of a route that declares one before it calls ``authenticate``. So
    # the route that answers declares none, and the route in the documents comes second and never answers.
    documented.__annotations__["body"] = Annotated[
        target | Annotated[list[target], Field(min_length=1, max_length=MAX_MESSAGES)], SkipValidation, Body()
    ]
    made.add_api_route("", publish, methods=["POST"], include_in_schema=False)
    made.add_api_route(
        *("", documented),
        methods=["POST"],
        name="publish",
        response_model=Answer,
        summary="Publish messages to groups, users and channels",
        responses={
            UNAUTHORIZED: {"model": Refusal},
            TOO_LARGE: {"model": Refusal},
            UNPROCESSABLE: {"model": Problems | Stopped},
            SERVICE_UNAVAILABLE: {"model": Stopped},
        },
        tags=["publish"],
    )
    return made


def _callable(authenticate: Any) -> Any:
    if callable(authenticate):
        return authenticate
    raise TypeError(
        f"router(authenticate={authenticate!r}): expected what decides who may publish: bearer(token), "
        "signed(secret), or a dependency of yours"
    )
