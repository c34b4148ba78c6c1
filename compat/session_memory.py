"""Sessions in the memory of one process: for development, tests, and a server that is a single process."""

from __future__ import annotations

import copy
import logging
import secrets
import string
import threading
import time
from typing import ClassVar

from compat.session_base import Data, SessionBase, UpdateError

__all__ = ["DefaultSession", "MemorySession", "SessionStore", "new_session_key"]

log = logging.getLogger("compat.sessions")

KEY_ALPHABET = string.ascii_lowercase + string.digits
KEY_LENGTH = 32


def new_session_key() -> str:
    """A key that nobody can guess: 165 bits."""
    return "".join(secrets.choice(KEY_ALPHABET) for _ in range(KEY_LENGTH))


class MemorySession(SessionBase):
    """Sessions in this process's memory: gone when it ends, unknown to other processes, shared by threads."""

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
        """Forget what has expired, once in a while: a sweep for every write would be quadratic."""
        if now < cls._next_sweep:
            return
        cls._next_sweep = now + cls.sweep_interval_s
        for key in [key for key, (expires_at, _) in cls._kept.items() if expires_at <= now]:
            del cls._kept[key]


class DefaultSession(MemorySession):
    """Memory because nobody chose otherwise: says so when the first session is saved."""

    _told: ClassVar[bool] = False

    def write(self, key: str | None, data: Data, lifetime_s: int) -> str:
        if not DefaultSession._told:
            DefaultSession._told = True
            log.warning(
                "sessions are kept in the memory of this process: other processes do not see them, and a "
                "restart loses them. Set SESSION_ENGINE to a module that keeps them elsewhere, or to "
                "'compat.session_memory' if that is what you want."
            )
        return super().write(key, data, lifetime_s)


SessionStore = MemorySession
"""What ``SESSION_ENGINE = "compat.session_memory"`` gives."""
