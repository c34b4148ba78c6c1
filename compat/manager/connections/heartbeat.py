"""``HeartbeatMonitor``: the times of a connection's last ping and last pong."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from compat.clock import steady

__all__ = ["HeartbeatMonitor"]


@dataclass(slots=True)
class HeartbeatMonitor:
    """Pings and pongs of one connection; times are in seconds of the wall clock."""

    interval: float = 30
    timeout: float = 60
    last_ping: float = field(default_factory=time.time)
    last_pong: float = field(default_factory=time.time)
    missed_pings: int = 0
    """Pings since the last pong."""
    latency: float | None = None
    """Seconds from the last answered ping to its pong; None before the first."""
    _unanswered: int = field(default=0, init=False, repr=False, compare=False)
    # The same points in time, by a clock that does not jump.
    _pinged: float = field(default_factory=steady, init=False, repr=False, compare=False)
    _answered: float = field(default_factory=steady, init=False, repr=False, compare=False)

    def allow(self, seconds: float) -> None:
        """Set ``timeout``: how long the client may be silent."""
        self.timeout = seconds

    def should_ping(self) -> bool:
        """Return True if ``interval`` seconds have passed since the last ping."""
        return steady() - self._pinged >= self.interval

    def record_ping(self) -> None:
        """Record that a ping has been sent."""
        self.last_ping, self._pinged = time.time(), steady()
        self.missed_pings += 1
        self._unanswered += 1

    def record_pong(self) -> bool:
        """Record that a pong has come; return True if a ping was sent that no other pong has answered."""
        self.last_pong, self._answered = time.time(), steady()
        if self.missed_pings:
            self.latency = self._answered - self._pinged
        self.missed_pings = 0
        asked = self._unanswered > 0
        if asked:
            self._unanswered -= 1
        return asked

    def is_alive(self) -> bool:
        """Return True while the last pong is younger than ``timeout`` seconds."""
        return steady() - self._answered < self.timeout
