"""Tickets for the live page's websocket: a page that was allowed to be seen may open one, within a minute.

Browsers send no headers of one's own with a websocket, and dependencies that look at a ``Request`` cannot be
asked about one. So the page fetches a ticket by an ordinary request, which the dependency guards. Tickets are
signed with a secret that the servers of a registry share, name the time at which they end, and are good once.
"""

from __future__ import annotations

import hmac
import secrets

__all__ = ["TICKET_S", "check_ticket", "make_ticket"]

TICKET_S = 60
"""How long a ticket opens the door."""


def make_ticket(secret: bytes, now: float) -> str:
    """A ticket that is good from ``now`` (seconds of the wall clock) on, for ``TICKET_S`` seconds."""
    until = f"{int(now) + TICKET_S}.{secrets.token_hex(8)}"
    return f"{until}.{_signature(secret, until)}"


def check_ticket(secret: bytes, ticket: str, now: float) -> bool:
    """True for a ticket that was made with ``secret`` and has not ended."""
    until, _, signature = ticket.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(secret, until).encode()):
        return False
    return now <= int(until.partition(".")[0])


def _signature(secret: bytes, until: str) -> str:
    return hmac.digest(secret, b"compat.manager.status " + until.encode(), "sha256").hex()
