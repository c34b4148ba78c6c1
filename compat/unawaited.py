"""A forgotten ``await`` is an error in the log, with file and line, and not a warning that nobody reads.

Python calls ``warnings._warn_unawaited_coroutine`` for a coroutine that is thrown away without having run.
For one of ours this says what it means, and then gives Python's own warning, so that ``-W error`` and pytest
see what they always saw. Nothing is done per call or per message: where everything is awaited, nothing here
runs. (The hook's name is private to CPython, and the same from 3.7 to 3.14; where there is none, the warning
remains.)

A coroutine in a line of its own ends on that line, so the frame that dropped it is the one to blame. One that
was kept in a variable ends later: then the line is the one that Python has recorded
(``sys.set_coroutine_origin_tracking_depth``, which asyncio's debug mode switches on), else it is searched for
in the consumer's source.
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

from compat.unawaited_calls import PACKAGE, correction, unawaited_calls

__all__ = ["watch"]

log = logging.getLogger("compat.consumer")

HOOK = "_warn_unawaited_coroutine"
IN_ASYNC = 0x80 | 0x200
"""CO_COROUTINE and CO_ASYNC_GENERATOR: flags of code in which ``await`` may be written."""
AGAIN_S = 60.0
"""How often a place that does it at every message is named in the log."""
CANDIDATES = 3

Coroutine: TypeAlias = "CoroutineType[Any, Any, Any]"


class Place(NamedTuple):
    """Where a coroutine was called, as far as that is known; ``line`` 0 is not known."""

    file: str
    line: int
    function: str
    in_async: bool = True

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


def watch() -> None:
    """Report forgotten coroutines from now on; calling it again does nothing."""
    warn: Callable[[Any], None] | None = getattr(warnings, HOOK, None)
    if warn is None or getattr(warn, "reports_to_compat", False):
        return

    def report_and_warn(coroutine: Coroutine) -> None:
        if not sys.is_finalizing():
            try:
                _report(coroutine, sys._getframe(1))
            except Exception:  # in a finalizer, among objects half gone: Python's warning comes all the same
                log.exception("a coroutine was never awaited, and where it was called could not be found out")
        if coroutine.cr_origin is not None:
            return warn(coroutine)
        # What that would say, at the caller's line: it takes its own caller's, which is this one.
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
        f" ({again} more times since it was last said)" if again else "",
    )


def _consumers(coroutine: Coroutine, frame: FrameType) -> Iterator[Any]:
    """The consumer, if any, whose method was called, or in whose method the coroutine was dropped."""
    from compat.consumer import AsyncConsumer

    for found in (_receiver(coroutine), _first_argument(frame.f_code, frame.f_locals)):
        if isinstance(found, AsyncConsumer) or (isinstance(found, type) and issubclass(found, AsyncConsumer)):
            yield found


def _is_ours(coroutine: Coroutine) -> bool:
    from compat.layers.base import BaseChannelLayer

    ours = coroutine.cr_code.co_filename.startswith(PACKAGE)
    return ours or isinstance(_receiver(coroutine), BaseChannelLayer)


def _receiver(coroutine: Coroutine) -> Any:
    """What the method was called on, or a function's first argument."""
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
    """Whether that code, or a lambda or function in it, has ``name`` in it: a caller's caller has not."""
    inner = (value for value in code.co_consts if isinstance(value, CodeType))
    return name in code.co_names or any(_mentions(one, name) for one in inner)


def _qualified(frame: FrameType, consumer: Any) -> str:
    """The function that ``frame`` runs, with its class: Python 3.11 knows it, before it is the consumer's."""
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
    """What the line calls, such as "self.channel_layer.group_send"; the name alone if that is not there."""
    line = linecache.getline(place.file, place.line)
    found = re.search(rf"[\w.]*(?:\(\))?\.?\b{re.escape(name)}(?=\s*\()", line)
    return found.group() if found else name


class _Told:
    """What has been said lately, by place. Any thread may ask, also in a finalizer while it asks already."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._last: dict[Any, tuple[float, int]] = {}

    def again(self, key: Any) -> int | None:
        """None when it is too early to say it again; else how often it happened in between."""
        now = time.monotonic()
        with self._lock:
            last, silent = self._last.get(key, (-AGAIN_S, 0))
            if now - last < AGAIN_S:
                self._last[key] = (last, silent + 1)
                return None
            self._last[key] = (now, 0)
            return silent


_told = _Told()
