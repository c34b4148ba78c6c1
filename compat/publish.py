"""Publish over HTTP: messages to groups, users and channels, from services that are not Python.

    app.include_router(router(authenticate=bearer(os.environ["PUBLISH_TOKEN"])), prefix="/publish")

    curl https://example.org/publish -H "Authorization: Bearer $PUBLISH_TOKEN" --json '
        {"group": "chat_lobby", "message": {"type": "chat.message", "message": "hello"}}'

``authenticate`` is a dependency of FastAPI that raises an HTTPException for whoever may not publish:
``bearer(token)``, ``signed(secret)`` or the application's own. Needs the extra ``[fastapi]``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import fnmatch
import hmac
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message as ASGIMessage

from compat.clock import wall
from compat.engine.outage import RETRY_AFTER_S, SERVICE_UNAVAILABLE, report_outage
from compat.exceptions import ChannelFull, LayerUnavailable, MessageTooLarge
from compat.fastapi import channel_layer
from compat.layers import DEFAULT_CHANNEL_LAYER, BaseChannelLayer, SendResult
from compat.names import RESERVED

try:
    from fastapi import APIRouter, Depends
    from fastapi.exceptions import RequestValidationError
    from fastapi.routing import APIRoute
    from pydantic import (
        BaseModel,
        ConfigDict,
        Field,
        TypeAdapter,
        ValidationError,
        create_model,
        model_validator,
    )
except ModuleNotFoundError as error:
    raise ImportError(
        "compat.publish makes a router of FastAPI, which is not installed. Install it with: pip install "
        "'channels-compat[fastapi]'"
    ) from error

__all__ = ["MAX_BODY", "MAX_MESSAGES", "bearer", "router", "signed"]

MAX_BODY, MAX_MESSAGES = 2**20, 1000
"""The most bytes of a request, and the most messages in it."""
BAD_REQUEST, UNAUTHORIZED, TOO_LARGE, UNPROCESSABLE = 400, 401, 413, 422
OLDEST_S = 300
"""How far the time of a signature may be from this machine's, in seconds."""
AT_ONCE = 50
"""The number of messages between which other clients have a turn."""
OWN_TYPES = ("compat.", "websocket.", "http.")
"""How the types begin that a server or the library sends: a consumer trusts these."""

Authenticate = Callable[..., Any]


class Result(BaseModel):
    """What became of one message."""

    delivered: int | None = Field(description="How many members got it; null if the layer cannot know")
    dropped: int = Field(description="How many lost it because they were at capacity, as far as is known")


class Answer(BaseModel):
    """What became of the messages, in their order."""

    published: list[Result]
    detail: str = Field("", description="Why those after them were not published")


class _Target(BaseModel):
    """A message and whom it is for: exactly one of ``group``, ``user`` and ``channel``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    group: str | None = Field(None, description="A group, on all servers")
    user: str | int | None = Field(None, description="The connections that are present as this user")
    channel: str | None = Field(None, description="One channel, such as that of a worker")
    message: dict[str, Any]

    @model_validator(mode="after")
    def has_one_target(self) -> _Target:
        named = [name for name in ("group", "user", "channel") if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"expected one of group, user and channel, found {', '.join(named) or 'none'}")
        return self


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
    bytes and ``MAX_MESSAGES`` messages. All are checked before the first is published. The answer is 200 with
    ``{"published": [{"delivered", "dropped"}]}``; 400, 413 or 422 for a body that is not taken; 503 without
    Redis. 422 and 503 say which have been published before.
    """
    consumers = dict(typed or {})
    for pattern, consumer in consumers.items():
        if getattr(consumer, "incoming_event_adapter", None) is None:
            raise TypeError(
                f"router(typed={{{pattern!r}: …}}): {consumer!r} is no typed consumer with an @event_handler"
            )
    target: Any = _with_events(consumers)
    guard: Any = authenticate if hasattr(authenticate, "dependency") else Depends(_callable(authenticate))
    made = APIRouter(route_class=_BoundedRoute, dependencies=[guard])

    async def publish(body: Any) -> Response:
        listed: list[_Target] = body if isinstance(body, list) else [body]
        layer = await channel_layer(alias)()
        sends = [_send(layer, consumers, number, one) for number, one in enumerate(listed)]
        return await _published(sends)

    publish.__annotations__["body"] = (
        target | Annotated[list[target], Field(min_length=1, max_length=MAX_MESSAGES)]
    )
    made.add_api_route(
        *("", publish),
        methods=["POST"],
        response_model=Answer,
        summary="Publish messages to groups, users and channels",
        responses={status: {"model": Answer} for status in (SERVICE_UNAVAILABLE,)},
        tags=["publish"],
    )
    return made


