"""What becomes of a message for an inbox that is full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.clock import steady
from compat.engine.events import One, is_sent

if TYPE_CHECKING:
    from compat.engine.inbox import Inbox

__all__ = ["Overflowed", "overflow"]


class Overflowed(Exception):
    """Ends the connection of an inbox that has overflowed, with ``on_overflow="close"``."""


def overflow(inbox: Inbox, one: One) -> bool:
    """Append an event in place of expired ones, or lose one, and return what ``Inbox.offer`` returns.

    A handler may have kept the inbox full for so long that what waits has expired. Then the newer messages,
    which can still be handled in time, should not be lost for it.
    """
    if _has_room(inbox):
        return inbox.offer(one)
    if inbox.cursors is not None:
        inbox.cursors.lose()
    if inbox.on_overflow == "drop_oldest":
        events = inbox.own()
        try:
            lost = is_sent(events.popleft())
        except IndexError:  # a sync consumer's worker has just taken the last one
            lost = False
        events.extend(one)
        return not lost
    if inbox.on_overflow == "close" and not inbox.overflowed:
        inbox.overflowed, inbox.capacity = True, 0
        if inbox.task is not None and not inbox.ended:  # otherwise the connection is ending already
            inbox.failure = inbox.failure or Overflowed()  # in case the handler swallows the cancellation
            inbox.task.cancel()
    return False


def _has_room(inbox: Inbox) -> bool:
    """Discard expired events until there is room for one; return False if there is none."""
    events = inbox.own()
    expired = 0
    try:
        while len(events) >= inbox.capacity and (oldest := events[0])[0] <= steady():
            # Not ``popleft()``: a sync consumer's worker may take it meanwhile, and the next may be in time.
            events.remove(oldest)
            expired += 1
    except (IndexError, ValueError):  # a worker has taken it
        pass
    if expired:
        if inbox.owner is not None:
            inbox.owner.count_drop(inbox.channel, "expired", expired)
        if inbox.cursors is not None:
            inbox.cursors.lose()
    return len(events) < inbox.capacity
