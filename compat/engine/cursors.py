"""Up to where a consumer has handled the histories of its groups, for a client that may come back.

The layer notes each message of such a history that it puts into the consumer's inbox. What is not in the
inbox any more has been handled, but for the message whose handler runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from compat.engine.inbox import Event, Inbox

__all__ = ["Cursors", "Missed", "Position"]


class Position(NamedTuple):
    """Where a history was. The epoch changes when what keeps it has lost it."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"


class Missed(Protocol):
    """What is known of a client that comes back to a new consumer."""

    def since(self, group: str) -> Position | None:
        """Return what its former consumer has handled of a group; None: it was not in the group."""

    def was_excluded(self, channels: Sequence[str]) -> bool:
        """Return True if its former consumer is one of ``channels``."""
        raise NotImplementedError

    def rejoined(self, group: str, events: Sequence[Event], *, complete: bool) -> None:
        """Note which messages the new consumer gets of a group, and whether they are all that it missed."""


class Cursors:
    """The positions of one consumer; call it on the event loop of ``inbox``.

    ``unhandled()`` returns how many of the messages that were taken last may not have been handled, None if
    it cannot say. ``moved(soon)`` is called when there is something to tell.
    """

    __slots__ = ("_inbox", "_moved", "_noted", "_places", "_unhandled", "missed")

    def __init__(
        self,
        inbox: Inbox,
        unhandled: Callable[[], int | None],
        moved: Callable[[bool], None],
        missed: Missed | None,
    ) -> None:
        self.missed = missed
        self._inbox = inbox
        self._unhandled = unhandled
        self._moved = moved
        self._noted: deque[tuple[Event, str, Position]] = deque()
        """Events that may not have been handled, oldest first, with their groups."""
        self._places: dict[str, Position] = {}

    # For the layer

    def begin(self, group: str, position: Position) -> None:
        """The consumer becomes a member of ``group``, and gets all that is after ``position``."""
        self._places[group] = position
        self._moved(True)

    def note(self, event: Event, group: str, position: Position) -> None:
        """A message of ``group`` has been put into the inbox."""
        if group not in self._places:
            return  # something was lost
        self._noted.append((event, group, position))
        if len(self._noted) > 2 * self._inbox.capacity:
            self._settle()
        self._moved(False)

    def end(self, group: str) -> None:
        """The consumer has left ``group``, or nothing can be said of it any more."""
        self._places.pop(group, None)

    def lose(self) -> None:
        """A message of a group was lost: nothing can be said of any."""
        self._places.clear()

    # For who tells the client

    def read(self) -> dict[str, Position]:
        """Return for each group up to where the consumer has handled its messages."""
        self._settle()
        return dict(self._places)

    def is_behind(self) -> bool:
        """Return True while a message that was noted may not have been handled."""
        self._settle()
        return bool(self._noted)

    def is_handling(self) -> bool:
        """Return True while a handler may run, or what it has sent may wait."""
        return self._unhandled() != 0

    def close(self) -> None:
        """The consumer has ended."""
        self._inbox.follow(None)
        self._noted.clear()
        self._places.clear()

    def waits_for(self, events: Sequence[Event]) -> bool:
        """Return True while one of ``events`` has not been handled."""
        self._settle()
        noted = {id(event) for event, _, _ in self._noted}
        return any(id(event) in noted for event in events)

    def _settle(self) -> None:
        waiting = _ids(self._inbox.events)
        taken = 0
        for event, _, _ in self._noted:
            if id(event) in waiting:
                break
            taken += 1
        unhandled = self._unhandled()  # after what has been taken: a thread may take one at any moment
        for _ in range(0 if unhandled is None else taken - unhandled):
            _, group, position = self._noted.popleft()
            if group in self._places:
                self._places[group] = position


def _ids(events: deque[Any]) -> set[int]:
    while True:
        try:
            return {id(event) for event in events}
        except RuntimeError:  # a worker thread has taken one meanwhile
            continue
