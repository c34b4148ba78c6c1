"""Histories for clients that come back: the positions in tickets, and the messages for a new consumer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from compat import tickets
from compat.clock import steady
from compat.engine.cursors import Cursors, Position, Progress
from compat.engine.dispatching import HANDLED, blocking_dispatch
from compat.engine.events import Event
from compat.engine.inbox import Inbox
from compat.resume.registry import registry
from compat.resume.telling import Verdict
from compat.tickets import Cursor, Ticket, print_of
from compat.types import Message, Receive

if TYPE_CHECKING:
    from compat.resume.connection import ResumableConnection

__all__ = ["Followed", "Returned"]

REFRESH_S = 5.0
"""Seconds between two tickets with new positions."""
SOON_S = 0.1
"""Seconds until the next ticket after the consumer has joined a group."""
KEPT = 8
"""How many earlier positions are kept, for clients to which newer frames have not been sent."""
FINISH_S, MOST_S, POLL_S = 2.0, 10.0, 0.01
"""Seconds for which a stopping server waits, so that no message comes twice: for a running handler, or a
client that reads nothing; for a client that reads slowly; and between two looks.
"""


class Followed:
    """The positions of one connection's consumer in the histories of its groups, for the client's tickets."""

    __slots__ = ("_channel", "_connection", "_given", "_resting", "_timer", "_told", "cursors")

    def __init__(
        self, connection: ResumableConnection, inbox: Inbox, progress: Callable[[], Progress]
    ) -> None:
        self.cursors = Cursors(inbox, progress, self._moved, connection.returned)
        inbox.follow(self.cursors)
        self._connection = connection
        self._channel = inbox.channel
        self._timer: asyncio.TimerHandle | None = None
        self._told: list[tuple[int, dict[str, Position]]] = []
        """Positions, each with the number of frames that the client has to have before it is told them."""
        self._given: dict[str, Position] = {}
        """The positions in the last ticket."""
        self._resting: asyncio.Event | None = None

    def placed(self, ticket: Ticket) -> Ticket:
        """Return ``ticket``, which is about to be sent, with the positions that the client may be told."""
        connection = self._connection
        if connection.returned is not None:  # the client does not know yet what was recovered
            return connection.returned.placed(ticket)
        link, end = connection.link, connection.journal.end
        if link is not None and not connection.over and not link.gone:
            self._note(end)
        places = self._given = self._known(end if link is None else link.sent)
        if not places or len(places) > tickets.MAX_GROUPS:
            return ticket
        cursors = [
            Cursor(print_of("group", group), place.epoch, place.offset)
            for group, place in places.items()
            if place.epoch
        ]
        return ticket._replace(channel=print_of("channel", self._channel), cursors=tuple(cursors))

    def _note(self, end: int) -> None:
        places = self.cursors.read()
        if self._told and (self._told[-1][0] == end or not places):
            self._told.pop()
        if not places:
            self._told.clear()
        self._told.append((end, places))
        if len(self._told) > KEPT:
            del self._told[1]

    def _known(self, sent: int) -> dict[str, Position]:
        """Return the positions for a client to which ``sent`` frames have been sent.

        A ticket overtakes the frames that wait. If nothing arrives after it, these are still missing.
        """
        return next((places for count, places in reversed(self._told) if count <= sent), {})

    def _moved(self, soon: bool) -> None:
        loop = self._connection.loop
        if self._timer is not None:
            if not soon or self._timer.when() <= loop.time() + SOON_S:
                return
            self._timer.cancel()
        # The delay is random, so that not all members of a group get a ticket at the same moment.
        delay_s = SOON_S if soon else REFRESH_S * (0.75 + random.random() / 4)
        self._timer = loop.call_later(delay_s, self._refresh)

    def _refresh(self) -> None:
        self._timer = None
        connection = self._connection
        link = connection.link
        if link is None or connection.over or not connection.accepted:
            return  # ``again`` is called when there is a link
        if connection.returned is not None:
            self._moved(False)
            return
        self._note(connection.journal.end)
        if self._known(link.sent) != self._given:
            connection.acknowledge(fresh=True)
        if self.cursors.is_behind() or (self._told and self._told[-1][1] != self._given):
            self._moved(not self._given)  # a client without any position would miss everything

    def again(self) -> None:
        """Tell the client its positions soon, because there is a new link."""
        self._moved(True)

    def finish(self) -> float:
        """Tell the client its positions, and nothing after that, because the server stops.

        Frames that the consumer sends later are dropped: the client's next consumer sends them again. Returns
        for how many seconds the server may have to wait (``registry.is_finished``).
        """
        connection = self._connection
        if connection.over or connection.link is None or not connection.accepted:
            return 0
        self.cursors.freeze()
        registry.finishing(connection, True)
        self._finish(connection.link.sent, steady() + FINISH_S, steady() + MOST_S)
        if connection.over:
            return 0
        connection.acknowledge(fresh=True)  # the server may not wait
        return MOST_S + POLL_S

    async def rest(self) -> None:
        """Call ``finish()``, and wait until the client has been told."""
        self._resting = asyncio.Event()
        if self.finish():
            await self._resting.wait()

    def _finish(self, sent: int, until: float, at_most: float) -> None:
        """Tell the client its positions when all frames have been sent and no handler runs, or at ``until``.

        ``sent`` frames have been sent so far; each further one extends ``until``, up to ``at_most``.
        """
        connection = self._connection
        link = connection.link
        if connection.over or link is None:
            self._finished()
            return
        if connection.returned is not None:
            connection.returned.tell()  # the next consumer replays what the client still misses
        if link.sent > sent:
            sent, until = link.sent, min(steady() + FINISH_S, at_most)
        waits = self.cursors.is_handling() or link.busy is not None or link.sent < connection.journal.end
        # The client's frames that have come are answered as well; but there may be more of them without end.
        waits = waits or (not connection.inbound.is_idle() and steady() < at_most - MOST_S + FINISH_S)
        if (waits or connection.returned is not None) and not link.gone and steady() < until:
            connection.loop.call_later(POLL_S, self._finish, sent, until, at_most)
        else:
            registry.finishing(connection, False)  # so that the frames that wait are acknowledged too
            connection.acknowledge(fresh=True)
            connection.go_silent()
            connection.journal.look_again()  # a send that waits for room is dropped
            self._finished()

    def _finished(self) -> None:
        registry.finishing(self._connection, False)
        self._connection.end_by_itself()
        if self._resting is not None:
            self._resting.set()

    def close(self) -> None:
        """Stop, because the connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
        self.cursors.close()


