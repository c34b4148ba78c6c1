"""Run a handler for one member of a room, and send the frame that it makes to the others.

The handler of most groups encodes the message as JSON and sends it. If it only sends (``sending``), and uses
``self`` for nothing else, it makes the same frame of the same message for each consumer of its class. So the
frame of the first consumer is kept with the message (``Copies``), and the others need neither the handler nor
a copy of the message.

Only a single text is kept, and only for a message of plain values, because others may change between two
uses. While a debugger is attached, each member's handler runs.

This relies on CPython's bytecode: the instruction after one that loads ``self`` looks up the method. In
Python 3.10 it does not show whether a call with keywords is that of a method, so there each handler runs.
"""

from __future__ import annotations

import dis
import itertools
import json
import sys
import weakref
from collections.abc import Iterable, Sequence
from types import FunctionType
from typing import Any, NamedTuple

from compat.engine.contracts import MARK
from compat.engine.events import Copies, Event
from compat.engine.fast.framing import text_of
from compat.engine.fast.sending import REACHED, only_sends

__all__ = [
    "Judgement",
    "is_plain",
    "is_same_for_all",
    "is_watched",
    "judge",
    "made_first",
    "methods_of",
    "only_frame",
]

PLAIN = frozenset((str, int, float, bool, bytes, type(None)))
MOST_VALUES = 1_000
"""Messages with more values than this are not examined, and count as not plain."""
TEXT = b"\x81"
"""The first byte of a frame that is a whole text, and not compressed."""
VARIABLE = 0x04 | 0x08
"""The flags of a function with ``*args`` or ``**kwargs``."""
METHODS = ("send", "send_json")
"""What ``self`` may be used for."""

_dumps = json.dumps
_monitoring: Any = getattr(sys, "monitoring", None)  # from Python 3.12 on
_judgements: weakref.WeakKeyDictionary[type, dict[str, Judgement | None]] = weakref.WeakKeyDictionary()


class Judgement(NamedTuple):
    """A handler that only sends."""

    methods: tuple[object, ...]
    """The result of ``methods_of`` when it was judged."""
    same: bool
    """It sends the same for each consumer of its class."""
    reached: frozenset[str]
    """The attributes that it uses; the judgement does not hold for an instance that has one of its own."""


def judge(consumer: Any, name: str) -> Judgement | None:
    """Return the judgement on the handler ``name`` of a consumer's class; None if it does not only send."""
    cls = type(consumer)
    known = _judgements.get(cls)
    if known is None:
        known = _judgements[cls] = {}
    judgement = known.get(name)
    if judgement is None and name in known:
        return None
    methods = methods_of(cls, name)
    if judgement is None or judgement.methods != methods:
        judgement = None
        if only_sends(consumer, name):
            same = json.dumps is _dumps and is_same_for_all(cls, getattr(cls, name))
            judgement = Judgement(methods, same, REACHED.union((name,)))
        known[name] = judgement
    return judgement


def is_same_for_all(cls: type, handler: FunctionType) -> bool:
    """Return True if ``handler``, which only sends, sends the same for each consumer of the class ``cls``."""
    looks_up: Any = cls.__getattribute__
    if looks_up is not object.__getattribute__ or hasattr(cls, "__getattr__"):
        return False
    code = handler.__code__
    if code.co_argcount != 2 or code.co_kwonlyargcount or code.co_flags & VARIABLE or code.co_cellvars:
        return False
    own = code.co_varnames[0]
    for step, following in itertools.pairwise(dis.get_instructions(code)):
        names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if own in names and not (
            step.opname.startswith("LOAD_FAST") and names == (own,) and _loads_method(following)
        ):
            return False
    return True


def _loads_method(step: dis.Instruction) -> bool:
    """Return True if ``step`` looks up one of ``METHODS`` to call it, and not to use it as a value."""
    # From Python 3.12 on one instruction does both.
    method = step.opname == "LOAD_METHOD" or (
        step.opname == "LOAD_ATTR" and sys.version_info >= (3, 12) and bool((step.arg or 0) & 1)
    )
    return method and step.argval in METHODS


def methods_of(cls: Any, name: str) -> tuple[object, ...]:
    """Return all functions that the handler ``name`` calls; if one is replaced, its judgement is void."""
    handler: Any = getattr(cls, name, None)
    code = getattr(handler, "__code__", None)
    if code is None:  # a mock, for one
        return (handler,)
    reached = [handler, code, handler.__globals__.get("json")]
    reached += [getattr(cls, one, None) for one in ("dispatch", "send", "close")]
    if "send_json" in code.co_names:
        encode = getattr(getattr(cls, "encode_json", None), "__func__", None)
        reached += [getattr(cls, "send_json", None), encode, getattr(encode, "__globals__", {}).get("json")]
    return (*reached, json.dumps, json.JSONEncoder.encode, json.JSONEncoder.default)


def is_watched() -> bool:
    """Return True while a debugger traces this thread; coverage does not count, because one run is enough."""
    if _monitoring is not None and _monitoring.get_tool(_monitoring.DEBUGGER_ID) is not None:
        return True
    trace = sys.gettrace()
    return trace is not None and not type(getattr(trace, "__self__", trace)).__module__.startswith("coverage")


def is_plain(message: Any) -> bool:
    """Return True if a message has only JSON values and bytes in dicts, lists and tuples, without subclasses.

    Returns False for more than ``MOST_VALUES``: an object may contain itself, or occur many times.
    """
    left, seen = [message], 0
    while left:
        value: Any = left.pop()
        items: Sequence[Any]
        if value.__class__ is dict:
            items = [*value.keys(), *value.values()]
        elif value.__class__ is list or value.__class__ is tuple:
            items = value
        else:
            return False
        seen += len(items)
        if seen > MOST_VALUES:
            return False
        left += [item for item in items if item.__class__ not in PLAIN]
    return True


def made_first(events: Iterable[Event], kind: object, cls: type, now: float) -> list[bytes]:
    """Return the known frames that consumers of the class ``cls`` send for the first events.

    They end before a message whose frame is not known, whose type is not ``kind``, or whose deadline is over
    at ``now``, in seconds of ``clock.steady()``.
    """
    frames = []
    for deadline, message, copies in events:
        if not isinstance(copies, Copies) or deadline <= now or message.get("type") != kind:
            break
        frame = copies.made.get(cls)
        if frame is None:
            break
        frames.append(frame)
    return frames


def only_frame(frames: Sequence[bytes]) -> bytes | None:
    """Return the frame of ``frames`` if it is the only one, and a text frame of ours; else None."""
    if len(frames) != 1 or frames[0][:1] != TEXT:
        return None
    return None if text_of(frames[0])[:1] == MARK else frames[0]
