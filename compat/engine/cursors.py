"""How far a consumer has handled the histories of its groups, for a client that may come back.

The layer notes each message of such a history that it puts into the consumer's inbox. A message that is not
in the inbox any more has been handled, unless its handler still runs.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from compat.engine.events import Event
from compat.engine.inbox import Inbox
from compat.engine.refusal import shown

__all__ = ["Cursors", "Missed", "Position", "Progress", "position_of"]

SETTLED = 32
"""How many events are noted before ``Cursors`` finds out which of them have been handled."""
KNOWN_TAKEN = 16
"""Of how many messages that were taken last is known whether they are of a history."""
MOST_NOTED = 4096
"""How many events are kept behind a handler that does not end, in addition to those that wait."""
ID = re.compile(r"([0-9a-f]{16})-([0-9]{1,16})\Z")


class Position(NamedTuple):
    """A position in a history. The epoch changes when the layer has lost the history."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"


def position_of(id: object) -> Position:
    """Return the position that the ``id`` of an entry contains; raise ValueError for any other text."""
    found = ID.match(id) if isinstance(id, str) else None
    if found is None:
        what = shown(id) if isinstance(id, str) else f"{type(id).__name__} {shown(repr(id))}"
        raise ValueError(f"{what} is not the id of an entry: expected one of layer.history(), entry.id")
    return Position(found[1], int(found[2]))


class Progress(NamedTuple):
    """How far a consumer has handled the messages that it has taken."""

    running: int
    """How many of the layer's messages that it took last may still be in a handler."""
    emitted: int = 0
    """How many frames the handlers have sent."""
    sent: int = 0
    """How many of these have been passed on to the server."""
    busy: bool = False
    """A handler of a client's message may run too."""


class Missed(Protocol):
    """What a client may have missed that comes back to a new consumer."""

    def since(self, group: str) -> Position | None:
        """Return how far its former consumer has handled a group; None: that was not in the group."""

    def was_excluded(self, channels: Sequence[str]) -> bool:
        """Return True if its former consumer is one of ``channels``."""
        raise NotImplementedError

    def rejoined(self, group: str, events: Sequence[Event], *, complete: bool) -> None:
        """Note which messages of a group the new consumer gets, and whether it has missed others."""

    def joined(self, group: str) -> None:
        """Note that the new consumer has joined a group that the former one was not in."""

    def spoil(self) -> None:
        """Note that the new consumer has lost a message."""


