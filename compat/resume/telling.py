"""The control frames for the client of a resumable connection: tickets, acknowledgements and verdicts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from compat import tickets
from compat.resume.inbound import Inbound
from compat.resume.people import WatchesPeople
from compat.resume.wire import control
from compat.types import Message

if TYPE_CHECKING:
    from compat.resume.histories import Followed, Returned

__all__ = ["Telling", "Verdict"]


class Verdict(NamedTuple):
    """What a new consumer has recovered of a client's former connection."""

    recovered: str
    why: str
    replayed: int
    """How many earlier messages the new consumer was given."""


class Telling(WatchesPeople):
    """Base of ``ResumableConnection``."""

    __slots__ = ("generation", "returned", "ticket_expires", "verdict", "verdict_generation")

    id: bytes
    seconds: float
    place: tickets.Place
    inbound: Inbound
    final: Message | None
    followed: Followed | None

    def __init__(self) -> None:
        super().__init__()
        self.generation = 0
        """The number of the newest ticket."""
        self.ticket_expires = 0
        self.returned: Returned | None = None
        """What the client has of the groups of its former connection, until the verdict on that is sent."""
        self.verdict: Verdict | None = None
        """A verdict that may not have arrived."""
        self.verdict_generation = 0
        """The generation of the ticket that was sent with it: a client with an older one has not got it."""

    def hello(self, recovered: str | None, why: str | None = None, *, again: bool = False) -> Message:
        """Return the frame that begins a link; ``again``: the link ends a pause."""
        verdict = {"recovered": recovered, "why": why, "again": again or None}
        told = {name: value for name, value in verdict.items() if value is not None}
        have = self.inbound.note_acknowledged(whole=self.final is None)  # it may have left what waits
        whole = int(self.seconds)  # 120 and not 120.0, which some languages do not take for a whole number
        park = whole if whole == self.seconds else self.seconds
        return control("hello", ticket=self._ticket(), have=have, park=park, **told)

    def _ticket(self) -> str:
        self.ticket_expires = int(time.time()) + tickets.LIFETIME_S
        ticket = tickets.Ticket(self.id, self.generation, *self.place, self.ticket_expires)
        return tickets.write(ticket if self.followed is None else self.followed.placed(ticket))

    def acknowledge(self, *, fresh: bool = False) -> None:
        """Tell a client that is here how many frames it may forget; ``fresh``: and send a new ticket."""
        count = self.inbound.note_acknowledged(whole=self.takes_all())
        if self.link is not None:
            ticket = {"ticket": self._ticket()} if fresh or tickets.is_old(self.ticket_expires) else {}
            self.link.tell(control("ack", n=count, **ticket))

    def acknowledge_rest(self) -> None:
        """Tell the client how many frames it may forget, if it has sent more since the last time."""
        if self.inbound.acked < self.inbound.count:
            self.acknowledge()

    def takes_all(self) -> bool:
        """Return True if the server stops, and the application will still take all frames that have come."""
        raise NotImplementedError

    def renew(self) -> None:
        """Send a new ticket if the client's is old."""
        if tickets.is_old(self.ticket_expires):
            self.acknowledge()

    def judged(self, verdict: Verdict) -> None:
        """Tell the client what was recovered of its former connection."""
        self.returned = None
        if self.followed is not None:
            self.followed.cursors.recovered()
        self._judge(verdict)
        if self.followed is not None:
            self.followed.again()

    def _judge(self, verdict: Verdict) -> None:
        self.generation += 1
        self.verdict, self.verdict_generation = verdict, self.generation
        self.tell(control("verdict", **verdict._asdict(), ticket=self._ticket()))

    def judge_again(self, generation: int) -> None:
        """Repeat the verdict for a client that has come back with an older ticket: the verdict was lost."""
        verdict, self.verdict = self.verdict, None
        if verdict is not None and generation < self.verdict_generation:
            self._judge(verdict)
