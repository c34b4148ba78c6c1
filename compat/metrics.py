"""What was sent, delivered and lost, and one log line per cause.

Every layer of ours has a ``LayerMetrics`` and reports to it; ``snapshot()`` puts them together.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Gap", "LayerMetrics", "Throttle", "connections", "report_layers", "snapshot"]

KEPT_GAPS = 100
LOG_EVERY_S = 60.0
"""A cause is logged at once, and then at most once in this many seconds, with the count since."""


class Throttle:
    """Lets one log line per cause through in ``every_s`` seconds and counts the rest."""

    def __init__(self, every_s: float = LOG_EVERY_S) -> None:
        self.every_s = every_s
        self._seen: dict[object, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def due(self, cause: object, count: int = 1, now: float | None = None) -> int:
        """How many occurrences of ``cause`` to report now; 0 when it was reported a short while ago."""
        now = time.monotonic() if now is None else now
        with self._lock:
            last, held = self._seen.get(cause, (float("-inf"), 0))
            held += count
            if now - last < self.every_s:
                self._seen[cause] = (last, held)
                return 0
            if len(self._seen) >= 1024:  # causes carry channel names: forget the old ones
                self._seen = {
                    key: value for key, value in self._seen.items() if now - value[0] < self.every_s
                }
            self._seen[cause] = (now, 0)
            return held


@dataclass
class Gap:
    """An outage, in seconds of the wall clock; ``ended`` is None while it lasts."""

    began: float
    ended: float | None = None


class LayerMetrics:
    """Counters of one channel layer in this process."""

    __slots__ = ("delivered", "dropped", "gaps", "reconnects", "sent", "throttle")

    def __init__(self) -> None:
        self.sent = 0
        """Calls of ``send`` and ``group_send`` that were carried out."""
        self.delivered = 0
        """Messages put into a mailbox of this process."""
        self.dropped: dict[str, int] = {}
        """Messages lost, by reason: "overflow", "expired", "gone", "undecodable", "unavailable"…"""
        self.reconnects = 0
        self.gaps: deque[Gap] = deque(maxlen=KEPT_GAPS)
        """The last outages of the layer's server: what was sent to this process meanwhile may be lost."""
        self.throttle = Throttle()

    def lose(self, reason: str, count: int = 1) -> None:
        """Count lost messages of a kind that is not worth a log line."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def gap_begins(self, now: float) -> Gap:
        """Note an outage; whoever noted it sets ``ended``."""
        gap = Gap(now)
        self.gaps.append(gap)
        return gap

    def drop(
        self, reason: str, count: int, log: logging.Logger, text: str, *args: object, cause: object = None
    ) -> None:
        """Count lost messages, and log ``text`` (with the number since the last line) if it is due."""
        self.lose(reason, count)
        due = self.throttle.due((reason, cause), count)
        if due:
            log.warning(
                f"{text} (%d since the last report)" if due > 1 else text, *args, *((due,) if due > 1 else ())
            )

    def as_dict(self) -> dict[str, Any]:
        """The counters as plain values."""
        return {
            "sent": self.sent,
            "delivered": self.delivered,
            "dropped": dict(self.dropped),
            "reconnects": self.reconnects,
            "gaps": [{"began": gap.began, "ended": gap.ended} for gap in tuple(self.gaps)],
        }


class Connections:
    """How many consumers run in this process, and how many have run."""

    __slots__ = ("current", "total")

    def __init__(self) -> None:
        self.current = 0
        self.total = 0


connections = Connections()


_layers: Callable[[], Mapping[str, Any]] = dict


def report_layers(layers: Callable[[], Mapping[str, Any]]) -> None:
    """Tell this module where the layers are: ``layers()`` returns them by alias (the registry calls it)."""
    global _layers
    _layers = layers


def snapshot() -> dict[str, Any]:
    """The counters of this process.

    ``{"connections": {"current", "total"}, "layers": {alias: {"sent", "delivered", "dropped": {reason: n},
    "reconnects", "gaps": [{"began", "ended"}], "depth"}}}``, where depth is the number of messages that wait
    in this process. A layer that is not ours has no entry.
    """
    layers = {}
    for alias, layer in _layers().items():
        metrics = getattr(layer, "metrics", None)
        if isinstance(metrics, LayerMetrics):
            depth = getattr(layer, "depth", None)
            layers[alias] = {**metrics.as_dict(), "depth": depth() if callable(depth) else 0}
    return {"connections": {"current": connections.current, "total": connections.total}, "layers": layers}
