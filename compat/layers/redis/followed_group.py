"""What a process knows of one group that it follows."""

from __future__ import annotations

import asyncio

from compat.clock import steady
from compat.layers.history import Rule
from compat.layers.redis.recordings import is_told
from compat.layers.tail import Tail
from compat.redis.streams.history import Part
from compat.redis.streams.receiver import Found

__all__ = ["TAIL_ENTRIES", "FollowedGroup"]

KEPT_LEFT = 1000
TAIL_ENTRIES = 100
TAIL_BYTES = 256 * 1024
"""What is kept here of a group that has members here, or ``on_join`` messages, if these are more."""


class FollowedGroup:
    """A group with members here; messages of its layer are ``expiry`` seconds on their way at most."""

    __slots__ = (
        "expiry",
        "filled",
        "filled_from",
        "forgets",
        "fresh",
        "gone",
        "joining",
        "least",
        "left",
        "loading",
        "members",
        "rule",
        "tail",
        "tainted",
    )

    def __init__(self, rule: Rule | None, expiry: float) -> None:
        self.rule = rule
        self.expiry = expiry
        self.least = 0 if rule is None else rule.on_join
        """How many messages are kept at least, for new members."""
        self.members: dict[str, None] = {}
        """In the order of joining."""
        self.left: dict[str, float] = {}
        """The last ones that are no members any more, and until when messages on their way may name them."""
        self.joining = 0
        """How many are about to become members."""
        self.tail: Tail | None = None
        self.filled = 0
        """How many messages ``tail`` had when it was filled, if there were as many."""
        self.filled_from = 0
        """Where it began then."""
        self.fresh = 0.0
        """Until when nothing of ``tail`` has been forgotten, by ``steady()``, as far as is known."""
        self.forgets = 0
        self.gone = 0
        """The messages up to this offset are not in Redis any more."""
        self.tainted = 0
        """Up to this offset, there have been messages that are not in the history."""
        self.loading: asyncio.Task[None] | None = None

    def wants(self, count: int) -> None:
        """Keep at least ``count`` messages, for a new member; 0: only as many as the rule says."""
        least = 0 if self.rule is None else max(self.rule.on_join, min(count, self.rule.count))
        self.least = max(self.least, least) if count else least
        if self.tail is not None:
            self.tail.bound(*self.bounds())

    def bounds(self) -> tuple[int, int]:
        """Return how many messages are kept, at most, and even if they are long."""
        return 0 if self.rule is None else min(self.rule.count, max(self.least, TAIL_ENTRIES)), self.least

    def first(self, last: int | None, *, new: bool) -> int:
        """Return how many messages a channel gets first that asks for ``last``, or does not say."""
        if last is not None or self.rule is None:
            return last or 0
        return self.rule.on_join if new else 0

    def add(self, channel: str) -> None:
        """Make ``channel`` a member."""
        self.left.pop(channel, None)
        self.members[channel] = None

    def remove(self, channel: str) -> None:
        """Make ``channel`` no member."""
        now = steady()
        if channel in self.members:
            del self.members[channel]
            self.left[channel] = now + self.expiry
        while self.left:
            oldest = next(iter(self.left))
            if len(self.left) <= KEPT_LEFT and self.left[oldest] > now:
                break
            del self.left[oldest]

    def enter(self) -> None:
        """Somebody joins."""
        self.joining += 1

    def leave(self) -> None:
        """Somebody has joined, or has not."""
        self.joining -= 1
        if not self.joining:
            self.wants(0)

    def load(self, loading: asyncio.Task[None]) -> None:
        """The tail is being filled."""
        self.loading = loading
        loading.add_done_callback(self._loaded)

    def _loaded(self, loading: asyncio.Task[None]) -> None:
        self.loading = None
        if not loading.cancelled():
            loading.exception()  # marks it as retrieved; the waiting callers get it too

    def look(self, part: Part, fresh: float) -> None:
        """Note what Redis knows of the history; until ``fresh`` it is taken to be so."""
        self.fresh, self.forgets, self.gone = fresh, part.forgets, part.gone
        self.taint(part.tainted)

    def fill(self, read: Found, most: int, newest: int) -> None:
        """Fill the tail with the ``most`` last messages of the history; those after ``newest`` come later."""
        before, rule, (part, entries) = self.tail, self.rule, read
        if before is None or rule is None:
            return
        start = entries[0].offset if entries else part.gone + 1
        tail = self.begin_tail(start)
        for entry in (*entries, *(entry for entry in before.entries if entry.offset > part.last)):
            if entry.offset <= newest and is_told(rule, entry):
                tail.add(entry)
        self.filled, self.filled_from = (most if tail.start <= start else self.least), tail.start

    def has(self, count: int) -> bool:
        """Return True if the last ``count`` messages are in the tail, or as many as there are."""
        tail = self.tail
        if tail is None or self.filled < count:
            return False
        return len(tail.entries) >= count or tail.start <= self.filled_from

    def begin_tail(self, start: int) -> Tail:
        """Return a new, empty tail for the messages from the offset ``start`` on."""
        most, least = self.bounds()
        self.tail, self.filled = Tail(most, TAIL_BYTES, least, start), 0
        return self.tail

    def taint(self, offset: int) -> None:
        """Note that nothing is known up to ``offset``."""
        self.tainted = max(self.tainted, offset)
