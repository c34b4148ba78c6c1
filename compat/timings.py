"""How long handlers, connects and deliveries take: histograms, of one connection in ``SHARE`` of each class.

A connection that is not among these costs nothing for it, and no connection does before ``watch()``.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from compat.clock import steady
from compat.forks import new_lock
from compat.types import Message

__all__ = ["BOUNDS", "Histogram", "Timing", "as_dict", "timing_of", "watch"]

BOUNDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""The upper bounds of a histogram's buckets, in seconds; the last bucket has none."""
SHARE = 100
MOST_CLASSES = 100
"""How many classes are told apart; classes may be made while the program runs."""
OTHERS = "others"
CONNECT = ("websocket.connect", "http.request")
"""The types of the first message of a connection."""


class Histogram:
    """Durations, counted by bucket; any thread may add one."""

    __slots__ = ("_lock", "counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total_s = 0.0
        self._lock = new_lock()

    def observe(self, seconds: float) -> None:
        """Add a duration; a negative one, of a clock that went back, counts as 0."""
        seconds = max(seconds, 0.0)
        with self._lock:
            self.counts[bisect_left(BOUNDS, seconds)] += 1
            self.total_s += seconds

    def as_dict(self) -> dict[str, Any]:
        """Return ``{"counts", "sum"}``: how many are in each bucket, and all together in seconds."""
        with self._lock:
            return {"counts": list(self.counts), "sum": self.total_s}


class _Class:
    """The histograms of one class of consumers."""

    def __init__(self) -> None:
        self.connects, self.handlers = Histogram(), Histogram()
        self.begun = 0
        """How many connections have begun."""


class Waiting(Protocol):
    """An inbox, as far as this module asks it."""

    def take_due(self) -> float:
        """Return until when the event that it gave out last was good, by ``clock.steady()``; 0 after that."""
        ...


class Timing:
    """Measures the handlers of one connection."""

    __slots__ = ("_delivery", "_expiry_s", "_inbox", "_of")

    def __init__(self, of: _Class, inbox: Waiting, delivery: Histogram | None, expiry_s: float) -> None:
        self._of = of
        self._inbox = inbox
        self._delivery = delivery if math.isfinite(expiry_s) else None
        self._expiry_s = expiry_s

    async def timed(self, handling: Awaitable[Any], message: Message) -> Any:
        """Await the handler of ``message`` and return what it does."""
        began = self._begin()
        try:
            return await handling
        finally:
            self._end(message, began)

    def around(self, handle: Callable[[Message], None]) -> Callable[[Message], None]:
        """Return ``handle``, measured; for handlers that run in threads."""

        def timed(message: Message) -> None:
            began = self._begin()
            try:
                handle(message)
            finally:
                self._end(message, began)

        return timed

    def _begin(self) -> float:
        now = steady()
        due = self._inbox.take_due()
        if self._delivery is not None and 0 < due < math.inf:
            self._delivery.observe(now - (due - self._expiry_s))
        return now

    def _end(self, message: Message, began: float) -> None:
        kind = self._of.connects if message.get("type") in CONNECT else self._of.handlers
        kind.observe(steady() - began)


_classes: dict[str, _Class] = {}
_watched = False


def watch() -> None:
    """Measure from now on: somebody reads what ``as_dict()`` returns."""
    global _watched
    _watched = True


def timing_of(consumer: type, inbox: Waiting, layer: Any) -> Timing | None:
    """Return what measures a new connection of a class of consumers, or None: it is not measured.

    The first connection of a class is, and then one in ``SHARE``. ``layer``: its channel layer, or None.
    """
    if not _watched:
        return None
    name = f"{consumer.__module__}.{consumer.__qualname__}"
    found = _classes.get(name)
    if found is None:
        if len(_classes) >= MOST_CLASSES:
            name = OTHERS
        found = _classes.setdefault(name, _Class())
    found.begun += 1
    if found.begun % SHARE != 1:
        return None
    delivery = getattr(getattr(layer, "metrics", None), "delivery", None)
    if not isinstance(delivery, Histogram):  # a layer of another package, or a mock
        return Timing(found, inbox, None, math.inf)
    return Timing(found, inbox, delivery, layer.expiry)


def as_dict() -> Mapping[str, dict[str, Any]]:
    """Return ``{class: {"connect", "handler"}}``, each a histogram as ``Histogram.as_dict`` returns it."""
    return {
        name: {"connect": one.connects.as_dict(), "handler": one.handlers.as_dict()}
        for name, one in tuple(_classes.items())
    }
