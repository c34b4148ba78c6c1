"""The periodic work of a manager: heartbeats, and a log line of statistics."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from compat.codes import INTERNAL_ERROR
from compat.engine.contracts import RESUMABLE_KEY, Resumed
from compat.manager.connections.state import Connection
from compat.manager.frames import Frame, frame_of
from compat.manager.typed import ConnectionState
from compat.manager.utils.batching import run_with_concurrency_limit

if TYPE_CHECKING:
    from compat.manager.connections.manager import ConnectionManager

__all__ = ["PeriodicTasks"]

log = logging.getLogger("compat.manager")

BATCH = 500
"""How many connections are checked before the event loop has a turn."""
CLOSING_AT_ONCE = 100


class PeriodicTasks:
    """The two periodic tasks of one manager, which run from ``start`` to ``stop``."""

    def __init__(self, manager: ConnectionManager, statistics_every_s: float) -> None:
        self.manager = manager
        self.statistics_every_s = statistics_every_s
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the tasks that the configuration enables."""
        config = self.manager.config
        loop = asyncio.get_running_loop()
        if config.WS_ENABLE_HEARTBEAT:
            self._tasks.append(loop.create_task(self._beat(), name="compat-manager-heartbeat"))
        if config.LOG_STATS:
            self._tasks.append(loop.create_task(self._report(), name="compat-manager-statistics"))

    async def stop(self) -> None:
        """Stop both tasks."""
        tasks, self._tasks = self._tasks, []
        here = [task for task in tasks if task.get_loop() is asyncio.get_running_loop()]
        for task in here:
            task.cancel()
        if here:
            await asyncio.wait(here)

    async def _beat(self) -> None:
        config = self.manager.config
        interval_s, timeout_s = config.WS_HEARTBEAT_INTERVAL, config.WS_HEARTBEAT_TIMEOUT
        # Check at least twice within the timeout, so that a silent connection ends soon after it.
        look_s = min(interval_s, timeout_s / 2)
        next_ping = time.monotonic() + interval_s
        while True:
            due = time.monotonic() + look_s
            await asyncio.sleep(look_s)
            # After a standstill nobody is known to have been silent: no ping was sent, or no answer read.
            late = time.monotonic() - due > min(look_s, 1.0)
            ping = late or time.monotonic() >= next_ping - 0.001
            if ping:
                next_ping = time.monotonic() + interval_s
            try:
                await self.beat(ping, close=not late)
            except Exception:
                log.exception("a heartbeat failed; the next comes in its time")

    async def beat(self, ping: bool = True, *, close: bool = True) -> None:
        """Close the connections that were silent for too long and, if ``ping``, send a ping to the others.

        If not ``close``, they are among the others.
        """
        frame = self._ping()
        silent: list[Connection] = []
        async for batch in self.manager.registry.iter_connections(BATCH):
            for connection in batch:
                if connection.state is not ConnectionState.CONNECTED:
                    continue
                if is_away(connection):
                    connection.excuse()
                    continue
                if close and is_silent(connection):
                    silent.append(connection)
                elif ping:
                    connection.heartbeat.record_ping()
                    self.manager.push(connection, frame)
            await asyncio.sleep(0)
        if silent:
            self.manager.statistics.count_timed_out(len(silent))
            log.info("closing %d connections that have been silent for too long", len(silent))
            endings = (self.manager.disconnect(connection, INTERNAL_ERROR) for connection in silent)
            await run_with_concurrency_limit(endings, CLOSING_AT_ONCE)

    def _ping(self) -> Frame:
        return frame_of({"type": "ping", "timestamp": time.time()}, self.manager.serializer)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(self.statistics_every_s)
            log.info("%s", self.line())

    def line(self) -> str:
        """Return the statistics of this server in one line."""
        manager, counters = self.manager, self.manager.statistics
        connections = manager.registry.get_all()
        numbers = {
            "server": manager.server_instance_id,
            "connections": len(connections),
            "users": len({one.user_id for one in connections if one.user_id}),
            "groups": len({group for one in connections for group in one.groups}),
            "sends": counters.sends,
            "frames_sent": counters.frames_sent,
            "frames_received": counters.frames_received,
            "bytes": counters.bytes_sent + counters.bytes_received,
            "dropped": sum(counters.dropped.values()),
            "refused": counters.refused,
            "timed_out": counters.timed_out,
        }
        return "statistics: " + " ".join(f"{name}={value}" for name, value in numbers.items())


def is_away(connection: Connection) -> bool:
    """Return True while a client has no socket, and may come back (``compat.resume``)."""
    resumed: Resumed | None = connection.websocket.scope.get(RESUMABLE_KEY)
    return resumed is not None and resumed.parked


def is_silent(connection: Connection) -> bool:
    """Return True if a client has been silent for too long while its endpoint was reading.

    While the endpoint does not read, an answer of the client may be waiting.
    """
    return connection.reading and connection.silence >= connection.heartbeat_timeout
