"""``HeartbeatMonitor``: the times of a connection's last ping and last pong."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

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

    def allow(self, seconds: float) -> None:
        """Set ``timeout``: how long the client may be silent."""
        self.timeout = seconds

    def should_ping(self) -> bool:
        """Return True if ``interval`` seconds have passed since the last ping."""
        return time.time() - self.last_ping >= self.interval

    def record_ping(self) -> None:
        """Record that a ping has been sent."""
        self.last_ping = time.time()
        self.missed_pings += 1

    def record_pong(self) -> None:
        """Record that a pong has come."""
        self.last_pong = time.time()
        if self.missed_pings:
            self.latency = max(0.0, self.last_pong - self.last_ping)
        self.missed_pings = 0

    def is_alive(self) -> bool:
        """Return True while the last pong is younger than ``timeout`` seconds."""
        return time.time() - self.last_pong < self.timeout
