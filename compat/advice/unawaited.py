"""Log records for a forgotten ``await``, with file and line.

Python calls ``warnings._warn_unawaited_coroutine`` for a coroutine that is deleted without having run. For a
coroutine of ours, the replacement logs an error that explains the mistake, and then gives Python's own
warning, for ``-W error`` and pytest. It costs nothing per call or per message. (The name of the hook is
private to CPython, and the same from 3.7 to 3.14; without it, only Python's warning remains.)

A coroutine that is not assigned is deleted on the line of the call, so the current frame is the caller. One
in a variable is deleted later: then the line is the origin that Python has recorded
(``sys.set_coroutine_origin_tracking_depth``, as in asyncio's debug mode), or is found in the consumer's
source.
"""

from __future__ import annotations

import linecache
import logging
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from types import CodeType, CoroutineType, FrameType
from typing import Any, NamedTuple, TypeAlias

from compat.advice.unawaited_calls import PACKAGE, correction, unawaited_calls

__all__ = ["watch"]

log = logging.getLogger("compat.consumer")

HOOK = "_warn_unawaited_coroutine"
IN_ASYNC = 0x80 | 0x200
"""CO_COROUTINE and CO_ASYNC_GENERATOR: flags of code in which ``await`` may be written."""
AGAIN_S = 60.0
"""The minimum time between two log records about the same place."""
CANDIDATES = 3

Coroutine: TypeAlias = "CoroutineType[Any, Any, Any]"


class Place(NamedTuple):
    """The place where a coroutine was called; ``line`` is 0 if unknown."""

    file: str
    line: int
    function: str
    in_async: bool = True

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


def watch(consumers: type, layers: type) -> None:
    """Report forgotten coroutines of consumers, of channel layers and of this package from now on."""
    _Known.consumers, _Known.layers = consumers, layers
    warn: Callable[[Any], None] | None = getattr(warnings, HOOK, None)
    if warn is None or getattr(warn, "reports_to_compat", False):
        return

    def report_and_warn(coroutine: Coroutine) -> None:
        if not sys.is_finalizing():
            try:
                _report(coroutine, sys._getframe(1))
            except Exception:  # this runs in a finalizer, where objects may be incomplete
                log.exception("a coroutine was never awaited, and finding its call failed")
        if coroutine.cr_origin is not None:
            return warn(coroutine)
        # The same warning as warn(), with the line of our caller instead of this one.
        text = f"coroutine {coroutine.__qualname__!r} was never awaited"
        warnings.warn(text, RuntimeWarning, stacklevel=2, source=coroutine)

    report_and_warn.reports_to_compat = True  # type: ignore[attr-defined]
    setattr(warnings, HOOK, report_and_warn)


def _report(coroutine: Coroutine, dropped_in: FrameType) -> None:
    consumer = next(_consumers(coroutine, dropped_in), None)
    if consumer is None and not _is_ours(coroutine):
        return
    places = _places(coroutine, dropped_in, consumer)
    name = coroutine.__name__
    again = _told.again((coroutine.__qualname__, *places))
    if again is None:
        return
    if places:
        target = _target(places[0], name)
        where, cure = " or ".join(map(str, places)), correction(target, in_async=places[0].in_async)
    else:
        where, cure = _name_of(consumer), correction(name, in_async=True)
    log.error(
        "%s: %s() was called without await, so it did nothing. Write: %s%s",
        where,
        coroutine.__qualname__,
        cure,
        f" ({again} more times since the last record)" if again else "",
    )


class _Known:
    """The classes that were passed to ``watch``."""

    consumers: type
    layers: type


def _consumers(coroutine: Coroutine, frame: FrameType) -> Iterator[Any]:
    """Yield the consumer whose method was called, or in whose method the coroutine was deleted."""
    for found in (_receiver(coroutine), _first_argument(frame.f_code, frame.f_locals)):
        if isinstance(found, _Known.consumers) or (
            isinstance(found, type) and issubclass(found, _Known.consumers)
        ):
            yield found


def _is_ours(coroutine: Coroutine) -> bool:
    ours = coroutine.cr_code.co_filename.startswith(PACKAGE)
    return ours or isinstance(_receiver(coroutine), _Known.layers)


def _receiver(coroutine: Coroutine) -> Any:
    """Return the object whose method was called, or the first argument of a function."""
    inner = coroutine.cr_frame
    return _first_argument(coroutine.cr_code, inner.f_locals) if inner is not None else None


def _first_argument(code: CodeType, values: Any) -> Any:
    return values.get(code.co_varnames[0]) if code.co_argcount and code.co_varnames else None


def _places(coroutine: Coroutine, frame: FrameType, consumer: Any) -> list[Place]:
    code, name = frame.f_code, coroutine.__name__
    if _mentions(code, name) and not code.co_filename.startswith(PACKAGE):
        in_async = bool(code.co_flags & IN_ASYNC)
        return [Place(code.co_filename, frame.f_lineno, _qualified(frame, consumer), in_async)]
    origin = coroutine.cr_origin
    if origin:
        file, line, function = origin[0]
        return [Place(file, line, function)]
    if consumer is None:
        return []
    cls = consumer if isinstance(consumer, type) else type(consumer)
    calls = [call for call in unawaited_calls(cls) if call.kept and call.name == name]
    return [Place(call.file, call.line, call.function, call.in_async) for call in calls[:CANDIDATES]]


def _mentions(code: CodeType, name: str) -> bool:
    """Return True if ``code``, or a function in it, uses ``name``: that of an indirect caller does not."""
    inner = (value for value in code.co_consts if isinstance(value, CodeType))
    return name in code.co_names or any(_mentions(one, name) for one in inner)


def _qualified(frame: FrameType, consumer: Any) -> str:
    """Return the qualified name of the function that ``frame`` runs; before Python 3.11 by the consumer's
    class.
    """
    module, code = frame.f_globals.get("__name__", "?"), frame.f_code
    known: str | None = getattr(code, "co_qualname", None)
    if known is None:
        known = code.co_name
        if consumer is not None and hasattr(consumer, known):
            known = f"{getattr(consumer, '__qualname__', type(consumer).__qualname__)}.{known}"
    return f"{module}.{known}"


def _name_of(consumer: Any) -> str:
    if consumer is None:
        return "somewhere"
    cls = consumer if isinstance(consumer, type) else type(consumer)
    return f"somewhere in {cls.__module__}.{cls.__qualname__}"


def _target(place: Place, name: str) -> str:
    """Return the expression that the line calls, such as "self.channel_layer.group_send", or ``name``."""
    line = linecache.getline(place.file, place.line)
    found = re.search(rf"[\w.]*(?:\(\))?\.?\b{re.escape(name)}(?=\s*\()", line)
    return found.group() if found else name


class _Told:
    """The times of log records by place. A finalizer may call it within a call, so the lock is reentrant."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._last: dict[Any, tuple[float, int]] = {}

    def again(self, key: Any) -> int | None:
        """Return None if a record was written recently, else the number of occurrences since."""
        now = time.monotonic()
        with self._lock:
            last, silent = self._last.get(key, (-AGAIN_S, 0))
            if now - last < AGAIN_S:
                self._last[key] = (last, silent + 1)
                return None
            self._last[key] = (now, 0)
            return silent


_told = _Told()
