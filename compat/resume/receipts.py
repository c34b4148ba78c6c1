"""Waiting for a client: until it has the frames that were sent, or until there is room for more."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from compat.codes import ABNORMAL, TRY_AGAIN_LATER
from compat.engine.refusal import shown
from compat.engine.scheduler import turn
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
"""How many frames a full journal drops at once if no acknowledgement gets through."""
LEFT = "the client has left, or the application has closed the connection"
"""The error of a send after the end; without it, a handler that only sends would never end."""


def ask(connection: ResumableConnection) -> None:
    """Ask the client how many frames it has, and read on until it answers.

    If there is no room to read on, wake the callers that wait for the answer.
    """
    inbound, link = connection.inbound, connection.link
    inbound.widen(True)
    if link is not None:
        link.tell(control("ack", n=inbound.note_acknowledged(), ask=True))
        if not inbound.has_space():
            connection.journal.wake()


async def drop(connection: ResumableConnection) -> None:
    """Drop a frame of an application whose frames are taken no more; raise ClientDisconnected after its end.

    Before that, the server stops: the next consumer of the client sends it again (``Followed.finish``).
    """
    connection.journal.drop()
    if connection.told or connection.final is not None:
        raise ClientDisconnected(LEFT)
    await turn()  # a handler that only sends would never let the server stop


async def delivered(connection: ResumableConnection, within_s: float | None, count: int) -> bool:
    """Return True when the client has the first ``count`` frames; False after ``within_s``, or at the end.

    Also False if so many of the client's frames wait for the application that its answer cannot be read.
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
    """Add a frame to a full journal, as soon as the client has made room by an acknowledgement.

    If the client is away, its park ends. If the connection ends meanwhile, see ``drop``.
    """
    try:
        async with connection.journal.in_turn():
            if not await _add_in_turn(connection, payload, size):
                await drop(connection)
    finally:
        _ask_no_more(connection)


def _ask_no_more(connection: ResumableConnection) -> None:
    """Read no further ahead than usual, unless another caller waits for an acknowledgement."""
    if not connection.journal.is_awaited():
        connection.inbound.widen(False)


async def _add_in_turn(connection: ResumableConnection, payload: Payload, size: int) -> bool:
    journal, inbound = connection.journal, connection.inbound
    while not connection.over:
        link = connection.link
        if link is not None:
            link.take_over()
        if journal.add(payload, size):
            return True
        pauses = link is None and connection.untold is not None  # it is back at once, and acknowledges
        if link is None and not pauses:
            connection.give_up("overflow")
            return False
        if link is not None:
            ask(connection)  # each time, because the last answer does not count frames that were on their way
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
    return False
