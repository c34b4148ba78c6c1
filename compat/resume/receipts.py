"""What an application waits for: that its client has what was sent, or that there is room for more."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from compat.codes import ABNORMAL, TRY_AGAIN_LATER
from compat.engine.refusal import shown
from compat.exceptions import ClientDisconnected
from compat.resume.journal import Payload
from compat.resume.wire import control

if TYPE_CHECKING:
    from compat.resume.connection import ResumableConnection

__all__ = ["LEFT", "add_later", "ask", "delivered"]

log = logging.getLogger("compat.resume")

UNREAD_S = 30.0
"""Seconds that an application waits for a client that reads, but acknowledges nothing."""
FORGOTTEN = 100
"""How many frames leave a full journal at once where no acknowledgement gets through."""
LEFT = "the client has left, or the application has closed the connection"
"""Said to what sends after the end; without that error, a handler that only sends would never end."""


def ask(connection: ResumableConnection) -> None:
    """Have the client say how many frames it has, and read on until it does.

    If there is no room to read on, who waits for the answer waits no more.
    """
    inbound, link = connection.inbound, connection.link
    inbound.widen(True)
    if link is not None:
        link.tell(control("ack", n=inbound.note_acknowledged(), ask=True))
        if not inbound.has_space():
            connection.journal.wake()


def drop(connection: ResumableConnection) -> None:
    """Drop a frame of an application whose frames are taken no more; raise ClientDisconnected after its end.

    Before that, the server stops: the next consumer of the client sends it again (``Followed.finish``).
    """
    if connection.told or connection.final is not None:
        raise ClientDisconnected(LEFT)


async def delivered(connection: ResumableConnection, within_s: float | None, count: int) -> bool:
    """Return True when the client has the first ``count`` frames; False after ``within_s``, or at the end.

    Also if so many of the client's frames wait for the application that its answer cannot be read.
    """
    journal = connection.journal
    if journal.acknowledged < count and not connection.over:
        came = journal.wait(count)
        ask(connection)
        try:
            await asyncio.wait((came,), timeout=within_s)
        finally:
            came.cancel()
            _ask_no_more(connection)
    return journal.acknowledged >= count


async def add_later(connection: ResumableConnection, payload: Payload, size: int) -> None:
    """Wait for a client that reads, and add a frame to its journal.

    The park of a client that is away ends when its journal is full. Raises ClientDisconnected if the
    connection ends.
    """
    try:
        async with connection.journal.in_turn():
            if not await _add_in_turn(connection, payload, size):
                raise ClientDisconnected(LEFT)
    finally:
        _ask_no_more(connection)


def _ask_no_more(connection: ResumableConnection) -> None:
    """Read as usual again, unless somebody else waits for what the client says that it has."""
    if not connection.journal.is_awaited():
        connection.inbound.widen(False)


async def _add_in_turn(connection: ResumableConnection, payload: Payload, size: int) -> bool:
    journal, inbound = connection.journal, connection.inbound
    while True:
        link = connection.link
        if link is not None:
            link.take_over()
        if journal.add(payload, size):
            return not connection.over
        pauses = link is None and connection.untold is not None  # the client is back at once, and says more
        if link is None and not pauses:
            connection.give_up("overflow")
        if connection.over or (link is None and not pauses):
            return False
        if link is not None:
            ask(connection)  # each time: what was on its way is not in the last answer
        if link is not None and inbound.space is not None and link.sent > journal.begin:
            # The acknowledgement is behind too many frames of the client, which cannot resume before it.
            journal.forget(min(link.sent, journal.begin + FORGOTTEN))
            continue
        room = journal.wait_for_room()
        try:
            came, _ = await asyncio.wait((room,), timeout=UNREAD_S)
        finally:
            room.cancel()
        if link is not None and not came and link is connection.link:
            where = shown(connection.where)
            log.warning("a client of %s has acknowledged nothing for %g s: its link ends", where, UNREAD_S)
            connection.ended(link, ABNORMAL, goodbye=False)
            link.drop(TRY_AGAIN_LATER)
