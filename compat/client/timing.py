"""When a client tries again, and when it doubts that its link lives. Without a clock: times are passed in."""

from __future__ import annotations

from typing import Literal

__all__ = ["REDIRECTS", "Attempts", "Patience", "Pulse", "Unsent"]

FIRST_SECONDS, MOST_SECONDS = 0.3, 30.0
HANDSHAKE_SECONDS, MOST_HANDSHAKE_SECONDS = 10.0, 80.0
STEADY_SECONDS = 5.0
"""How long a link has to live for being none of those with which something is wrong."""
SILENCE_SECONDS, ANSWER_SECONDS, MOST_ANSWER_SECONDS = 25.0, 3.0, 60.0
UNAUTHORIZED, FORBIDDEN = 401, 403
"""Refusals by the application, which another attempt does not change."""
MOST_FORBIDDEN = 8
"""For a client that has been open, in a row: an application whose ``connect()`` fails says 403, too."""
PASSING = frozenset((408, 425, 429))
REDIRECTS = range(300, 400)

Unsent = tuple[int, ...]
"""What has yet to leave, in several counts: it is less than before if some of that has left."""


class Attempts:
    """Counts failed attempts; says whether and when there is another, and of which kind."""

    def __init__(self, *, of_page: bool = False) -> None:
        self.plain = False
        """The next attempt does not mention resuming, for servers that reject unknown subprotocols."""
        self._failures = 0
        self._was_open = False
        self._ticket = of_page
        """A plain attempt would cost it: the connection that was lost may still be there."""
        self._of_page = of_page
        """It is that of a page, and for no connection."""
        self._refused = False
        """The last attempt was refused."""
        self._forbidden = 0
        """How many of the last attempts in a row were refused with 403."""
        self._opened_at = 0.0
        self._was_short = False
        """The last link has not lived."""

    def opened(self, now: float, *, returned: bool = False) -> None:
        """The connection is open, and has ``returned`` if the client has missed nothing.

        Then the server works, whatever cuts the links: the next pauses are short ones.
        """
        if returned:
            self._failures = min(self._failures, 1)
        self._was_open = True
        self._forbidden = 0
        self._opened_at = now

    def lost(self, now: float, *, ticket: bool) -> None:
        """The connection has been lost, and there is a ticket for it or not.

        If it has lived, the pauses begin again with a short one. If not, it is a failure: a server may greet
        its clients, and drop them. But one such link is a cut like others.
        """
        self.plain = False  # what has refused may have been a proxy whose server was not up yet
        self._ticket, self._of_page = ticket, False
        if now - self._opened_at >= STEADY_SECONDS:
            self._failures = 0
            self._was_short = False
            return
        if self._was_short:
            self._failures += 1
        self._was_short = True

    def failed(self, status: int | None = None, *, mute: bool = False) -> bool:
        """An attempt has failed, with the handshake's HTTP ``status`` if there was one.

        ``mute``: the server has agreed to resume, and said nothing. Return whether there is another attempt.
        After a refusal, or a mute server, that is a plain one, but not with a ticket that it would cost.
        """
        self._failures += 1
        refused = status is not None and 400 <= status < 500 and status not in PASSING
        self._forbidden = self._forbidden + 1 if status == FORBIDDEN else 0
        if status == UNAUTHORIZED or self._forbidden >= (MOST_FORBIDDEN if self._was_open else 1):
            return False
        over = refused and (self.plain or (self._ticket and self._refused))
        if not self._was_open and (status in REDIRECTS or over):
            return False  # later, either may pass
        self._refused = refused
        costs = self._ticket and not (mute and self._of_page)
        self.plain = (refused or mute) and not self.plain and not costs
        return True

    def patience(self, left: float) -> float:
        """Return for how many seconds the next attempt waits for an answer.

        After each failure that is twice as long, as a consumer may be slow to accept; but no longer than the
        server keeps the connection, for ``left`` seconds.
        """
        doubled = HANDSHAKE_SECONDS * 2.0 ** min(self._failures, 20)
        return max(HANDSHAKE_SECONDS, min(left, doubled, MOST_HANDSHAKE_SECONDS))

    def pause(self, random: float) -> float:
        """Return the seconds to wait before the next attempt; ``random`` is in [0, 1)."""
        return random * min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._failures, 20))


class Patience:
    """For how long an answer is waited for: after each time without one for twice as long.

    It may be behind a frame that takes longer, and would begin again on each link.
    """

    def __init__(self) -> None:
        self.seconds = ANSWER_SECONDS

    def heard(self, after: float) -> None:
        """An answer has come after so many seconds, or another frame so long after the one before."""
        if after < ANSWER_SECONDS:
            self.seconds = ANSWER_SECONDS

    def lost(self) -> None:
        """None has come."""
        self.seconds = min(2 * self.seconds, MOST_ANSWER_SECONDS)


class Pulse:
    """After a silence the server is asked for a sign of life, which has to come within ``patience``.

    It may be behind a large frame. As long as that goes on leaving, the time begins again.
    """

    def __init__(self, now: float, patience: Patience) -> None:
        self._begun_at = self._heard_at = now
        self._asked_at: float | None = None
        self._waits_from = now
        self._unsent: Unsent = ()
        """Behind what the question was, or what is left of that since ``_waits_from``."""
        self._patience = patience

    def heard(self, now: float) -> None:
        """Something has come."""
        if now - self._begun_at > STEADY_SECONDS:  # what waited for the link comes at once
            self._patience.heard(now - max(self._heard_at, self._asked_at or 0.0))
        self._heard_at = now
        self._asked_at = None

    @property
    def due(self) -> float:
        """When ``check()`` has something to say."""
        if self._asked_at is None:
            return self._heard_at + SILENCE_SECONDS
        return self._waits_from + self._patience.seconds

    def check(self, now: float, unsent: Unsent) -> Literal["ask", "dead", None]:
        """Return what is to be done: ask the server, behind what is ``unsent``, or give the link up."""
        if now < self.due:
            return None
        has_left = unsent < self._unsent
        self._waits_from, self._unsent = now, unsent
        if self._asked_at is None:
            self._asked_at = now
            return "ask"
        self._patience.lost()
        return None if has_left else "dead"
