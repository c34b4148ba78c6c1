"""Private copies of messages: no receiver may see what another one does to its event.

Immutable scalars are shared, plain containers are copied, anything else is deep-copied, so any Python value
that Channels' in-memory layer carries is carried here, at a fraction of the cost of copying it all deeply.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from compat.types import Message

__all__ = ["copier", "private"]

_SHARED = frozenset((str, int, float, bool, bytes, type(None), complex))


def copier(message: dict[str, Any]) -> Callable[[], Message]:
    """A function that returns a new private copy of ``message`` at each call."""
    if message.__class__ is dict:
        for value in message.values():
            if value.__class__ not in _SHARED:
                break
        else:
            return message.copy
    return lambda: private(message)


def private(message: Any) -> Any:
    """A copy of ``message`` that shares nothing mutable with it."""
    try:
        return _copy(message)
    except RecursionError:  # it refers to itself: deepcopy keeps track
        return copy.deepcopy(message)


def _copy(value: Any) -> Any:
    kind = value.__class__
    if kind in _SHARED:
        return value
    if kind is dict:
        return {_copy(key): _copy(item) for key, item in value.items()}
    if kind is list:
        return [_copy(item) for item in value]
    if kind is tuple:
        return tuple([_copy(item) for item in value])
    if kind is set:
        return {_copy(item) for item in value}
    return copy.deepcopy(value)
