"""Recognise handlers that only send: they need no turn of the loop between two of them, and no task.

After a handler the loop has a turn, in which the tasks that it has made begin. The handler of most groups
makes none: it encodes the message as JSON and sends it. So all messages that wait for such a consumer are
handled in one turn, in the callback that would wake its task (``at_once``). With threads, this saves a
wake-up of the loop and of the worker.

A handler is recognised by the names in its code: it mentions nothing but our own ``send()`` or
``send_json()``, ``json.dumps`` and ``get``, and none of these is the project's, on the class, on the instance
or in its module. What it sends must go to the server, not through a middleware. This relies on ``co_names``
of CPython's code objects.
"""

from __future__ import annotations

import asyncio
import json
from types import CodeType, FunctionType
from typing import Any

from compat.engine.contracts import Resumed
from compat.engine.fast.framing import behind_starlette
from compat.types import Send

__all__ = ["REACHED", "is_servers_own", "only_sends"]

SHIPPED = frozenset(("compat.consumer", "compat.engine.dispatching", "compat.generic.websocket"))
"""The modules of our own methods."""

CALLED = {"send": ("send", "close"), "send_json": ("send_json", "encode_json", "send", "close")}
"""The methods behind those that a handler may call."""
OTHERS = frozenset(("json", "dumps", "get"))
"""Other names that it may mention, if the consumer has no attribute of that name."""
NAMES = OTHERS.union(CALLED)
REACHED = frozenset(("dispatch", *NAMES, *(method for methods in CALLED.values() for method in methods)))


def only_sends(consumer: Any, name: str | None) -> bool:
    """Return True if the handler ``name`` of ``consumer`` only sends, as far as its class tells."""
    kind = type(consumer)
    function = None if name is None else getattr(kind, name, None)
    if type(function) is not FunctionType or function.__defaults__ or function.__kwdefaults__:
        return False
    code, known = function.__code__, function.__globals__
    used = NAMES.intersection(code.co_names)
    nested = any(type(constant) is CodeType for constant in code.co_consts)
    if nested or code.co_freevars or len(used) < len(code.co_names):
        return False
    if any(one in known for one in used if one != "json") or any(hasattr(kind, one) for one in OTHERS & used):
        return False  # a function of the project's, or one of the consumer's own
    if "json" in used and known.get("json") is not json:
        return False
    called = {"dispatch", *(method for one in used for method in CALLED.get(one, ()))}
    return all(_is_shipped(found) for method in called for found in _reached(kind, method))


def is_servers_own(send: Send) -> bool:
    """Return True if ``send`` is the server's, or a test's queue, and not a middleware's."""
    owner = getattr(behind_starlette(send), "__self__", None)
    if isinstance(owner, Resumed):
        return owner.link is not None and is_servers_own(owner.link.raw_send)
    return isinstance(owner, asyncio.BaseProtocol | asyncio.Queue)


def _reached(kind: type, name: str) -> list[Any]:
    """Return what a call of the method ``name`` reaches: our ``send()`` calls those of all later classes."""
    found = [vars(base)[name] for base in kind.__mro__ if name in vars(base)]
    return found if name == "send" else found[:1]


def _is_shipped(method: Any) -> bool:
    function = getattr(method, "__func__", method)
    # Not by ``__module__``, which a decorator copies.
    return type(function) is FunctionType and function.__globals__.get("__name__") in SHIPPED
