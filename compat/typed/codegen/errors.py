"""The errors of a client.

This module is copied into every generated client.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ClientError", "ConnectionLost", "MessageRefused", "UnknownMessage"]


class ClientError(Exception):
    """Base class of the errors of a client."""


class ConnectionLost(ClientError):
    """The connection is closed.

    ``code`` and ``reason`` are those of the close frame; 1006 without one.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        because = f" ({reason})" if reason else ""
        super().__init__(f"the connection is closed with {code}{because}")
        self.code = code
        self.reason = reason


class MessageRefused(ClientError):
    """The server answered a request with an error, whose payload is ``payload``."""

    def __init__(self, payload: Any) -> None:
        super().__init__(f"the server answered with an error: {payload}")
        self.payload = payload


class UnknownMessage(ClientError):
    """The server sent a message that its document does not declare."""
