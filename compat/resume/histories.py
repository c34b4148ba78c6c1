"""Histories and clients that come back: what a ticket says of them, and what a new consumer is given."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from compat import tickets
from compat.clock import steady
from compat.engine.cursors import Cursors, Position
from compat.engine.inbox import Event, Inbox
from compat.resume.registry import registry
from compat.resume.wire import control
from compat.tickets import Cursor, Ticket, print_of
from compat.types import Message

if TYPE_CHECKING:
    from compat.resume.connection import ResumableConnection

__all__ = ["Followed", "Returned", "followed"]

REFRESH_S = 5.0
"""The client gets a ticket with new positions this often, at most."""
SOON_S = 0.1
"""The same after its consumer has joined a group."""
FINISH_S = 0.05
"""How long a server that stops waits for the handler that runs, so that its message is not handled twice."""


class Followed:
    """What the tickets of one connection say of the histories that its consumer follows."""

    __slots__ = ("_channel", "_connection", "_timer", "_told", "cursors")

    def __init__(
        self, connection: ResumableConnection, inbox: Inbox, unhandled: Callable[[], int | None]
    ) -> None:
        self.cursors = Cursors(inbox, unhandled, self._moved, connection.returned)
        inbox.follow(self.cursors)
        self._connection = connection
        self._channel = inbox.channel
        self._timer: asyncio.TimerHandle | None = None
        self._told: dict[str, Position] = {}
        """What the client has been told, or may be."""

    def placed(self, ticket: Ticket) -> Ticket:
        """Return a ticket that is sent now with what the client has of the groups."""
        link, journal = self._connection.link, self._connection.journal
        # A ticket overtakes the frames that wait. If it is the last that arrives, they are still missing.
        if link is not None and link.busy is None and link.sent == journal.end:
            self._told = self.cursors.read()
        if not self._told or len(self._told) > tickets.MAX_GROUPS:
            return ticket
        cursors = [
            Cursor(print_of("group", group), place.epoch, place.offset)
            for group, place in self._told.items()
            if place.epoch
        ]
        return ticket._replace(channel=print_of("channel", self._channel), cursors=tuple(cursors))

    def _moved(self, soon: bool) -> None:
        loop = self._connection.loop
        if self._timer is not None:
            if not soon or self._timer.when() <= loop.time() + SOON_S:
                return
            self._timer.cancel()
        self._timer = loop.call_later(SOON_S if soon else REFRESH_S, self._refresh)

    def _refresh(self) -> None:
        self._timer = None
        connection, before = self._connection, self._told
        link = connection.link
        if link is None or connection.over or not connection.accepted:
            return
        if link.busy is not None or link.sent < connection.journal.end:
            self._moved(False)
            return
        if self.cursors.read() != before:
            connection.acknowledge(fresh=True)
        if self.cursors.is_behind():
            self._moved(False)

    def finish(self, until: float | None = None) -> None:
        """Tell the client where it is, and nothing after that, because the server stops.

        What the consumer sends later is for nobody: the new consumer of its client sends it again. Waits for
        the handler that runs, for ``FINISH_S`` at most.
        """
        connection = self._connection
        if connection.over or connection.link is None:
            return
        until = steady() + FINISH_S if until is None else until
        if self.cursors.is_handling() and steady() < until:
            connection.loop.call_soon(self.finish, until)
            return
        connection.acknowledge(fresh=True)
        connection.hush()

    def close(self) -> None:
        """The connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
        self.cursors.close()


def followed(
    connection: ResumableConnection, inbox: Inbox, unhandled: Callable[[], int | None]
) -> Followed | None:
    """Return what follows the histories of a consumer's groups; None if its layer keeps none."""
    return Followed(connection, inbox, unhandled) if getattr(inbox.owner, "rules", None) else None


class Returned:
    """A client that has come back to a new consumer, with a ticket that says what it has (``Missed``)."""

    def __init__(self, ticket: Ticket, secret: object, why: str) -> None:
        self.why = why
        """Why its connection is not there."""
        self._since = {cursor.group: Position(cursor.epoch, cursor.offset) for cursor in ticket.cursors}
        self._channel = ticket.channel
        self._secret = secret
        self._left = set(self._since)
        """The groups that the new consumer has not joined again."""
        self._incomplete = False
        self._events: list[Event] = []
        self._connection: ResumableConnection | None = None
        self._delay_s = 0.001

    # For the layer

    def since(self, group: str) -> Position | None:
        """See ``Missed``."""
        found = print_of("group", group, self._secret)
        return self._since.get(found) if found in self._left else None

    def was_excluded(self, channels: Sequence[str]) -> bool:
        """See ``Missed``."""
        return any(print_of("channel", channel, self._secret) == self._channel for channel in channels)

    def rejoined(self, group: str, events: Sequence[Event], *, complete: bool) -> None:
        """See ``Missed``."""
        self._left.discard(print_of("group", group, self._secret))
        self._events += events
        self._incomplete = self._incomplete or not complete

    # For the consumer (``scope["compat.progress"]``)

    def begin(self, connection: ResumableConnection) -> None:
        """The client has ``connection`` now."""
        self._connection = connection

    def watched(self, dispatch: Callable[[Message], Any]) -> Callable[[Message], Any]:
        """Return ``dispatch`` of a consumer, which now tells when ``connect()`` has returned."""
        loop, told = asyncio.get_running_loop(), [False]

        async def adispatch(message: Message) -> Any:
            outcome = await dispatch(message)
            if not told[0]:
                told[0] = True
                loop.call_soon(self._connected)
            return outcome

        def in_thread(message: Message) -> None:
            dispatch(message)
            if not told[0]:
                told[0] = True
                loop.call_soon_threadsafe(self._connected)

        return adispatch if inspect.iscoroutinefunction(dispatch) else in_thread

    def _connected(self) -> None:
        """Tell the client what has been recovered, once it has been given all of it."""
        connection = self._connection
        if connection is None or connection.over:
            return
        following = connection.followed
        behind = following is not None and following.cursors.waits_for(self._events)
        if not connection.accepted or behind or connection.link is None:
            self._delay_s = min(2 * self._delay_s, 0.1)
            connection.loop.call_later(self._delay_s, self._connected)
            return
        self._connection = None
        whole = not self._incomplete and not self._left
        recovered, why = ("groups", self.why) if whole else ("", "history")
        replayed = len(self._events)
        if whole:
            registry.count_rejoined()
        connection.link.tell(control("verdict", recovered=recovered, why=why, replayed=replayed))
