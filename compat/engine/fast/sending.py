"""Recognise handlers that only send: they need no turn of the loop between two of them.

After a handler the loop has a turn, in which the tasks that it has made begin. The handler of most groups
makes none: it puts what has come into JSON and sends it. Several messages for such a consumer are handled in
one turn, which saves the way through all coroutines of its task, those of the server and of the routers.

A handler is recognised by the names in its code: it mentions nothing but our own ``send()`` or
``send_json()`` and ``json.dumps``. This relies on ``co_names`` of CPython's code objects.
"""

from __future__ import annotations

import json
from types import CodeType, CoroutineType, FunctionType
from typing import Any

__all__ = ["MAX_TURN_S", "only_sends"]

MAX_TURN_S = 0.00025
"""How long a consumer handles messages in one turn of the loop, beyond the one that ends it."""

SHIPPED = "compat.generic.websocket"
"""The module of our own methods; one that a class or a test has replaced is of another one."""

CALLED = {"send": ("send",), "send_json": ("send_json", "encode_json", "send")}
"""The methods behind those that a handler may call."""
NAMES = frozenset((*CALLED, "json", "dumps", "get"))


def only_sends(consumer: Any, handling: CoroutineType[Any, Any, Any]) -> bool:
    """Return True if a handler of ``consumer``, of which ``handling`` is a call, does nothing but send."""
    code, frame = handling.cr_code, handling.cr_frame
    names = code.co_names
    nested = any(type(constant) is CodeType for constant in code.co_consts)
    if nested or code.co_freevars or not NAMES.issuperset(names):
        return False
    if "json" in names and (frame is None or frame.f_globals.get("json") is not json):
        return False
    if consumer.base_send is not consumer._own_send:
        return False
    methods = [getattr(type(consumer), method) for name in names for method in CALLED.get(name, ())]
    return all(_is_shipped(method) for method in methods)


def _is_shipped(method: Any) -> bool:
    function = getattr(method, "__func__", method)
    return type(function) is FunctionType and function.__module__ == SHIPPED
