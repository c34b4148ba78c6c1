"""The rooms of a soak: which messages were sent, which of them a member has missed, and what explains it.

A message that a member has missed is one of three:

- refused: ``group_send`` raised LayerUnavailable, and the server closed the sender with 1013. The sender
  knows it. Here: the message did not come back to its sender before the sender's connection ended.
- in a gap: sent without an error while the layer's server was away. The layer does not count such messages
  one by one, because Redis does not say how many it had no subscriber for. It records when the outage began
  and ended (``gaps`` in ``compat.metrics``), and how many there were (``reconnects``).
- lost: neither. The server must have counted it in ``dropped``.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from bench.clients import Client, message

__all__ = ["SETTLED_S", "Gaps", "Ledger", "Listener", "Room"]

SETTLED_S = 10.0
"""Seconds after which a message that has not come is missed, for now: it may still come."""
BEFORE_S = 0.5
"""A message may be sent this long before an outage and be published in it."""


class Room:
    """The messages that one speaker sends to a room; the number of a message is its place in ``sent_at``."""

    def __init__(self, url: str, size: int = 64) -> None:
        self.url = url
        self.size = size
        """The characters of a message."""
        self.sent_at = array("d")
        """When each message was sent, in seconds since 1970, as the server's gaps are."""
        self.refused: set[int] = set()

    def send(self, speaker: Client) -> None:
        """Send the next message."""
        number = len(self.sent_at)
        self.sent_at.append(time.time())
        speaker.send(message(number, self.size))


class Listener:
    """What one member of a room has missed since it came."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.since = self.next = len(room.sent_at)
        """The first message that is sent after the member came, and the one after the last that it has."""
        self.has_left = False
        self.twice = 0
        self._holes: set[int] = set()

    def came(self, number: int) -> None:
        """Note a message that has come; earlier ones than the first expected are ignored."""
        if number >= self.next:
            self._holes.update(range(self.next, number))
            self.next = number + 1
        elif number in self._holes:
            self._holes.remove(number)
        elif number >= self.since:
            self.twice += 1

    def leave(self) -> None:
        """Expect no message after the last one that has come."""
        self.has_left = True

    def missed(self, until: int) -> Iterator[int]:
        """Yield the messages before ``until`` that were expected and have not come."""
        yield from (number for number in self._holes if number < until)
        if not self.has_left:
            yield from range(self.next, until)


class Gaps:
    """The outages that a layer has recorded, in seconds since 1970."""

    def __init__(self) -> None:
        self._ended: dict[float, float] = {}
        self._open: list[float] = []

    def learn(self, gaps: Iterable[dict[str, Any]]) -> None:
        """Take over what the server reports; it keeps the last 100 outages, and this object all of them."""
        self._open = []
        for gap in gaps:
            if gap["ended"] is None:
                self._open.append(gap["began"])
            else:
                self._ended[gap["began"]] = gap["ended"]

    def hold(self, sent_at: float) -> bool:
        """Return True if a message that was sent at ``sent_at`` may have been published in an outage."""
        return any(began - BEFORE_S <= sent_at <= ended for began, ended in self._ended.items()) or any(
            began - BEFORE_S <= sent_at for began in self._open
        )

    def seconds(self) -> float:
        """Return how long the outages that are over were together."""
        return sum(ended - began for began, ended in self._ended.items())


class Ledger:
    """The listeners of one kind; ``excuse``: a message may be missed in a gap."""

    def __init__(self, gaps: Gaps, *, excuse: bool) -> None:
        self._gaps = gaps
        self._excuse = excuse
        self._listeners: set[Listener] = set()
        self._past: Counter[str] = Counter()
        """What those have missed that are in ``_listeners`` no more, because they have left."""

    def add(self, listener: Listener) -> None:
        """Count what ``listener`` misses, too."""
        self._listeners.add(listener)

    def count(self, now: float, settled_s: float = SETTLED_S) -> Counter[str]:
        """Return how many messages sent ``settled_s`` before ``now`` were missed: refused, in gap, lost.

        "twice": how many came more than once. ``now`` is in seconds since 1970.
        """
        found: Counter[str] = Counter()
        for listener in tuple(self._listeners):
            until = bisect_left(listener.room.sent_at, now - settled_s)
            seen = self._explained(listener, until)
            if listener.has_left and until >= listener.next:
                self._listeners.remove(listener)
                self._past += seen
            else:
                found += seen
        return found + self._past

    def _explained(self, listener: Listener, until: int) -> Counter[str]:
        room = listener.room
        found = Counter(twice=listener.twice)
        for number in listener.missed(until):
            if number in room.refused:
                found["refused"] += 1
            elif self._excuse and self._gaps.hold(room.sent_at[number]):
                found["in_gap"] += 1
            else:
                found["lost"] += 1
        return found
