"""The base of session stores: compat's."""

from __future__ import annotations

from compat.session_base import SessionBase, UpdateError

__all__ = ["CreateError", "SessionBase", "UpdateError"]


class CreateError(Exception):
    """The key of a new session is taken."""
