"""Sessions in the memory of one process, for development, tests, and servers with a single process."""

from __future__ import annotations

import copy
import logging
import secrets
import string
import threading
import time
from typing import ClassVar

from compat.sessions.base import Data, SessionBase, UpdateError

__all__ = ["DefaultSession", "MemorySession", "SessionStore", "new_session_key"]

log = logging.getLogger("compat.sessions")

KEY_ALPHABET = string.ascii_lowercase + string.digits
KEY_LENGTH = 32


def new_session_key() -> str:
    """Return a random key of 165 bits."""
    return "".join(secrets.choice(KEY_ALPHABET) for _ in range(KEY_LENGTH))


class MemorySession(SessionBase):
    """A session in the memory of this process, shared by its threads, lost when it ends."""

    clock = staticmethod(time.monotonic)
    sweep_interval_s = 60.0
    _next_sweep: ClassVar[float] = 0.0
    _kept: ClassVar[dict[str, tuple[float, Data]]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def read(self, key: str) -> Data | None:
        with self._lock:
            expires_at, data = self._kept.get(key, (0.0, {}))
            return copy.deepcopy(data) if expires_at > self.clock() else None

    def write(self, key: str | None, data: Data, lifetime_s: int) -> str:
        kept = copy.deepcopy(data)
        now = self.clock()
        with self._lock:
            self._sweep(now)
            if key is None:
                key = new_session_key()
            elif key not in self._kept or self._kept[key][0] <= now:
                raise UpdateError(f"the session is no longer in the store of {type(self).__name__}")
            self._kept[key] = (now + lifetime_s, kept)
        return key

    def remove(self, key: str) -> None:
        with self._lock:
            self._kept.pop(key, None)

    @classmethod
    def _sweep(cls, now: float) -> None:
        """Delete expired sessions, at intervals: a sweep at every write would take quadratic time."""
        if now < cls._next_sweep:
            return
        cls._next_sweep = now + cls.sweep_interval_s
        for key in [key for key, (expires_at, _) in cls._kept.items() if expires_at <= now]:
            del cls._kept[key]


class DefaultSession(MemorySession):
    """A session in memory because no engine is configured: the first save logs a warning."""

    _told: ClassVar[bool] = False

    def write(self, key: str | None, data: Data, lifetime_s: int) -> str:
        if not DefaultSession._told:
            DefaultSession._told = True
            log.warning(
                "sessions are stored in the memory of this process: other processes have no access to them, "
                "and a restart deletes them. Set SESSION_ENGINE to a module that stores them elsewhere, or "
                "to 'compat.session_memory' to keep them in memory without this warning."
            )
        return super().write(key, data, lifetime_s)


SessionStore = MemorySession
"""The class that ``SESSION_ENGINE = "compat.session_memory"`` selects."""
