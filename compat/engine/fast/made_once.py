"""Run a handler for one member of a room, and send what it has made to the others.

The handler of most groups puts what has come into JSON and sends it. One that only sends (``sending``), and
uses its ``self`` for nothing else, makes the same of the same message for each consumer of its class. So what
it has made for the first is kept with the message (``Copies``), and the others need no handler, nor a copy.

Only a single text is kept, and only of a message of plain values: others may change from one use to the next.
Each member's handler runs while a debugger is at work.

This relies on CPython's bytecode: what is loaded before a method of ``self`` is looked up.
"""

from __future__ import annotations

import dis
import itertools
import sys
from collections.abc import Iterable, Sequence
from types import FunctionType
from typing import Any

from compat.engine.contracts import MARK
from compat.engine.events import Copies, Event
from compat.engine.fast.framing import text_of

__all__ = ["is_plain", "is_same_for_all", "is_watched", "made_first", "only_text"]

PLAIN = frozenset((str, int, float, bool, bytes, type(None)))
MOST_NESTED = 16
TEXT = b"\x81"
"""The first byte of a frame that is a whole text, and not compressed."""
VARIABLE = 0x04 | 0x08
"""The flags of a function with ``*args`` or ``**kwargs``."""


def is_same_for_all(handler: FunctionType) -> bool:
    """Return True if ``handler``, which only sends, sends the same for each consumer of its class."""
    code = handler.__code__
    if code.co_argcount != 2 or code.co_kwonlyargcount or code.co_flags & VARIABLE or code.co_cellvars:
        return False
    own = code.co_varnames[0]
    for step, following in itertools.pairwise(dis.get_instructions(code)):
        names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if own in names and not (
            step.opname.startswith("LOAD_FAST")
            and names == (own,)
            and following.opname in ("LOAD_METHOD", "LOAD_ATTR")
        ):
            return False
    return True


def is_watched() -> bool:
    """Return True while a debugger follows this thread; coverage sees enough if a line runs once."""
    monitoring: Any = getattr(sys, "monitoring", None)
    if monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None:
        return True
    trace = sys.gettrace()
    return trace is not None and not type(getattr(trace, "__self__", trace)).__module__.startswith("coverage")


def is_plain(value: Any, depth: int = 0) -> bool:
    """Return True for values of JSON and bytes in dicts, lists and tuples, of no subclass of these."""
    kind = value.__class__
    if kind in PLAIN:
        return True
    if depth == MOST_NESTED:
        return False
    if kind is dict:
        return all(map(is_plain, value.keys())) and all(is_plain(item, depth + 1) for item in value.values())
    return (kind is list or kind is tuple) and all(is_plain(item, depth + 1) for item in value)


def made_first(events: Iterable[Event], kind: object, cls: type, now: float) -> list[str]:
    """Return what consumers of the class ``cls`` send for the first events, as far as it is known.

    Only for messages of the type ``kind`` that are not too late ``now``, in seconds of ``clock.steady()``.
    """
    texts = []
    for deadline, message, copies in events:
        if copies.__class__ is not Copies or deadline <= now or message.get("type") != kind:
            break
        text = copies.made.get(cls)
        if text is None:
            break
        texts.append(text)
    return texts


def only_text(frames: Sequence[bytes]) -> str | None:
    """Return the text of what has been written, if that is one frame made here; else None."""
    if len(frames) != 1 or frames[0][:1] != TEXT:
        return None
    text = text_of(frames[0])
    return None if text[:1] == MARK else text
