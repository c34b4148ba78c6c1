"""Scores of messages: what their order in a queue is by."""

from __future__ import annotations

import threading

__all__ = ["RisingClock", "scores"]


class RisingClock:
    """Wall clock times that never repeat within the process: messages of equal score would change places."""

    def __init__(self) -> None:
        self._last = 0.0
        self._lock = threading.Lock()

    def next(self, now: float) -> float:
        """``now``, or a little later than what was returned last."""
        with self._lock:
            self._last = now if now > self._last else self._last + 1e-6
            return self._last


scores = RisingClock()
