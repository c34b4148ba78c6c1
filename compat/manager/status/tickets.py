"""Tickets for the live page's websocket: whoever may see the page may open the websocket within a minute.

Browsers cannot add headers to a websocket, and dependencies that need a ``Request`` do not work for one. So
the page gets a ticket by an ordinary request, which the dependency protects. A ticket contains the time of
its expiry, is signed with a secret that all servers of a registry share, and can be used once.
"""

from __future__ import annotations

import hmac
import secrets

__all__ = ["TICKET_S", "check_ticket", "make_ticket"]

TICKET_S = 60
"""Seconds for which a ticket is valid."""


def make_ticket(secret: bytes, now: float) -> str:
    """Return a ticket that is valid for ``TICKET_S`` seconds from ``now``, in seconds of the wall clock."""
    until = f"{int(now) + TICKET_S}.{secrets.token_hex(8)}"
    return f"{until}.{_signature(secret, until)}"


def check_ticket(secret: bytes, ticket: str, now: float) -> bool:
    """Return True for a ticket that was made with ``secret`` and has not expired."""
    until, _, signature = ticket.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(secret, until).encode()):
        return False
    return now <= int(until.partition(".")[0])


def _signature(secret: bytes, until: str) -> str:
    return hmac.digest(secret, b"compat.manager.status " + until.encode(), "sha256").hex()