class Cursors:
    """The positions of one consumer in the histories of its groups; call it on the event loop of ``inbox``.

    ``progress()`` says how far messages have been handled, or None. ``moved(soon)`` is called when the client
    should be told of a new position; ``soon``: without the usual delay.
    """

    __slots__ = (
        *("_due", "_inbox", "_leaves", "_moved", "_noted", "_places", "_progress", "_settle_at", "_settled"),
        *("_taken", "_takes", "lost", "missed"),
    )

    def __init__(
        self,
        inbox: Inbox,
        progress: Callable[[], Progress],
        moved: Callable[[bool], None],
        missed: Missed | None,
    ) -> None:
        self.missed = missed
        self._inbox = inbox
        self._progress: Callable[[], Progress | None] = progress
        self._moved = moved
        self._noted: deque[tuple[Event | None, str, Position]] = deque()
        """Events that may not have been handled, oldest first, with their groups."""
        self._settle_at = SETTLED
        self._settled = 0
        """How many of all noted events have been handled."""
        self._taken: deque[Event | None] = deque(maxlen=KNOWN_TAKEN)
        """The events that were taken last from the inbox, of any kind; None: one that is being taken."""
        self._takes = 0
        """How many have been taken."""
        self._due = (0, 0)
        """So many events count as handled when so many frames have been passed on."""
        self._places: dict[str, Position] = {}
        self._leaves: dict[str, Callable[[], object]] = {}
        self.lost = False
        """True if a message was lost, so that no position is valid any more."""

    # For the layer

    def begin(self, group: str, position: Position, leave: Callable[[], object]) -> None:
        """Note that the consumer becomes a member of ``group``, and gets all messages after ``position``.

        ``leave()`` takes it out of the group.
        """
        self._places[group] = position
        self._leaves[group] = leave
        self._moved(True)

    def note(self, event: Event | None, group: str, position: Position) -> None:
        """Note a message of ``group`` that was put into the inbox; None: it is not for this consumer."""
        if group not in self._places:
            return  # it is about to join, or something was lost
        if event is None and not self._noted:
            self._places[group] = position  # all messages before it have been handled
        else:
            self._noted.append((event, group, position))
            if len(self._noted) >= self._settle_at:
                self._settle()
                most = MOST_NOTED + self._inbox.capacity
                if len(self._noted) >= most:
                    self.lose()
                    self._noted.clear()
                self._settle_at = min(max(SETTLED, 2 * len(self._noted)), most)
        self._moved(False)

    def end(self, group: str) -> None:
        """Note that the consumer has left ``group``."""
        self._leaves.pop(group, None)
        if self._places.pop(group, None) is not None:
            self._inbox.loop.call_soon_threadsafe(self._moved, True)  # its next consumer need not join it

    def lose(self) -> None:
        """Note that a message of a group was lost: from now on no position of any group is known."""
        self.lost = True
        if self.missed is not None:
            self.missed.spoil()
        self._inbox.loop.call_soon_threadsafe(self._moved, True)

    # For the inbox, in any thread

    def takes(self) -> None:
        """Note that an event is about to be taken."""
        self._takes += 1
        self._taken.append(None)

    def took(self, event: Event) -> Event:
        """Note which event it was; return it."""
        self._taken[-1] = event
        return event

    # For the client's tickets (``compat.resume.histories``)

    def read(self) -> dict[str, Position]:
        """Return how far the consumer has handled the messages of each group."""
        self._settle()
        return {} if self.lost else dict(self._places)

    def is_behind(self) -> bool:
        """Return True while a noted message may not have been handled."""
        self._settle()
        return bool(self._noted)

    def freeze(self) -> None:
        """Give the consumer no more messages of these groups, not even those that wait in its inbox."""
        for leave in self._leaves.values():
            leave()
        noted = {id(event) for event, _, _ in self._noted}
        removed, others = set[int](), deque[Event]()
        events = self._inbox.own()
        try:
            while True:  # one by one: a worker thread may take some meanwhile
                event = events.pop()
                if id(event) in noted:
                    removed.add(id(event))
                else:
                    others.appendleft(event)
        except IndexError:
            events.extend(others)
        # A position that was noted after a removed message would claim that this one has been handled.
        kept, cut = deque[tuple[Event | None, str, Position]](), set[str]()
        for one in self._noted:
            if one[0] is not None and id(one[0]) in removed:
                cut.add(one[1])
            if one[1] not in cut:
                kept.append(one)
        self._noted = kept

    def is_handling(self) -> bool:
        """Return True while a handler may run, its frames may wait, or ``read()`` may be behind.

        A handler of a client's frame that runs in a thread may begin between two calls.
        """
        progress = self._progress()
        if progress is None or progress.busy or progress.running > 0:
            return True
        return progress.sent < progress.emitted or self.is_behind()

    def close(self) -> None:
        """Forget everything, because the consumer has ended."""
        self._inbox.follow(None)
        self._noted.clear()
        self._places.clear()
        self._leaves.clear()
        self._moved = self._progress = _nothing  # this breaks the reference cycles
        self.missed = None

    def recovered(self) -> None:
        """Note that the client has been told what was recovered."""
        self.missed = None

    def waits_for(self, events: Sequence[Event]) -> bool:
        """Return True while one of ``events`` has not been handled."""
        self._settle()
        noted = {id(event) for event, _, _ in self._noted}
        return any(id(event) in noted for event in events)

    def _settle(self) -> None:
        takes, waiting = self._takes, _ids(self._inbox.events)
        handled, taken = len(self._noted), list[int]()
        for number, (event, _, _) in enumerate(self._noted):
            if event is None:
                continue
            if id(event) in waiting:
                handled = number
                break
            taken.append(number)
        progress = self._progress()  # after the look at the inbox: a thread may take a message at any moment
        if progress is None:
            return
        running = self._noted_among(progress.running, takes) if taken and progress.running else 0
        if running:
            handled = taken[-running:][0]
        finished = self._settled + handled
        if progress.sent >= progress.emitted:
            self._advance(finished)
            return
        # Frames of handlers wait: look again when all frames of now have been passed on.
        if progress.sent >= self._due[1]:
            self._advance(self._due[0])
            self._due = finished, progress.emitted

    def _noted_among(self, running: int, takes: int) -> int:
        """Return how many of the ``running`` messages that were taken last are of a history, at most.

        ``takes``: how many had been taken before anything else was looked at.
        """
        last = list(self._taken)[-running:]
        if takes != self._takes:
            return running  # a worker thread has gone on meanwhile
        noted = {id(event) for event, _, _ in self._noted}
        return running - sum(event is not None and id(event) not in noted for event in last)

    def _advance(self, count: int) -> None:
        """Note that the first ``count`` of all noted messages have been handled."""
        while self._settled < count and self._noted:
            _, group, position = self._noted.popleft()
            self._settled += 1
            if group in self._places:
                self._places[group] = position


def _ids(events: Iterable[Event]) -> set[int]:
    while True:
        try:
            return {id(event) for event in events}
        except RuntimeError:  # a worker thread has taken one meanwhile
            continue


def _nothing(*_: Any) -> None:
    return None
