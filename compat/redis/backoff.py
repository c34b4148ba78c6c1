"""The pauses between attempts to reach a server."""

from __future__ import annotations

import random

__all__ = ["Backoff"]

_random = random.SystemRandom()
"""An own one: an application may seed that of the module, alike in all of its processes."""


class Backoff:
    """Pauses that grow by ``factor``, from ``first_s`` to ``longest_s`` seconds.

    ``jitter`` shortens each pause by up to a half, so that many processes do not reconnect at the same time.
    """

    def __init__(
        self, first_s: float = 0.03, longest_s: float = 1.0, factor: float = 2.0, jitter: bool = True
    ) -> None:
        self.first_s = first_s
        self.longest_s = longest_s
        self.factor = factor
        self.jitter = jitter
        self._next_s = first_s

    def reset(self) -> None:
        """Start again with the first pause, because an attempt has succeeded."""
        self._next_s = self.first_s

    def next_s(self) -> float:
        """Return the length of the next pause in seconds."""
        pause, self._next_s = self._next_s, min(self.factor * self._next_s, self.longest_s)
        return pause * _random.uniform(0.5, 1.0) if self.jitter else pause
