"""``compat.sessions.layer`` under a name for ``SESSION_ENGINE``."""

from __future__ import annotations

from compat.sessions.layer import LayerSession, SessionStore

__all__ = ["LayerSession", "SessionStore"]
