"""A message as a websocket carries it, encoded once for all who get it."""

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
    """A text or a binary frame; exactly one of ``text`` and ``data`` is not None."""

    text: str | None
    data: bytes | None
    size: int
    """Its length in bytes."""


def text_frame(text: str) -> Frame:
    """A text frame."""
    return Frame(text, None, len(text) if text.isascii() else len(text.encode()))


def frame_of(message: Any, serializer: BaseSerializer) -> Frame:
    """The frame for ``message``; TypeError or ValueError for what the serializer cannot write.

    A message with ``binary_data`` (base64, as ``Message.to_dict()`` has it) becomes a binary frame of those
    bytes alone.
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
    """The JSON values in a client's text; ValueError for what is no JSON, or could not be passed on.

    That is NaN, numbers beyond a float or 64 bits, half a surrogate pair, nesting deeper than two hundred
    levels: all of it comes out of ``json.loads``, and fails where the application sends it to others.
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
