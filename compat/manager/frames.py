"""Encode a message as a websocket frame, once for all receivers."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json

from compat.manager.serializers.base import BaseSerializer

__all__ = ["Frame", "content_of", "frame_of", "text_frame"]

_LARGE_NUMBER = re.compile(r"\d{19}|\d[eE]\+?\d{3}")


class Frame(NamedTuple):
    """A text frame or a binary frame; exactly one of ``text`` and ``data`` is not None."""

    text: str | None
    data: bytes | None
    size: int
    """Its length in bytes."""


def text_frame(text: str) -> Frame:
    """Return a text frame."""
    return Frame(text, None, len(text) if text.isascii() else len(text.encode()))


def frame_of(message: Any, serializer: BaseSerializer) -> Frame:
    """Return the frame for ``message``; raise TypeError or ValueError if it cannot be serialized.

    A message with ``binary_data`` (in base64, as in ``Message.to_dict()``) becomes a binary frame with only
    those bytes.
    """
    if isinstance(message, Mapping) and message.get("binary_data") is not None:
        data = _decoded(message["binary_data"])
        return Frame(None, data, len(data))
    if serializer.binary:
        data = serializer.dumps(message)
        return Frame(None, data, len(data))
    return text_frame(serializer.text(message))


def _decoded(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise ValueError(f"'binary_data' of a message must be base64: {error}") from error


def content_of(text: str) -> Any:
    """Parse a client's JSON text; raise ValueError if it is not JSON, or could not be sent to other clients.

    The second kind is NaN, numbers beyond a float or 64 bits, half a surrogate pair, and more than two
    hundred levels of nesting. ``json.loads`` accepts these, but the application would fail when it sends them
    on.
    """
    content = from_json(text, allow_inf_nan=False)
    if _LARGE_NUMBER.search(text) and not _in_range(content):
        raise ValueError("number out of range")
    return content


def _in_range(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    if isinstance(value, dict):
        return all(map(_in_range, value.values()))
    return not isinstance(value, list) or all(map(_in_range, value))
