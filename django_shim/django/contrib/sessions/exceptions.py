"""What goes wrong with sessions."""

from __future__ import annotations

from ...core.exceptions import BadRequest, SuspiciousOperation

__all__ = ["InvalidSessionKey", "SessionInterrupted", "SuspiciousSession"]


class InvalidSessionKey(SuspiciousOperation):
    """A key with characters that no key has."""


class SuspiciousSession(SuspiciousOperation):
    """A session that has been tampered with."""


class SessionInterrupted(BadRequest):
    """The session was deleted while its request was being answered."""
