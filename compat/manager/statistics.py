"""The counters of a manager, and log lines about lost frames."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from compat.clock import steady
from compat.metrics import Throttle

if TYPE_CHECKING:
    from compat.manager.connections.state import Connection

__all__ = ["Statistics"]

log = logging.getLogger("compat.manager")


class Statistics:
    """The counters of one manager in this process, which only grow."""

    __slots__ = (
        "_began",
        "_throttle",
        "bytes_received",
        "bytes_sent",
        "connected",
        "disconnected",
        "dropped",
        "errors",
        "frames_received",
        "frames_sent",
        "refused",
        "sends",
        "started_at",
        "timed_out",
    )

    def __init__(self) -> None:
        self.started_at = time.time()
        self._began = steady()
        self.connected = 0
        """Connections that were accepted."""
        self.disconnected = 0
        self.refused = 0
        """Connections that were refused: over a limit, or while the backend could not be reached."""
        self.timed_out = 0
        """Connections that were closed because their client was silent for too long."""
        self.sends = 0
        """Calls that sent a message to a connection, a user, a group or everybody."""
        self.frames_sent = 0
        self.bytes_sent = 0
        self.frames_received = 0
        self.bytes_received = 0
        self.errors = 0
        """Errors that were sent to clients."""
        self.dropped: dict[str, int] = {}
        """Frames that did not reach a client, by reason: "slow client", "gone", "unencodable"."""
        self._throttle = Throttle()

    def count_call(self) -> None:
        """Count a call that sends a message."""
        self.sends += 1

    def count_sent(self, size: int) -> None:
        """Count a frame to a client, of ``size`` bytes."""
        self.frames_sent += 1
        self.bytes_sent += size

    def count_received(self, size: int) -> None:
        """Count a frame from a client, of ``size`` bytes."""
        self.frames_received += 1
        self.bytes_received += size

    def count_connected(self) -> None:
        """Count a connection that was accepted."""
        self.connected += 1

    def count_disconnected(self) -> None:
        """Count a connection that has ended."""
        self.disconnected += 1

    def count_refused(self) -> None:
        """Count a connection that was refused."""
        self.refused += 1

    def count_timed_out(self, count: int) -> None:
        """Count connections that are closed because their client was silent for too long."""
        self.timed_out += count

    def count_error(self) -> None:
        """Count an error that is sent to a client."""
        self.errors += 1

    def lose(self, reason: str, count: int = 1) -> None:
        """Count frames that were lost for ``reason``."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def drop(self, connection: Connection, waiting: int) -> None:
        """Count a frame that a slow client lost; log the first for each client, then one line a minute.

        ``waiting`` is the number of frames that wait for the client.
        """
        self.lose("slow client")
        due = self._throttle.due(connection.channel_name)
        if due:
            log.warning(
                "connection %s reads too slowly: %d frames wait for it, and it has lost %d; see "
                "outbox_frames, outbox_bytes and on_overflow of ConnectionManager",
                connection.channel_name,
                waiting,
                due,
            )

    def report_unencodable(self, where: str, error: Exception) -> None:
        """Count a message that could not be encoded; log the first of its kind, then one line a minute."""
        self.lose("unencodable")
        if self._throttle.due((where, type(error))):
            log.error("a message for %s cannot be sent to clients: %s", where, error)

    def report_failed(self, where: str, error: BaseException) -> None:
        """Log an error of a task that no caller awaits: the first of its kind, then one line a minute."""
        if self._throttle.due((where, type(error))):
            log.error("%s failed: %s: %s", where, type(error).__name__, error)

    def as_dict(self) -> dict[str, Any]:
        """Return the counters as plain values, and ``uptime`` in seconds."""
        names = [name for name in self.__slots__ if not name.startswith("_")]
        counters = {name: getattr(self, name) for name in names}
        return {**counters, "dropped": dict(self.dropped), "uptime": steady() - self._began}
