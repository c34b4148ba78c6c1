"""Parking: a resumable connection without a link waits for its client, for a limited time."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

from compat.clock import until
from compat.codes import ABNORMAL, NORMAL, SERVICE_RESTART
from compat.engine.admissions import Admission, admissions
from compat.engine.refusal import shown
from compat.resume.inbound import Inbound
from compat.resume.journal import Journal
from compat.resume.link import Link
from compat.resume.registry import registry
from compat.resume.telling import Telling
from compat.types import Message

__all__ = ["Parking"]

log = logging.getLogger("compat.resume")

PAUSE_S = 10.0
"""Seconds in which a client that has said ``pause`` may come back before it counts as away."""
MAX_UNTOLD = 12
"""The number of control frames that are kept for it; with more it counts as away at once."""
CATCH_UP_S = 2.0
"""Seconds in which a consumer that a drain closes may take what has come."""
CLOSED_S = 60.0
"""Seconds for which frames are kept for a client that was closed, because its link may have been dead."""


class Parking(Telling):
    """Base of ``ResumableConnection``."""

    __slots__ = (
        *("accepted", "back_at", "drained", "final", "link", "logged_out"),
        *("park_timer", "said", "session", "untold"),
    )

    inbound: Inbound
    loop: asyncio.AbstractEventLoop
    journal: Journal
    admission: Admission | None
    notices: Callable[[str], None] | None
    outlives: bool
    """True if a stopping server does not wait for the application, because it began with a request."""
    over: bool
    posts: bool
    told: bool
    where: str

    def __init__(self) -> None:
        super().__init__()
        self.link: Link | None = None
        self.accepted = False
        """True once the client has been sent its first ticket."""
        self.back_at = -math.inf
        """The loop's time of the client's last return."""
        self.drained = False
        """True if the drain of a stopping server closes the consumer."""
        self.final: Message | None = None
        """The close of the application, for a client that is away or has not got all frames before it."""
        self.said = False
        """True once that close has been written to a link, after all frames."""
        self.session = ""
        """The mark (``logouts.mark_of``) of the session that names its user; empty if none does."""
        self.logged_out = False
        """True once that user has logged out: the client cannot come back."""
        self.park_timer: asyncio.TimerHandle | None = None
        self.untold: list[Message] | None = None
        """The control frames for a client that has said ``pause``; None if it has not."""

    def put_disconnect(self, code: int) -> None:
        """Tell the application, once, that its client has left for good."""
        raise NotImplementedError

    @property
    def parked(self) -> bool:
        """True while it waits for its client."""
        return self.link is None

    @property
    def here_since(self) -> float:
        """See ``engine.contracts.Resumed``."""
        return math.inf if self.link is None else self.back_at

    @property
    def protocol(self) -> Any:
        """The server's protocol of the link, if frames can be batched for it, else None."""
        return self.link and self.link.protocol

    def ended(self, link: Link | None, code: int, *, goodbye: bool) -> None:
        """Handle the end of a link; see ``owner.Owner``."""
        if link is not self.link:
            return
        if link is not None:
            link.take_over()
        self.link = None
        pauses = link is not None and link.paused
        if not pauses:
            self.pause_watching()
        if self.final is not None:
            closed = self.final.get("code", NORMAL)
            self.put_disconnect(closed)
            self.said = link is not None and code == closed
            if link is not None and self.said:  # servers report our own code, even if the link was dead
                goodbye = link.goodbye or self.journal.begin == self.journal.end
            goodbye = goodbye or not self.accepted  # the client has no ticket
        elif goodbye or not self.accepted:
            if self.accepted and not registry.stopping:
                registry.said_goodbye(self)
            goodbye = True
            self.put_disconnect(code if self.accepted else ABNORMAL)
        if goodbye:
            self.forget()
        elif pauses:
            self.pause()
        else:
            self.park()

    def is_shut_out(self) -> bool:
        """Return True, and log it, if a limit of connections allows no return now: the client comes later."""
        full = None if self.admission is None else self.admission.full()
        if full:
            log.warning("a client of %s is asked to come back later: %s", shown(self.where), full)
        return bool(full)

    def park(self) -> None:
        """Wait for the client, if it can come back."""
        if self.logged_out:
            self.give_up("logout")
            return
        seconds = min(self.seconds, CLOSED_S) if self.said else self.seconds
        self.park_timer = self.loop.call_later(seconds, self.give_up, "gone")
        registry.park(self)  # which may end it at once, and so the timer
        self.journal.look_again()  # the client reads nothing now
        if registry.stopping:
            self.stop()
        elif self.notices is not None and not self.over:
            self.notices("compat.parked")

    def unpark(self) -> None:
        """Stop waiting for the client."""
        if self.park_timer is not None:
            self.park_timer.cancel()
            self.park_timer = None
        self.untold = None

    def pause(self) -> None:
        """Wait for a client that comes back at once: neither the application nor other clients are told."""
        self.untold = []
        self.park_timer = self.loop.call_later(PAUSE_S, self._park_after_all)
        self.journal.look_again()  # nobody reads now
        if registry.stopping:
            self.stop()

    def _park_after_all(self) -> None:
        self.unpark()
        self.pause_watching()
        self.park()

    def tell(self, message: Message) -> None:
        """Send a control frame, now or after a pause; a client that is away does not get it."""
        if self.link is not None:
            self.link.tell(message)
        elif self.untold is not None:
            self.untold.append(message)
            if len(self.untold) > MAX_UNTOLD:
                self._park_after_all()

    def stop(self) -> float:
        """End a park, or a link that the server does not close itself, because the server stops.

        Returns for how many seconds the link has to stay open.
        """
        link = self.link
        if link is None:
            self.give_up("stopped")
            return 0
        if self._is_drained():
            return 0
        wait_s = 0 if self.followed is None else self.followed.finish()
        self.acknowledge_rest()  # so that what has come is not unsure; the server closes its sockets
        if not wait_s:
            self.end_by_itself()
        return wait_s

    def takes_all(self) -> bool:
        """See ``Telling``; False while a consumer may fail, and for an endpoint, which its next send ends.

        False as well for a consumer for which the server does not wait, or not long.
        """
        if self.notices is None or not registry.stopping or self._ends_by_itself():
            return False
        return self.final is None and not (self._is_drained() or registry.is_finishing(self))

    def _is_drained(self) -> bool:
        """Return True if the drain closes it in its turn; False for a client that polls: it is refused."""
        return admissions.draining and self.drained and not self.posts

    def _ends_by_itself(self) -> bool:
        """Return True if a stopping server does not close the link, or does not wait for the consumer."""
        return (self.link is not None and self.link.relayed) or (self.outlives and not self._is_drained())

    def end_by_itself(self) -> None:
        """End such a link, after its client has been told its positions, because the server stops.

        If the application has closed it, that close is on its way.
        """
        link = self.link
        if link is not None and self._ends_by_itself():
            if self.final is None:
                link.close({"type": "websocket.close", "code": SERVICE_RESTART})
            self.ended(link, SERVICE_RESTART, goodbye=True)

    def may_pause(self) -> bool:
        """See ``owner.Owner``."""
        return not registry.is_finishing(self)

    async def rest(self) -> None:
        """See ``engine.contracts.Resumed``."""
        if self.followed is not None:
            await self.followed.rest()
        if self._is_drained() and self.link is not None and not self.link.relayed:
            await until(lambda: not self.inbound.waiting or self.link is None, CATCH_UP_S)
        self.acknowledge_rest()  # before a relayed link ends
        self.end_by_itself()

    def name_home(self, home: str) -> None:
        """Name its process, which had no name before, in its tickets; a client that is here gets one."""
        self.place = self.place._replace(home=home)
        if self.accepted and self.link is not None:
            self.acknowledge(fresh=True)

    def belongs_to(self, session: str) -> None:
        """Set the session that names its user, which may be another one than before."""
        self.session, self.logged_out = session, False

    def log_out(self, session: str) -> None:
        """End the park if its own ``session`` has ended by a logout; with a link, do not park any more."""
        if session == self.session:
            self.logged_out = True
            self.give_up("logout")

    def give_up(self, why: str, *, counted: bool = False) -> None:
        """End a park: the application gets its disconnect, unless it has ended already.

        ``counted``: the return of the client has been counted with this reason already.
        """
        if self.link is not None or self.id not in registry.connections:
            return
        if self.admission is not None:
            self.admission.end()
        if not self.told and not counted:
            registry.give_up(self, why)
        self.put_disconnect(SERVICE_RESTART if why == "stopped" else ABNORMAL)
        self.forget()

    def forget(self) -> None:
        """Forget the connection: it has ended, and the client need not come back to learn that."""
        self.unpark()
        self.inbound.stop()
        registry.leave(self)
