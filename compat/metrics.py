"""Counters of messages that were sent, delivered and lost, and log lines with a limited rate.

Every layer of ours has a ``LayerMetrics``; ``snapshot()`` combines them.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from compat import timings
from compat.forks import new_lock
from compat.timings import Histogram

__all__ = [
    "Gap",
    "LayerMetrics",
    "Throttle",
    "connections",
    "report_layers",
    "report_resumable",
    "report_start",
    "resumable",
    "snapshot",
    "starting",
]

KEPT_GAPS = 100
LOG_EVERY_S = 60.0
"""The minimum time between two log lines about one cause; the second line has the count since the first."""
MOST_CAUSES = 100
"""How many causes have lines of their own within that time."""
NEVER = (float("-inf"), 0)


class Throttle:
    """Allows one log line per cause in ``every_s`` seconds, and counts the others.

    Causes contain the names of channels and groups. So when ``MOST_CAUSES`` of them have been reported within
    that time, all further ones are one cause, whose line names one of them.
    """

    def __init__(self, every_s: float = LOG_EVERY_S) -> None:
        self.every_s = every_s
        self._seen: dict[object, tuple[float, int]] = {}
        """When each cause was reported last, and how often it has been there since."""
        self._others = NEVER
        """The same of all that have no place there."""
        self._full_until = float("-inf")
        self._lock = new_lock()

    def due(self, cause: object, count: int = 1, now: float | None = None) -> int:
        """Return the number of occurrences of ``cause`` to report now; 0 if one was reported recently."""
        now = time.monotonic() if now is None else now
        with self._lock:
            has_place = cause in self._seen or self._has_room(now)
            last, held = self._seen.get(cause, NEVER) if has_place else self._others
            held += count
            is_due = now - last >= self.every_s
            entry = (now, 0) if is_due else (last, held)
            if has_place:
                self._seen[cause] = entry
            else:
                self._others = entry
            return held if is_due else 0

    def _has_room(self, now: float) -> bool:
        """Forget the causes that were not reported lately, if there is no room; return True if there is."""
        if len(self._seen) >= MOST_CAUSES and now >= self._full_until:
            old = [cause for cause, (last, _) in self._seen.items() if now - last >= self.every_s]
            held = sum(self._seen.pop(cause)[1] for cause in old)
            self._others = (self._others[0], self._others[1] + held)
            if not old:
                self._full_until = min(last for last, _ in self._seen.values()) + self.every_s
        return len(self._seen) < MOST_CAUSES


@dataclass
class Gap:
    """An outage, in seconds of the wall clock; ``ended`` is None while it lasts."""

    began: float
    ended: float | None = None

    def extend(self, since: float) -> None:
        """Note that it began at ``since``, if that is earlier than what was known."""
        self.began = min(self.began, since)

    def end(self, now: float) -> None:
        """Note that it is over."""
        self.ended = now


class LayerMetrics:
    """The counters of one channel layer in this process."""

    __slots__ = (
        *(
            "delivered",
            "delivery",
            "dropped",
            "filled",
            "gaps",
            "recorded",
            "recorded_bytes",
            "reconnects",
            "replayed",
        ),
        *("_drops", "outages", "sent", "taken_out", "throttle"),
    )

    def __init__(self) -> None:
        self.sent = 0
        """Successful calls of ``send`` and ``group_send``."""
        self.delivered = 0
        """Messages that were put into a mailbox of this process."""
        self.delivery = Histogram()
        """From the send of a message, or its arrival in this process, until its handler begins."""
        self.dropped: dict[str, int] = {}
        """Messages lost, by reason: "overflow", "expired", "gone", "undecodable", "unavailable"…"""
        self.recorded = self.recorded_bytes = 0
        """Messages that were written to the histories of groups, and their size on the wire."""
        self.replayed = 0
        """Messages of histories that were given to members which joined later."""
        self.filled = 0
        """Messages that had not come to this process, and were found in a history."""
        self.taken_out = 0
        """Processes that had died, and whose people this one took out of the groups."""
        self.reconnects = 0
        self.gaps: deque[Gap] = deque(maxlen=KEPT_GAPS)
        """The last outages of the layer's server, during which messages to this process may be lost."""
        self.throttle = Throttle()
        self.outages = Throttle()
        self._drops = Throttle()
        """Apart: however many channels lose messages, the line of an outage is not held back."""

    def count_sent(self, delivered: int = 0) -> None:
        """Count a ``send`` or ``group_send`` that was carried out, and what it put into mailboxes here."""
        self.sent += 1
        self.delivered += delivered

    def count_delivered(self, count: int = 1) -> None:
        """Count messages that were put into mailboxes of this process."""
        self.delivered += count

    def count_recorded(self, size: int) -> None:
        """Count a message that was written to a history, with its size in bytes."""
        self.recorded += 1
        self.recorded_bytes += size

    def count_replayed(self, count: int) -> None:
        """Count messages of a history that a new member got."""
        self.replayed += count

    def count_filled(self) -> None:
        """Count a message that was missing, and has been found in a history."""
        self.filled += 1

    def count_taken_out(self) -> None:
        """Count a dead process whose people were taken out of the groups."""
        self.taken_out += 1

    def lose(self, reason: str, count: int = 1) -> None:
        """Count lost messages without a log line."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def gap_begins(self, now: float) -> Gap:
        """Note an outage; see ``gap_ends``."""
        gap = Gap(now)
        self.gaps.append(gap)
        return gap

    def gap_ends(self, gap: Gap, now: float) -> float:
        """Note that the server is back; return how long the outage was, in seconds."""
        gap.end(now)
        self.reconnects += 1
        return now - gap.began

    def is_away(self) -> bool:
        """Return True during an outage."""
        return any(gap.ended is None for gap in tuple(self.gaps))

    def drop(
        self,
        reason: str,
        count: int,
        log: logging.Logger,
        text: str,
        *args: object,
        cause: object = None,
        extra: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """Count lost messages, and log ``text`` (with the number since the last line) unless it was logged
        recently. ``extra()`` returns the fields of the record.
        """
        self.lose(reason, count)
        due = self._drops.due((reason, cause), count)
        if due:
            text, since = (f"{text} (%d since the last report)", (due,)) if due > 1 else (text, ())
            log.warning(text, *args, *since, extra={"reason": reason, "count": due, **extra()})

    def as_dict(self) -> dict[str, Any]:
        """Return the counters as a dict."""
        return {
            "sent": self.sent,
            "delivered": self.delivered,
            "delivery": self.delivery.as_dict(),
            "dropped": dict(self.dropped),
            "history": {
                "recorded": self.recorded,
                "bytes": self.recorded_bytes,
                "replayed": self.replayed,
                "filled": self.filled,
            },
            "reconnects": self.reconnects,
            "gaps": [{"began": gap.began, "ended": gap.ended} for gap in tuple(self.gaps)],
        }


class Connections:
    """The number of running consumers in this process, and of all websockets that were accepted."""

    __slots__ = ("current", "total")

    def __init__(self) -> None:
        self.current = 0
        self.total = 0

    def begin(self) -> None:
        """Count a consumer that begins."""
        self.current += 1

    def accept(self) -> None:
        """Count a websocket that a consumer has accepted."""
        self.total += 1

    def end(self) -> None:
        """Count a consumer that has ended."""
        self.current -= 1


connections = Connections()


_at_start: list[Callable[[], object]] = []


def report_start(call: Callable[[], object]) -> None:
    """Register the function ``call()``, for each ``starting()``."""
    _at_start.append(call)


def starting() -> None:
    """Note that a server begins on the running event loop; it may be noted more than once."""
    for call in _at_start:
        call()


_layers: Callable[[], Mapping[str, Any]] = dict


def report_layers(layers: Callable[[], Mapping[str, Any]]) -> None:
    """Register the function ``layers()``, which returns the layers by alias."""
    global _layers
    _layers = layers


_resumable: Callable[[], dict[str, Any]] = dict


def report_resumable(counts: Callable[[], dict[str, Any]]) -> None:
    """Register the function ``counts()``, which returns what ``resumable()`` does."""
    global _resumable
    _resumable = counts


def resumable() -> dict[str, Any]:
    """Return the counts of this process's resumable connections.

    ``{"live", "parked", "resumed", "replaced", "groups", "lost": {why: n}}``: those with a client, those that
    wait for one, the returns that have found their connection, those to a new one, those of these whose
    groups have missed nothing, and the connections that were not found, or whose wait has ended though
    nobody may come back to them. Empty in a process that has imported neither ``compat.consumer`` nor
    ``compat.resume``.
    """
    return _resumable()


def snapshot() -> dict[str, Any]:
    """Return the counters of this process.

    ``{"connections": {"current", "total"}, "consumers": {class: {"connect", "handler"}}, "layers": {alias:
    {"sent", "delivered", "delivery", "dropped": {reason: n}, "history": {"recorded", "bytes", "replayed",
    "filled"}, "presence": {"present", "taken_out"}, "reconnects", "gaps": [{"began", "ended"}], "depth"}},
    "resumable": {…}}``; current is the number of running consumers, total that of the websockets that were
    accepted; depth is the number of messages that wait in this process, present the number of groups in
    which each of its connections is present, all together. Connect, handler and delivery are histograms
    (``compat.timings``). A layer that is not ours has no entry. ``resumable()`` has the last.
    """
    layers = {}
    for alias, layer in _layers().items():
        metrics = getattr(layer, "metrics", None)
        if isinstance(metrics, LayerMetrics):
            depth, present = getattr(layer, "depth", None), getattr(layer, "present", None)
            layers[alias] = {
                **metrics.as_dict(),
                "presence": {
                    "present": present() if callable(present) else 0,
                    "taken_out": metrics.taken_out,
                },
                "depth": depth() if callable(depth) else 0,
            }
    return {
        "connections": {"current": connections.current, "total": connections.total},
        "consumers": timings.as_dict(),
        "layers": layers,
        "resumable": resumable(),
    }
