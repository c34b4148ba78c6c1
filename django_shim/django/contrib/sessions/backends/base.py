"""The base of session stores: compat's."""

from __future__ import annotations

import compat.sessions  # noqa: F401 - before its modules, or threads that import them wait for each other
from compat.sessions.base import SessionBase, UpdateError

__all__ = ["CreateError", "SessionBase", "UpdateError"]


class CreateError(Exception):
    """The key of a new session is taken."""
