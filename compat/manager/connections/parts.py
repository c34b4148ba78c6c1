"""What all the methods of ``ConnectionManager`` work with: its configuration, backend and registry."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Coroutine
from datetime import datetime, timezone
from typing import Any, TypeVar

from compat.manager.backends.base import BaseBackend
from compat.manager.backends.choose import backend_for
from compat.manager.backends.records import Record
from compat.manager.config import WSConfig
from compat.manager.connections.registry import ConnectionRegistry
from compat.manager.connections.state import Connection
from compat.manager.serializers.base import BaseSerializer
from compat.manager.statistics import Statistics
from compat.manager.typed import ConnectionState
from compat.metrics import LayerMetrics, resumable

__all__ = ["ManagerParts", "connection_of", "id_of", "means"]

T = TypeVar("T")


class ManagerParts:
    """Base of the classes that make up ``ConnectionManager``; ``layer`` and ``backend`` as given to that."""

    def __init__(
        self, config: WSConfig, serializer: BaseSerializer, layer: Any, backend: BaseBackend | None
    ) -> None:
        self.config = config
        self.serializer = serializer
        self.statistics = Statistics()
        self._layer = layer
        self._backend = backend
        self._registry: ConnectionRegistry | None = None
        self._making = threading.Lock()
        self._held: set[asyncio.Task[Any]] = set()
        self._home: asyncio.AbstractEventLoop | None = None
        self._home_pid = 0

    @property
    def backend(self) -> BaseBackend:
        """``MemoryBackend``, ``RedisBackend`` or a custom backend; made at its first use."""
        if self._backend is None:
            with self._making:
                if self._backend is None:
                    self._backend = backend_for(self.config, self._layer)
        return self._backend

    @property
    def registry(self) -> ConnectionRegistry:
        """The connections of this process."""
        if self._registry is None:
            backend = self.backend
            with self._making:
                if self._registry is None:
                    self._registry = self._new_registry(backend)
        return self._registry

    def _new_registry(self, backend: BaseBackend) -> ConnectionRegistry:
        config = self.config
        registry = ConnectionRegistry(
            max_connections=config.MAX_TOTAL_CONNECTIONS,
            heartbeat_timeout=config.WS_HEARTBEAT_TIMEOUT,
            backend=backend,
            max_per_user=config.MAX_CONNECTIONS_PER_CLIENT,
            max_groups=config.MAX_TOTAL_GROUPS,
        )
        backend.tell(registry.local, registry.holds, self.report)
        backend.tell_left(registry.doubts.settle)
        return registry

    def _settle(self, loop: asyncio.AbstractEventLoop) -> None:
        self._home, self._home_pid = loop, os.getpid()

    @property
    def home(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of this manager's server while it runs, else None."""
        home = self._home
        if home is None or self._home_pid != os.getpid():  # in a forked process the loop does not run
            return None
        return home if home.is_running() else None

    def counters(self) -> dict[str, Any]:
        """Return the statistics of this server.

        ``dropped`` includes the losses of its layer, by reason; ``resumable`` is of its process.
        """
        counted = {**self.statistics.as_dict(), "resumable": resumable()}
        metrics = getattr(self.backend.layer, "metrics", None)
        if isinstance(metrics, LayerMetrics):
            lost = {f"layer: {reason}": count for reason, count in metrics.dropped.items()}
            counted["dropped"] = {**counted["dropped"], **lost}
        return counted

    def report(self) -> dict[str, Any]:
        """Return what this server reports to the others: its counters, and its number of groups."""
        return {
            "server_instance_id": self.backend.server_id,
            "at": time.time(),
            "groups": len({group for one in self.registry.get_all() for group in tuple(one.groups)}),
            **self.counters(),
        }

    def local(self, connection: Connection | str) -> Connection | None:
        """Return the connection of this process, given itself or its id; None if it is not connected here.

        A ``Connection`` that has ended is not connected, though another may have its id by now.
        """
        here = self.registry.get(id_of(connection))
        return here if here is not None and means(connection, here) else None

    async def record_of(self, connection: Connection | str) -> Record | None:
        """Return the backend's record of a connection that is not ``local``, or None if it has ended."""
        if not isinstance(connection, Connection):
            return await self.backend.registry_find(id_of(connection))
        if connection.state is ConnectionState.DISCONNECTED:
            return None
        record = await self.backend.registry_find(connection.channel_name)
        if record is None or record.address != connection.address:  # or another has its id by now
            return None
        own = connection.is_local and record.server == self.backend.server
        return None if own else record  # its own is about to be removed

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task that no caller awaits."""
        task = asyncio.get_running_loop().create_task(work)
        self._held.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._held.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.statistics.report_failed("ending a connection", error)

    async def _hold(self, work: Coroutine[Any, Any, Any]) -> None:
        """Finish ``work`` even if the current task is cancelled."""
        await asyncio.shield(self._start(work))

    @staticmethod
    async def on_loop_of(connection: Connection, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the event loop of the connection, and return its result."""
        loop = connection.loop
        if loop is None or loop is asyncio.get_running_loop():
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def id_of(connection: Connection | str) -> str:
    """Return the id of a connection, or the id itself; raise TypeError for anything else."""
    if isinstance(connection, str):
        return connection
    name = getattr(connection, "channel_name", None)
    if not isinstance(name, str):
        raise TypeError(f"a Connection or its id is expected, not {connection!r}")
    return name


def means(given: Connection | str, one: Connection) -> bool:
    """Return True if ``given``, an id or a connection, is ``one``, and not another that has had its id."""
    if not isinstance(given, Connection):
        return id_of(given) == one.channel_name
    return given is one or (not given.is_local and given.address == one.address)


def connection_of(record: Record) -> Connection:
    """Return a connection of another server, with the fields that the registry has."""
    return Connection(
        websocket=None,
        channel_name=record.connection_id,
        user_id=record.user_id,
        connected_at=datetime.fromtimestamp(record.connected_at, timezone.utc),
        metadata={"server_instance_id": record.server_instance_id},
        state=ConnectionState.CONNECTED,
        address=record.address,
    )
