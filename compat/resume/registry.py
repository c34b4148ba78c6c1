"""The registry of this process's resumable connections, by id, and the limits for those that are parked."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from compat.engine.admissions import LimitKey
from compat.engine.draining import drain
from compat.metrics import report_resumable

if TYPE_CHECKING:
    from compat.resume.connection import ResumableConnection
    from compat.resume.parking import Parking

__all__ = ["MAX_PARKED_BYTES", "Registry", "registry"]

MAX_PARKED_BYTES = 64 * 2**20
"""The limit for the journals of all parked connections together; beyond it the oldest park ends."""
GREEDY_BYTES = 8 * 2**20
"""Beyond that limit, a park that is larger than this ends before older ones: it has a huge frame."""
PARKED_BYTES = 4096
"""Bytes that a parked connection counts in addition to its journal, so that their number is limited too."""

MAX_GIVEN_UP = MAX_LEFT = 10_000


class Registry:
    """Finds the connection of a ticket, and limits the memory of parked connections."""

    def __init__(self) -> None:
        self.connections: dict[bytes, ResumableConnection] = {}
        self.parked: OrderedDict[bytes, Parking] = OrderedDict()
        """Connections without a link, the one that has been parked longest first."""
        self.sizes: dict[bytes, int] = {}
        """The bytes that each of these counts."""
        self.parked_bytes = 0
        self.resumed = 0
        """How many returns have found their connection."""
        self.replaced = 0
        """How many returns have led to a new consumer."""
        self.rejoined = 0
        """How many of them have found all that its groups had missed."""
        self.lost: dict[str, int] = {}
        """How many returns have found neither, and how many parks have ended, by reason."""
        self.given_up: OrderedDict[bytes, str] = OrderedDict()
        """Why parked connections have ended, by id."""
        self.left: OrderedDict[bytes, None] = OrderedDict()
        """The ids of connections whose clients have said goodbye; apart, because there are many more."""
        self.nameless: dict[bytes, object] = {}
        """The relays of connections whose tickets do not name this process, which has no name yet, by id."""
        self.responses: dict[Callable[[], None], asyncio.AbstractEventLoop] = {}
        """Functions that make clients whose link is a response ask again (``compat.fallback``)."""
        self._outliving: dict[asyncio.Future[None], str] = {}
        """The calls that continue after their sockets, with the paths of these (``outliving``)."""
        self._stopping: asyncio.AbstractEventLoop | None = None
        self._finishing: set[Parking] = set()
        """Connections whose clients have to be told their positions before the server stops."""

    @property
    def stopping(self) -> bool:
        """True while the server of the running event loop stops: no connection begins or is parked there."""
        return self._stopping is not None and self._stopping is asyncio.get_running_loop()

    def enter(self, connection: ResumableConnection) -> None:
        """Register a new connection."""
        drain.tell_stop(self)
        self.connections[connection.id] = connection

    def find(self, connection: bytes) -> ResumableConnection | None:
        """Return the connection with this id; None if this event loop has none."""
        found = self.connections.get(connection)
        return found if found is not None and found.loop is asyncio.get_running_loop() else None

    def opened(self, pause: Callable[[], None]) -> None:
        """Note a response, for which a stopping server waits; call ``pause()`` when the server stops."""
        drain.tell_stop(self)
        self.responses[pause] = asyncio.get_running_loop()

    def closed(self, pause: Callable[[], None]) -> None:
        """Note that the response has ended."""
        self.responses.pop(pause, None)

    def leave(self, connection: Parking) -> None:
        """Forget a connection that has ended."""
        self.unpark(connection)
        self.connections.pop(connection.id, None)
        self.nameless.pop(connection.id, None)

    def name_later(self, connection: Parking, relay: object) -> None:
        """Note a connection that began before the process had its name for other processes."""
        self.nameless[connection.id] = relay

    def nameless_of(self, relay: object) -> list[ResumableConnection]:
        """Return the connections that wait for a name over this relay, and forget that they do."""
        named = [identity for identity, its_own in tuple(self.nameless.items()) if its_own is relay]
        for identity in named:
            del self.nameless[identity]
        return [self.connections[identity] for identity in named if identity in self.connections]

    def park(self, connection: Parking) -> None:
        """Count a connection as parked."""
        self.parked[connection.id] = connection
        self.sizes[connection.id] = 0
        if connection.told:
            self.drop_first(connection)
        self.grow(connection, connection.journal.count() + PARKED_BYTES)
        if connection.told or connection.admission is None:
            return
        crowded = connection.admission.pause()
        if crowded is not None:
            self._end_oldest_of(crowded)

    def drop_first(self, connection: Parking) -> None:
        """Let a parked connection end before all others: its consumer has ended, only frames are kept."""
        with contextlib.suppress(KeyError):  # it is not parked, or another thread has just ended its park
            self.parked.move_to_end(connection.id, last=False)

    def _end_oldest_of(self, key: LimitKey) -> None:
        """End the longest park of those that count by ``key``, because more wait than may be here."""
        for connection in tuple(self.parked.values()):
            its_own = connection.admission
            if its_own is not None and key in its_own.limits and not connection.told:
                self._end(connection)
                return

    def _end(self, connection: Parking) -> None:
        """End a park, in its own event loop, because there is no room for it; stop counting it at once."""
        self.unpark(connection)
        if connection.loop is asyncio.get_running_loop():
            connection.give_up("overflow")
        else:
            with contextlib.suppress(RuntimeError):  # that loop is no more
                connection.loop.call_soon_threadsafe(connection.give_up, "overflow")

    def unpark(self, connection: Parking) -> None:
        """Stop counting a connection as parked."""
        if self.parked.pop(connection.id, None) is not None:
            self.parked_bytes -= self.sizes.pop(connection.id)

    def grow(self, connection: Parking, size: int) -> None:
        """Count ``size`` more bytes in the journal of a connection, if it is parked.

        If there is no room for them, the oldest park ends, or this one if it has more than ``GREEDY_BYTES``.
        """
        if connection.id not in self.parked:
            return
        self.sizes[connection.id] += size
        self.parked_bytes += size
        while self.parked_bytes > MAX_PARKED_BYTES and self.parked:
            greedy = self.sizes.get(connection.id, 0) > GREEDY_BYTES
            self._end(connection if greedy else next(iter(self.parked.values())))

    def finishing(self, connection: Parking, begins: bool) -> None:
        """Note that the server has to leave a connection's socket open; ``begins=False``: no longer."""
        (self._finishing.add if begins else self._finishing.discard)(connection)

    def is_finishing(self, connection: Parking) -> bool:
        """Return True if its client has to be told its positions before the server stops."""
        return connection in self._finishing

    def is_finished(self) -> bool:
        """See ``engine.contracts.Waiting``."""
        loop = asyncio.get_running_loop()
        return not any(connection.loop is loop for connection in self._finishing)

    def note_outliving(self, call: asyncio.Future[None], path: str) -> None:
        """Note a call of an application that its server does not wait for."""
        self._outliving[call] = path  # there may be no other reference to it
        call.add_done_callback(self._outliving.pop)

    def outliving(self) -> dict[asyncio.Future[None], str]:
        """See ``engine.contracts.Waiting``."""
        loop = asyncio.get_running_loop()
        return {call: path for call, path in tuple(self._outliving.items()) if call.get_loop() is loop}

    def stop(self) -> float:
        """See ``engine.contracts.Waiting``."""
        self._stopping = asyncio.get_running_loop()
        return self.release()

    def release(self) -> float:
        """See ``engine.contracts.Waiting``."""
        loop = asyncio.get_running_loop()
        own = [connection for connection in tuple(self.connections.values()) if connection.loop is loop]
        wait_s = max([connection.stop() for connection in own], default=0)
        for pause in [pause for pause, its_loop in tuple(self.responses.items()) if its_loop is loop]:
            pause()
        return wait_s

    def count_return(self) -> None:
        """Count a return that has found its connection."""
        self.resumed += 1

    def count_replaced(self) -> None:
        """Count a return to a new consumer, because its connection was not found."""
        self.replaced += 1

    def count_rejoined(self) -> None:
        """Count a return to a new consumer whose groups have missed nothing."""
        self.rejoined += 1

    def lose(self, why: str) -> str:
        """Count a return that has not found its connection, or a park that has ended; return ``why``."""
        self.lost[why] = self.lost.get(why, 0) + 1
        return why

    def give_up(self, connection: Parking, why: str) -> None:
        """Count a park that has ended, and keep the reason, in case its client comes back."""
        self.given_up[connection.id] = self.lose(why)
        if len(self.given_up) > MAX_GIVEN_UP:
            self.given_up.popitem(last=False)

    def refuse(self, connection: bytes, generation: int) -> bool:
        """End a connection whose client may not come back; return False if there is none here."""
        found = self.find(connection)
        if found is not None:
            found.refuse(generation)
        return found is not None

    def log_out(self, sessions: Collection[str]) -> None:
        """End the parks of these sessions, now and in the future; may be called in any thread."""
        for connection in tuple(self.connections.values()):
            if connection.session and connection.session in sessions:
                with contextlib.suppress(RuntimeError):  # its loop is no more
                    connection.loop.call_soon_threadsafe(connection.log_out, connection.session)

    def said_goodbye(self, connection: Parking) -> None:
        """Note that its client has said goodbye, in case it comes back all the same."""
        self.left[connection.id] = None
        if len(self.left) > MAX_LEFT:
            self.left.popitem(last=False)

    def count_gone(self, connection: bytes) -> str:
        """Return why the connection of a return is not here; count that, unless its end has been counted."""
        return self.given_up.get(connection) or self.lose("left" if connection in self.left else "gone")

    def counts(self) -> dict[str, Any]:
        """Return how many connections are live and parked, and the outcomes of all returns so far."""
        return {
            "live": len(self.connections) - len(self.parked),
            "parked": sum(not connection.told for connection in tuple(self.parked.values())),
            "resumed": self.resumed,
            "replaced": self.replaced,
            "groups": self.rejoined,
            "lost": dict(self.lost),
        }


registry = Registry()
"""The registry of this process."""

report_resumable(registry.counts)
