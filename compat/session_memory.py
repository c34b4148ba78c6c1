"""``compat.sessions.memory`` under a name for ``SESSION_ENGINE``."""

from __future__ import annotations

from compat.sessions.memory import DefaultSession, MemorySession, SessionStore, new_session_key

__all__ = ["DefaultSession", "MemorySession", "SessionStore", "new_session_key"]
