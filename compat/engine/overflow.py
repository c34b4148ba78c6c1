"""What a full inbox does: expired messages make room; or else the connection may end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.clock import steady

if TYPE_CHECKING:
    from compat.engine.inbox import Inbox

__all__ = ["Overflowed", "has_room"]


class Overflowed(Exception):
    """Ends the connection of an inbox that has overflowed, with ``on_overflow="close"``."""


def has_room(inbox: Inbox) -> bool:
    """Discard expired events until there is room for one; return False if there is none.

    A handler may have kept the inbox full for so long that what waits has expired. Then the newer messages,
    which can still be handled in time, should not be lost for it.
    """
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
