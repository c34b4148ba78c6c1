"""Convert messages to the types that JSON and msgpack share, so that they work on every backend."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

__all__ = ["plain", "plain_message"]

_SCALARS = frozenset((str, int, float, bool, type(None)))


def plain_message(message: Any) -> dict[str, Any]:
    """Return ``message``, a dict or an object with ``to_dict()``, as a plain dict, if possible uncopied.

    Raises TypeError for anything else, and for a value inside that has no plain form.
    """
    if not isinstance(message, Mapping):
        to_dict = getattr(message, "to_dict", None)
        message = to_dict() if callable(to_dict) else message
    if not isinstance(message, dict):
        raise TypeError(f"a message is a dict, or a Message, not {message!r}")
    if all(key.__class__ is str and value.__class__ in _SCALARS for key, value in message.items()):
        return message
    converted: dict[str, Any] = plain(message)
    return converted


def plain(value: Any) -> Any:
    """Return ``value`` in JSON types: times in ISO 8601, sets as lists, bytes in base64, enums by value."""
    kind = value.__class__
    if kind in _SCALARS:
        return value
    if kind is dict:
        return {_key(key): plain(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [plain(item) for item in value]
    return _converted(value)


def _key(key: Any) -> str:
    if key.__class__ is str:
        return key
    if isinstance(key, Enum):
        return _key(key.value)
    return str(key)


def _converted(value: Any) -> Any:
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (UUID, Decimal, PurePath)):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    for scalar in (bool, int, float, str):
        if isinstance(value, scalar):
            return scalar(value)
    return _of_object(value)


def _of_object(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return plain(dump(mode="json"))
    to_dict = getattr(value, "to_dict", None)
    if callable(to_dict):
        return plain(to_dict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    raise TypeError(
        f"this message cannot travel: it contains {value!r}, and {type(value).__name__} has no form in JSON; "
        "convert it first, for example by str()"
    )
