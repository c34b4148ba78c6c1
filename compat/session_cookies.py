"""``compat.sessions.cookies`` under a name for ``SESSION_ENGINE``."""

from __future__ import annotations

from compat.sessions.cookies import CookieSession, SessionStore

__all__ = ["CookieSession", "SessionStore"]
