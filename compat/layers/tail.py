"""The newest messages of one group's history, in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Any, NamedTuple

from compat.clock import steady
from compat.engine.cursors import Missed, Position
from compat.engine.events import Event
from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox
from compat.layers.copies import copier, private
from compat.layers.history import HistoryEntry

__all__ = ["Kept", "Tail", "admit", "events_of", "missed_by"]


class Kept(NamedTuple):
    """A message of a history. ``message`` must not be changed; each reader gets a copy."""

    epoch: str
    offset: int
    message: dict[str, Any]
    until: float
    """When it is too old, by ``steady()``."""
    excluded: tuple[str, ...] = ()
    """The channels that do not get it."""
    mark: str = ""
    """What its sender knows it by."""
    size: int = 0
    """Its length on the wire."""

    @property
    def position(self) -> Position:
        """Its place in the history."""
        return Position(self.epoch, self.offset)

    def entry(self) -> HistoryEntry:
        """Return it for a caller of ``layer.history()``."""
        return HistoryEntry(private(self.message), str(self.position))


class Tail:
    """The newest entries: without a hole, but for those that were forgotten.

    At most ``most``, and of these the newest ``least`` even if they are more than ``most_bytes``. Its entries
    have one epoch.
    """

    __slots__ = ("entries", "least", "most", "most_bytes", "size", "start")

    def __init__(self, most: int, most_bytes: float = float("inf"), least: int = 1, start: int = 1) -> None:
        self.entries: deque[Kept] = deque()
        self.start = start
        """Entries from this offset on are here, if they have not been forgotten or become too old."""
        self.most = most
        self.least = least
        self.most_bytes = most_bytes
        self.size = 0

    def add(self, entry: Kept) -> None:
        """Append the next entry."""
        self.entries.append(entry)
        self.size += entry.size
        while len(self.entries) > self.most or (
            self.size > self.most_bytes and len(self.entries) > self.least
        ):
            self._drop_oldest()
        self.expire()

    def expire(self) -> None:
        """Drop the entries that are too old."""
        now = steady()
        while self.entries and self.entries[0].until <= now:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = self.entries.popleft()
        self.size -= oldest.size
        self.start = oldest.offset + 1

    def last(self, count: int) -> list[Kept]:
        """Return the newest ``count`` entries, the oldest first."""
        self.expire()
        return list(self.entries)[-count:] if count > 0 else []

    def since(self, offset: int) -> list[Kept]:
        """Return the entries after ``offset``, the oldest first."""
        self.expire()
        return list(takewhile(lambda entry: entry.offset > offset, reversed(self.entries)))[::-1]

    def bound(self, most: int, least: int) -> None:
        """Keep fewer, or more, from now on."""
        self.most, self.least = most, least

    def forget(self, offset: int | None, newest: int) -> int:
        """Remove the entry at ``offset``, or all (None), up to ``newest``; return how many there were."""
        before = len(self.entries)
        kept = [] if offset is None else [entry for entry in self.entries if entry.offset != offset]
        self.entries = deque(kept)
        self.size = sum(entry.size for entry in kept)
        if len(kept) < before:  # nobody can say that nothing is missing before what is left
            self.start = kept[0].offset if kept else newest + 1
        return before - len(kept)


def events_of(entries: Iterable[Kept], deadline: float) -> list[Event]:
    """Return the events that bring ``entries`` to an inbox or a mailbox."""
    return [(deadline, entry.message, copier(entry.message)) for entry in entries]


def admit(
    box: Inbox | Mailbox,
    group: str,
    tail: Tail | None,
    position: Position,
    count: int,
    *,
    missed: Missed | None,
    tainted: int,
    deadline: float,
    leave: Callable[[], object],
) -> int:
    """Push what a new member of ``group`` gets first, and note it for its client; return how many messages.

    ``position``: the last message that it does not get as a new one. These are the newest ``count``, or, if
    its client comes back (``missed``), those since its former consumer. ``leave()`` makes it no member. -1: a
    mailbox that has been retired.
    """
    since = None if missed is None else missed.since(group)
    entries = [] if tail is None else tail.last(count)
    complete = False
    if since is not None and tail is not None and since.epoch == position.epoch:
        complete = max(tail.start - 1, tainted) <= since.offset <= position.offset
        if complete:
            entries = tail.since(since.offset)
    before = since if since is not None and complete else position
    if entries and not complete:
        before = position._replace(offset=entries[0].offset - 1)
    entries = [entry for entry in entries if not _is_excluded(entry, box.channel, missed)]
    events = events_of(entries, deadline)
    if events and not box.replay(events):
        return -1
    cursors = box.cursors if isinstance(box, Inbox) else None
    if cursors is not None:
        cursors.begin(group, before, leave)
        for entry, event in zip(entries, events, strict=True):
            cursors.note(event, group, entry.position)
        cursors.note(None, group, position)
    if missed is not None:
        if since is not None:
            missed.rejoined(group, events, complete=complete)
        else:
            missed.joined(group)
    return len(events)


def _is_excluded(entry: Kept, channel: str, missed: Missed | None) -> bool:
    if not entry.excluded:
        return False
    return channel in entry.excluded or (missed is not None and missed.was_excluded(entry.excluded))


def missed_by(box: Inbox | Mailbox | None, *, new: bool) -> Missed | None:
    """Return what is known of a channel's client that comes back, if the channel is a new member."""
    cursors = box.cursors if isinstance(box, Inbox) and new else None
    return None if cursors is None else cursors.missed
