"""Private copies of messages, so that no receiver sees what another one changes.

Immutable scalars are shared, plain containers are copied, and other values are deep-copied. So a message may
contain any value that Channels' in-memory layer accepts, at a fraction of the cost of ``copy.deepcopy``. As
with ``copy.deepcopy``, an object that occurs several times is copied once, and a message may contain itself.

Messages are also checked before they are sent: a client can send JSON that the sender can read, but that no
receiver can pass on.
"""

from __future__ import annotations

import copy
from typing import Any

from compat.engine.events import Copies
from compat.exceptions import MessageTooLarge

__all__ = ["DEEPEST", "copier", "private", "sent", "too_deep"]

DEEPEST = 200
"""The number of lists and dicts inside one another that a message may have, on every layer."""

_SHARED = frozenset((str, int, float, bool, bytes, type(None), complex))
_NO_TEXT = _SHARED - {str}


def copier(message: dict[str, Any]) -> Copies:
    """Return a function that returns a new private copy of ``message`` at each call."""
    if message.__class__ is dict:
        for value in message.values():
            if value.__class__ not in _SHARED:
                break
        else:
            return Copies(message.copy)
    return Copies(lambda: private(message))


def sent(message: Any) -> Any:
    """Return a private copy of ``message`` for its receivers.

    Raises MessageTooLarge if it is nested deeper than ``DEEPEST``, and UnicodeEncodeError for a text with
    half a surrogate pair, as msgpack does: no receiver could send that to its client.
    """
    if message.__class__ is dict:
        for value in message.values():
            if value.__class__ is str:
                if not value.isascii():
                    value.encode()
            elif value.__class__ not in _SHARED:
                break
        else:
            return message.copy()
    return _checked(message, {}, DEEPEST)


def too_deep() -> MessageTooLarge:
    """Return the error for a message that is nested deeper than ``DEEPEST``."""
    return MessageTooLarge(
        f"this message is nested deeper than {DEEPEST} lists and dicts, more than every receiver can "
        "read; flatten it, or check what clients send before it is passed on"
    )


def private(message: Any) -> Any:
    """Return a copy of ``message`` that shares nothing mutable with it."""
    try:
        return _copy(message, {})
    except RecursionError:
        return _copy_deep(message)


def _checked(value: Any, memo: dict[int, Any], levels: int) -> Any:
    """Return a copy as ``_copy`` does, and raise as ``sent`` does; ``levels``: how many more are allowed."""
    kind = value.__class__
    if kind is str:
        if not value.isascii():
            value.encode()
        return value
    if kind in _SHARED:
        return value
    known = memo.get(id(value))
    if known is not None:
        return known
    if not levels:
        raise too_deep()
    levels -= 1
    made: Any
    if kind is dict:
        made = memo[id(value)] = {}
        for key, item in value.items():
            made[key if key.__class__ is str and key.isascii() else _checked(key, memo, levels)] = (
                item
                if item.__class__ in _NO_TEXT or (item.__class__ is str and item.isascii())
                else _checked(item, memo, levels)
            )
    elif kind is list:
        made = memo[id(value)] = []
        made += [item if item.__class__ in _NO_TEXT else _checked(item, memo, levels) for item in value]
    elif kind is tuple:
        made = tuple([_checked(item, memo, levels) for item in value])
        made = memo.setdefault(id(value), made)
    else:
        made = _copy(value, memo)
    return made


def _copy(value: Any, memo: dict[int, Any]) -> Any:
    """Return a private copy of ``value``; ``memo`` maps the ids of originals to their copies."""
    kind = value.__class__
    if kind in _SHARED:
        return value
    known = memo.get(id(value))
    if known is not None:
        return known
    made: Any
    if kind is dict:
        made = memo[id(value)] = {}
        for key, item in value.items():
            made[key if key.__class__ in _SHARED else _copy(key, memo)] = (
                item if item.__class__ in _SHARED else _copy(item, memo)
            )
    elif kind is list:
        made = memo[id(value)] = []
        made += [item if item.__class__ in _SHARED else _copy(item, memo) for item in value]
    elif kind is tuple:
        made = tuple([_copy(item, memo) for item in value])
        made = memo.setdefault(id(value), made)  # a tuple that contains itself has been copied by now
    elif kind is set:
        made = memo[id(value)] = {_copy(item, memo) for item in value}
    else:
        made = copy.deepcopy(value, memo)
    return made


def _copy_deep(message: Any) -> Any:
    """Copy a message whose lists and dicts are nested deeply; RecursionError for other deep values."""
    memo: dict[int, Any] = {}
    top: list[Any] = []
    left: list[tuple[Any, Any]] = [([message], top)]

    def copied(value: Any) -> Any:
        kind = value.__class__
        if kind in _SHARED:
            return value
        known = memo.get(id(value))
        if known is None:
            if kind is not dict and kind is not list:
                return copy.deepcopy(value, memo)
            known = memo[id(value)] = kind()
            left.append((value, known))
        return known

    while left:
        value, made = left.pop()
        if value.__class__ is dict:
            made.update((copied(key), copied(item)) for key, item in value.items())
        else:
            made.extend(map(copied, value))
    return top[0]
