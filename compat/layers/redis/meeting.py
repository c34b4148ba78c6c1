"""What a layer learns when a connection opens: that the host has answered, and whether the clocks differ."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from compat.metrics import LayerMetrics
from compat.redis.hosts import Host
from compat.redis.servers import Server

__all__ = ["Meeting"]

log = logging.getLogger("compat.layers")

CLOCKS_DIFFER_S = 5.0
"""A larger difference of two clocks, in seconds, is logged as a warning."""


class Meeting:
    """Which hosts of a layer have answered this process, on any event loop, at any time."""

    def __init__(self, hosts: Sequence[Host], name: Callable[[], str], metrics: LayerMetrics) -> None:
        self._hosts = hosts
        self._name = name
        self._metrics = metrics
        self._met: set[int] = set()

    @property
    def all_met(self) -> bool:
        return len(self._met) == len(self._hosts)

    def met(self, index: int, server: Server) -> None:
        """Note a connection to a server; log a warning if its clock and ours differ."""
        self._met.add(index)
        if abs(server.ahead_s) < CLOCKS_DIFFER_S or not self._metrics.throttle.due(("clock", index)):
            return
        log.warning(
            "%s: the clock of this machine is %.0f s %s that of Redis at %s. Messages wait in the order of "
            "their senders' clocks, so synchronize the clocks (NTP)",
            self._name(),
            abs(server.ahead_s),
            "ahead of" if server.ahead_s > 0 else "behind",
            self._hosts[index].where,
        )