class Returned:
    """A client that has come back to a new consumer, with a ticket that has its positions; see ``Missed``."""

    def __init__(self, ticket: Ticket, secret: object, why: str) -> None:
        self.why = why
        """Why its former connection is not there."""
        self._ticket = ticket
        self._since = {cursor.group: Position(cursor.epoch, cursor.offset) for cursor in ticket.cursors}
        self._secret = secret
        self._left = set(self._since)
        """The groups that the new consumer has not joined yet."""
        self._incomplete = False
        """True if a message is known to be missing."""
        self._events: list[Event] = []
        """The earlier messages that the new consumer has been given."""
        self._connection: ResumableConnection | None = None
        self._is_connected = False
        """True once ``connect()`` of the new consumer has returned."""
        self._delay_s = 0.001

    def placed(self, ticket: Ticket) -> Ticket:
        """Return ``ticket``, which is for the new connection, with the positions of the former one."""
        if self._secret != tickets.current_secret():
            return ticket
        return ticket._replace(channel=self._ticket.channel, cursors=self._ticket.cursors)

    # For the layer

    def since(self, group: str) -> Position | None:
        """See ``Missed``."""
        found = print_of("group", group, self._secret)
        return self._since.get(found) if found in self._left else None

    def was_excluded(self, channels: Sequence[str]) -> bool:
        """See ``Missed``."""
        return any(print_of("channel", channel, self._secret) == self._ticket.channel for channel in channels)

    def rejoined(self, group: str, events: Sequence[Event], *, complete: bool) -> None:
        """See ``Missed``."""
        self._left.discard(print_of("group", group, self._secret))
        self._events += events
        self._incomplete = self._incomplete or not complete

    def joined(self, group: str) -> None:
        """See ``Missed``; the former consumer may have joined that group after its ticket was written."""
        if not self._ticket.is_of_page and print_of("group", group, self._secret) not in self._since:
            self._incomplete = True

    def spoil(self) -> None:
        """See ``Missed``."""
        self._incomplete = True

    # For the consumer (``scope["compat.progress"]``)

    def begin(self, connection: ResumableConnection) -> None:
        """Set the client's new connection."""
        self._connection = connection

    def watched(
        self, dispatch: Callable[[Message], Any], receive: Receive, threads: bool
    ) -> tuple[Callable[[Message], Any], Receive]:
        """Return ``dispatch``, which now also notes when ``connect()`` has returned, and ``receive``.

        ``threads``: ``dispatch`` is called in the threads of handlers.
        """
        loop, connecting = asyncio.get_running_loop(), [True]
        handle = blocking_dispatch(dispatch) if threads else dispatch

        def connected() -> None:
            if connecting:
                connecting.clear()
                loop.call_soon_threadsafe(self._connected)

        async def finished(handling: Awaitable[Any]) -> None:
            await handling
            connected()

        def call(message: Message) -> Any:
            handling = handle(message)
            if threads:
                connected()
                return HANDLED
            return finished(handling) if connecting else handling

        return call, receive

    def _connected(self) -> None:
        """Tell the client what has been recovered, as soon as it has been sent all of that."""
        self._is_connected = True
        connection = self._connection
        if connection is not None and not self.tell():
            self._delay_s = min(2 * self._delay_s, 0.1)
            connection.loop.call_later(self._delay_s, self._connected)

    def tell(self) -> bool:
        """Tell the client what has been recovered; return False if it is too early for that."""
        connection = self._connection
        if connection is None or connection.over:
            return True
        if not self._is_connected:
            return False
        link, following = connection.link, connection.followed
        behind = following is not None and following.cursors.waits_for(self._events)
        if link is None or link.gone or link.busy is not None or link.sent < connection.journal.end:
            behind = True  # the verdict would overtake the frames that wait
        if link is None or not connection.accepted or behind:
            return False
        whole = not self._incomplete and not self._left
        recovered, why = ("groups", self.why) if whole else ("", "history")
        replayed = len(self._events)
        if whole and not self._ticket.is_of_page:
            registry.count_rejoined()
        elif not whole:
            registry.lose(why)
        self.close()
        connection.judged(Verdict(recovered, why, replayed))
        return True

    def close(self) -> None:
        """Forget what was missed; a later ``group_add`` is an ordinary one."""
        self._connection = None
        self._events.clear()
        self._since.clear()
        self._left.clear()
