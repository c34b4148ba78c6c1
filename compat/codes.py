"""The codes with which websockets are closed: those of RFC 6455 and of its registry, and our own."""

from __future__ import annotations

__all__ = [
    "ABNORMAL",
    "COMES_BACK",
    "GOING_AWAY",
    "INTERNAL_ERROR",
    "MALFORMED",
    "NORMAL",
    "NOT_THERE",
    "NO_STATUS",
    "NO_SUCH_TOPIC",
    "OF_A_PAGE",
    "POLICY_VIOLATION",
    "SERVICE_RESTART",
    "TAKEN_OVER",
    "TOO_BIG",
    "TRY_AGAIN_LATER",
    "UNAUTHENTICATED",
    "may_be_sent",
]

NORMAL, GOING_AWAY = 1000, 1001
NO_STATUS, ABNORMAL = 1005, 1006
"""The close had no code; there was no close. Nobody can send these."""
POLICY_VIOLATION, TOO_BIG, INTERNAL_ERROR = 1008, 1009, 1011
SERVICE_RESTART, TRY_AGAIN_LATER = 1012, 1013
COMES_BACK = frozenset((SERVICE_RESTART, TRY_AGAIN_LATER))
"""What a server says to a client that is to come back."""

OF_A_PAGE = range(3000, 5000)
"""Codes that an application, or a page, chooses for itself."""
MALFORMED, NOT_THERE, TAKEN_OVER = 4400, 4410, 4409
"""Of connections that may come back: a control frame is no such frame, the connection is gone, and it is on
another link.
"""
UNAUTHENTICATED, NO_SUCH_TOPIC = 4401, 4404
"""Of typed consumers."""

SENDABLE = (range(1000, 1004), range(1007, 1015), OF_A_PAGE)
"""What a close frame may have."""


def may_be_sent(code: object) -> bool:
    """Return True for a code that a close frame may have."""
    return isinstance(code, int) and any(code in codes for codes in SENDABLE)