def bearer(token: str) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency that asks for ``Authorization: Bearer`` and ``token``, and answers others with 401.

    Raises ValueError for an empty token.
    """
    known = _secret("bearer", token)

    async def authenticate(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), known):
            raise _unauthorized("The token is missing, or another one")

    return authenticate


def signed(secret: str) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency that asks for a signature of the body, and answers others with 401.

    The headers are those of Standard Webhooks (standardwebhooks.com), for which most languages have a
    library: ``webhook-id``, ``webhook-timestamp`` (at most 5 minutes from now) and ``webhook-signature``.
    ``secret``: base64, ``whsec_`` may stand before it. Who records a request can repeat it for 5 minutes, so
    use TLS. Raises ValueError for an empty secret, or one that is not base64.
    """
    try:
        key = base64.b64decode(_secret("signed", secret).removeprefix(b"whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError(f"signed(): the secret must be base64 ({error})") from error

    async def authenticate(request: Request) -> None:
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        number, at, signatures = (request.headers.get(name, "") for name in names)
        text = b".".join((number.encode(), at.encode(), await request.body()))
        right = base64.b64encode(hmac.digest(key, text, "sha256"))
        given = [one.partition(",") for one in signatures.split(" ")]
        if not any(version == "v1" and hmac.compare_digest(one.encode(), right) for version, _, one in given):
            raise _unauthorized("The signature is missing, or another one")
        if not number or not at.isdecimal() or abs(wall() - int(at[:20])) > OLDEST_S:
            raise _unauthorized(f"webhook-timestamp is not within {OLDEST_S} s of this server's time")

    return authenticate


def _secret(function: str, text: str) -> bytes:
    if not isinstance(text, str) or not text.strip():
        raise ValueError(
            f"{function}({text!r}): expected a secret that is not empty; is the variable set from which it "
            "comes?"
        )
    return text.encode()


def _unauthorized(why: str) -> HTTPException:
    return HTTPException(UNAUTHORIZED, why, {"WWW-Authenticate": 'Bearer realm="publish"'})


def _callable(authenticate: Any) -> Any:
    if callable(authenticate):
        return authenticate
    raise TypeError(
        f"router(authenticate={authenticate!r}): expected what decides who may publish: bearer(token), "
        "signed(secret), or a dependency of yours"
    )


# What a request may have


class _BoundedRoute(APIRoute):
    """A route that reads no more than ``MAX_BODY`` bytes."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            read = 0

            async def receive() -> ASGIMessage:
                nonlocal read
                message = await request._receive()
                read += len(message.get("body", b""))
                if read > MAX_BODY:
                    raise HTTPException(TOO_LARGE, f"The body is longer than {MAX_BODY} bytes")
                return message

            answer: Response = await handle(Request(request.scope, receive))
            return answer

        return bounded


class _Events:
    """Shows the events of typed consumers in the schema of ``message``."""

    def __init__(self, adapters: list[TypeAdapter[Any]]) -> None:
        self._adapters = adapters

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [*(handler(adapter.core_schema) for adapter in self._adapters), handler(schema)]}


def _with_events(consumers: Mapping[str, type[Any]]) -> type[_Target]:
    """Return the model of one message, with the events of ``consumers`` in its schema."""
    adapters = [consumer.incoming_event_adapter for consumer in dict.fromkeys(consumers.values())]
    message: Any = Annotated[dict[str, Any], _Events(adapters)] if adapters else dict[str, Any]
    return create_model("Publication", __base__=_Target, message=(message, ...))


# What is sent

Send = Callable[[], Awaitable[Any]]


def _send(layer: BaseChannelLayer, consumers: Mapping[str, type[Any]], number: int, one: _Target) -> Send:
    """Return what publishes one message; raise RequestValidationError for one that may not be published."""
    try:
        if one.group is not None:
            return _to_group(layer, consumers, one.group, one.message)
        _require_type(one.message)
        if one.channel is not None:
            layer.require_valid_channel_name(one.channel)
            return partial(_to_channel, layer, one.channel, one.message)
        to_user = getattr(layer, "send_to_user", None)
        if to_user is None:
            raise ValueError(f"user: the layer {type(layer).__qualname__} knows no people")
        return partial(to_user, one.user, one.message)
    except ValidationError as error:
        raise RequestValidationError(
            [
                {**told, "loc": ("body", number, "message", *told["loc"])}
                for told in error.errors(include_url=False)
            ]
        ) from error
    except (TypeError, ValueError) as error:
        told = {"type": "value_error", "loc": ("body", number), "msg": str(error), "input": None}
        raise RequestValidationError([told]) from error


def _to_group(
    layer: BaseChannelLayer, consumers: Mapping[str, type[Any]], group: str, message: dict[str, Any]
) -> Send:
    layer.require_valid_group_name(group)
    if group.startswith(RESERVED):
        raise ValueError(f"group: {group!r} is one of the library's own")
    for pattern, consumer in consumers.items():
        if fnmatch.fnmatchcase(group, pattern):
            event = consumer.incoming_event_adapter.validate_python(message)
            return lambda: consumer.broadcast_event(event, group)
    _require_type(message)
    return lambda: layer.group_send(group, message)


async def _to_channel(layer: BaseChannelLayer, channel: str, message: dict[str, Any]) -> SendResult | None:
    try:
        await layer.send(channel, message)
    except ChannelFull:
        return SendResult(0, 1)
    return None


def _require_type(message: dict[str, Any]) -> None:
    kind = message.get("type")
    if not isinstance(kind, str) or not kind:
        raise ValueError("message: expected a 'type', which names the consumer's handler")
    if kind.startswith(OWN_TYPES) or kind.startswith("_"):
        raise ValueError(f"message: the type {kind!r} is for the library alone")


async def _published(sends: list[Send]) -> Response:
    done: list[dict[str, Any]] = []
    status, detail, headers = 200, "", {}
    try:
        for number, send in enumerate(sends):
            done.append(_result(await send()))
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
    except LayerUnavailable as error:
        report_outage(error)
        status, detail, headers = (
            SERVICE_UNAVAILABLE,
            "Service Unavailable",
            {"Retry-After": str(RETRY_AFTER_S)},
        )
    except (TypeError, ValueError, OverflowError, MessageTooLarge) as error:  # what the layer cannot send
        status, detail = UNPROCESSABLE, f"message {len(done)}: {error}"
    return JSONResponse({"published": done, **({"detail": detail} if detail else {})}, status, headers)


def _result(sent: Any) -> dict[str, Any]:
    """Return what a layer has said of a message; layers that are not ours say nothing."""
    return {"delivered": getattr(sent, "delivered", None), "dropped": getattr(sent, "dropped", 0)}
