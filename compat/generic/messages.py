"""The ASGI messages and the groups of websocket consumers, for both flavours."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from compat.closing import user_group
from compat.codes import NO_STATUS
from compat.exceptions import InvalidChannelLayerError
from compat.layers import missing_layer
from compat.names import person_key
from compat.types import Message

__all__ = [
    "Headers",
    "accept_message",
    "close_message",
    "code_at_end",
    "frame_message",
    "layer_for_groups",
    "own_copy",
    "own_groups",
    "text_of",
]

Headers = Iterable[tuple[bytes, bytes]]


def accept_message(subprotocol: str | None, headers: Headers | None) -> Message:
    """Return the message that completes a handshake."""
    message: Message = {"type": "websocket.accept", "subprotocol": subprotocol}
    if headers:
        message["headers"] = list(headers)
    return message


def frame_message(text_data: str | None, bytes_data: bytes | None) -> Message:
    """Return the message for a text frame, else a binary frame; raise ValueError if there is neither."""
    if text_data is not None:
        return {"type": "websocket.send", "text": text_data}
    if bytes_data is not None:
        return {"type": "websocket.send", "bytes": bytes_data}
    raise ValueError("You must pass one of bytes_data or text_data")


def close_message(code: int | bool | None, reason: str | None) -> Message:
    """Return the message that closes a connection; ``code`` True or None leaves the code to the server."""
    message: Message = {"type": "websocket.close"}
    if code is not None and code is not True:
        message["code"] = code
    if reason:
        message["reason"] = reason
    return message


def code_at_end(consumer: Any, message: Message) -> int:
    """Return the code for ``disconnect()``, and note that this is called: it is called once."""
    consumer._compat_socket.part()
    code: int = message.get("code", NO_STATUS)
    return code


def text_of(text_data: str | None) -> str:
    """Return the text of a frame that is to be JSON; raise ValueError if there is none."""
    if not text_data:
        raise ValueError("No text section for incoming WebSocket frame!")
    return text_data


def own_copy(groups: Any) -> Any:
    """Return a connection's own copy of ``groups``, of the same type: code may use it as the set or the dict
    that it is. None becomes an empty list.
    """
    if groups is None:
        return []
    try:
        return copy.copy(groups)
    except (TypeError, copy.Error):  # a generator, or the keys of a dict
        return list(groups)


def own_groups(consumer: Any) -> tuple[Any, list[str]]:
    """Return ``groups`` of the connection, and the names of all that it joins by itself.

    Each connection has a copy of its own, also where a subclass's constructor does not call ours, or where
    ``groups`` is a property. The caller keeps it in ``__dict__``, which a property without a setter permits.
    A ``user_groups`` that is not True is a project's own, such as a set of names.
    """
    own = consumer.groups
    if own is None or own is getattr(type(consumer), "groups", None):
        own = own_copy(own)
    elif isinstance(own, Iterator):
        own = list(own)  # it is read below, and by whoever uses it later
    names: list[str] = list(own or ())
    key = person_key(consumer.scope.get("user")) if consumer.user_groups is True else None
    if key is not None:
        mine = user_group(key)
        if mine not in names:
            names.append(mine)
            if isinstance(own, list):
                own.append(mine)
    return own, names


def layer_for_groups(consumer: Any) -> Any:
    """Return the consumer's layer; raise InvalidChannelLayerError if there is none that has groups."""
    layer = consumer.channel_layer
    if layer is None or not hasattr(layer, "group_add"):
        found = missing_layer(consumer) if layer is None else f"{type(layer).__name__} has no group_add()."
        raise InvalidChannelLayerError(f"BACKEND is unconfigured or doesn't support groups: {found}")
    return layer
