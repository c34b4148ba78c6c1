"""Recognise handlers that only send: they need no turn of the loop between two of them.

After a handler the loop has a turn, in which the tasks that it has made begin. The handler of most groups
makes none: it puts what has come into JSON and sends it. Several messages for such a consumer are handled in
one turn. That saves the way through all coroutines of its task, those of the server and of the routers, or
with threads the way to the loop and back.

A handler is recognised by the names in its code: it mentions nothing but our own ``send()`` or
``send_json()`` and ``json.dumps``. This relies on ``co_names`` of CPython's code objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import Any

from compat import db
from compat.types import Message

__all__ = ["MAX_TURN_S", "MOST_AT_ONCE", "Judged", "only_sends"]

MOST_AT_ONCE, MAX_TURN_S = 16, 0.00025
"""How many messages a consumer handles in one turn, and for how many seconds, beyond the one that ends it."""

SHIPPED = frozenset(("compat.consumer", "compat.generic.websocket"))
"""The modules of our own methods; one that a class or a test has put before them is of another one."""

CALLED = {"send": ("send", "close"), "send_json": ("send_json", "encode_json", "send", "close")}
"""The methods behind those that a handler may call."""
NAMES = frozenset((*CALLED, "json", "dumps", "get"))


def only_sends(consumer: Any, code: CodeType, names: Mapping[str, Any]) -> bool:
    """Return True if a handler of ``consumer`` does nothing but send; ``names`` are those of its module.

    The caller knows that what the consumer sends goes to the engine at once (``base_send``).
    """
    used = code.co_names
    nested = any(type(constant) is CodeType for constant in code.co_consts)
    if nested or code.co_freevars or not NAMES.issuperset(used):
        return False
    if "json" in used and names.get("json") is not json:
        return False
    called = {method for name in used for method in CALLED.get(name, ())}
    return all(_is_shipped(found) for method in called for found in _reached(type(consumer), method))


class Judged:
    """Remembers whether the last handler of a sync consumer only sends."""

    __slots__ = ("kind", "sends")

    def __init__(self) -> None:
        self.kind: object = None
        """The type of its message."""
        self.sends = False

    def only_sends(self, consumer: Any, bridge: object, message: Message) -> bool:
        """Return what ``only_sends`` says about the handler of ``message``; it sends through ``bridge``."""
        kind = message.get("type")
        if kind != self.kind:
            self.kind, self.sends = kind, False
            own = getattr(consumer.base_send, "__self__", None) is bridge and "dispatch" not in vars(consumer)
            if own and _is_shipped(type(consumer).dispatch) and not db.watched():
                handler = getattr(consumer, consumer._handler_names.get(kind, ""), None)
                function = getattr(handler, "__func__", None)
                if type(function) is FunctionType:
                    self.sends = only_sends(consumer, function.__code__, function.__globals__)
        return self.sends


def _reached(kind: type, name: str) -> list[Any]:
    """Return what a call of the method ``name`` reaches: our ``send()`` calls those of all later classes."""
    found = [vars(base)[name] for base in kind.__mro__ if name in vars(base)]
    return found if name == "send" else found[:1]


def _is_shipped(method: Any) -> bool:
    function = getattr(method, "__func__", method)
    return type(function) is FunctionType and function.__module__ in SHIPPED
