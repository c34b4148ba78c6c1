"""Sends what a request to publish has."""

from __future__ import annotations

import asyncio
import fnmatch
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from compat.engine.outage import RETRY_AFTER_S, SERVICE_UNAVAILABLE, report_outage
from compat.exceptions import ChannelFull, LayerUnavailable, MessageTooLarge
from compat.generic.http import AsyncHttpConsumer
from compat.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from compat.layers import BaseChannelLayer, SendResult
from compat.layers.base import require_group
from compat.layers.presence.people import key_of
from compat.names import RESERVED, is_own_type
from compat.publish.bodies import UNPROCESSABLE, Target, invalid, wrong

__all__ = ["json_answer", "published", "send_of"]

OK = 200
AT_ONCE = 50
"""The number of messages between which other clients have a turn."""
OWN_CLASSES = (AsyncHttpConsumer, AsyncJsonWebsocketConsumer, JsonWebsocketConsumer)
OWN_METHODS = {name for cls in OWN_CLASSES for base in cls.__mro__ for name in vars(base)}
"""What a server or the library calls: a consumer trusts what comes to these methods."""

Send = Callable[[], Awaitable[Any]]


def send_of(
    layer: BaseChannelLayer, consumers: Mapping[str, type[Any]], one: Target, where: list[Any]
) -> Send:
    """Return what publishes one message, which is ``where`` in the body; raise Unprocessable."""
    try:
        _require_open_keys(one.message)
        if one.group is not None:
            return _to_group(layer, consumers, one.group, one.message)
        _require_type(one.message)
        if one.channel is not None:
            layer.require_valid_channel_name(one.channel)
            return partial(_to_channel, layer, one.channel, one.message)
        to_user = getattr(layer, "send_to_user", None)
        if to_user is None:
            raise ValueError(f"user: the layer {type(layer).__qualname__} knows no people")
        key_of(one.user)
        return partial(to_user, one.user, one.message)
    except ValidationError as error:
        raise invalid([*where, "message"], error) from error
    except (TypeError, ValueError) as error:
        raise wrong(where, str(error)) from error


def _to_group(
    layer: BaseChannelLayer, consumers: Mapping[str, type[Any]], group: str, message: dict[str, Any]
) -> Send:
    require_group(layer, group)
    if group.startswith(RESERVED):
        raise ValueError(f"group: {group!r} is one of the library's own")
    for pattern, consumer in consumers.items():
        if fnmatch.fnmatchcase(group, pattern):
            # By the rules of JSON, as an event that comes over the layer: a strict model takes a time, too.
            event = consumer.incoming_event_adapter.validate_json(json.dumps(message))
            return lambda: consumer.broadcast_event(event, group)
    _require_type(message)
    return lambda: layer.group_send(group, message)


async def _to_channel(layer: BaseChannelLayer, channel: str, message: dict[str, Any]) -> SendResult | None:
    try:
        await layer.send(channel, message)
    except ChannelFull:
        return SendResult(0, 1)
    return None


def _require_open_keys(message: dict[str, Any]) -> None:
    """Raise ValueError for a key that tells a layer or a member what to do with the message."""
    key = next((key for key in message if key.startswith("__")), None)
    if key is not None:
        raise ValueError(
            f"message: the key {key[:100]!r} is for the library alone, as all that begin with '__'"
        )


def _require_type(message: dict[str, Any]) -> None:
    """Raise ValueError unless the message is for a handler that the application has written."""
    kind = message.get("type")
    if not isinstance(kind, str) or not kind:
        raise ValueError("message: expected a 'type', which names the consumer's handler")
    handler = kind.replace(".", "_")
    if is_own_type(kind) or handler.startswith("presence_") or handler in OWN_METHODS:
        raise ValueError(f"message: the type {kind[:100]!r} is for the library alone")


async def published(sends: list[Send]) -> Response:
    """Publish the messages in order, and return the answer: what became of each, and why no more were."""
    done: list[dict[str, Any]] = []
    status, detail, headers = OK, "", dict[str, str]()
    try:
        for number, send in enumerate(sends):
            done.append(_result(await send()))
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
    except LayerUnavailable as error:
        report_outage(error)
        status, detail = SERVICE_UNAVAILABLE, "Service Unavailable"
        headers = {"Retry-After": str(RETRY_AFTER_S)}
    except (TypeError, ValueError, OverflowError, MessageTooLarge) as error:  # what the layer cannot send
        status, detail = UNPROCESSABLE, f"message {len(done)}: {error}"
    return json_answer({"published": done, **({"detail": detail} if detail else {})}, status, headers)


def json_answer(content: dict[str, Any], status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in ASCII: half of a surrogate pair, which a client may send, has no UTF-8."""
    return Response(json.dumps(content), status, headers, media_type="application/json")


def _result(sent: Any) -> dict[str, Any]:
    """Return what a layer has said of a message; layers that are not ours say nothing."""
    return {"delivered": getattr(sent, "delivered", None), "dropped": getattr(sent, "dropped", 0)}
