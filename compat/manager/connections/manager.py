"""``ConnectionManager``: one object that any code can ask to send to a user, a group or everybody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from compat.codes import GOING_AWAY
from compat.engine.events import Overflow
from compat.manager import current
from compat.manager.backends.base import BaseBackend
from compat.manager.config import WSConfig
from compat.manager.connections import roster  # noqa: F401 - it tells compat.live of them
from compat.manager.connections.blocking import Blocking
from compat.manager.connections.origin import OriginCheck
from compat.manager.connections.outbox import Limits
from compat.manager.connections.periodic import PeriodicTasks
from compat.manager.exceptions import BackendError
from compat.manager.serializers.base import BaseSerializer
from compat.manager.serializers.json_serializer import JSONSerializer
from compat.manager.utils.batching import run_with_concurrency_limit
from compat.metrics import starting

__all__ = ["ConnectionManager"]

log = logging.getLogger("compat.manager")

CLOSING_AT_ONCE = 200
OUTBOX_FRAMES = 1000
OUTBOX_BYTES = 16 * 1024 * 1024


class ConnectionManager(Blocking):
    """Sends to the connections of this server, and of every server that shares its backend.

    ``get_manager()`` returns the first manager that was made; making another one with the same configuration
    returns the same object. It does not connect before ``start_tasks()`` or the first use.

    ``layer``: a channel layer or its alias; by default the layer "default"
    (``compat.manager.backends.choose``). ``backend``: a custom backend. ``serializer``: the format of frames
    to clients; JSON by default. ``outbox_frames``, ``outbox_bytes``: how much may wait for a slow client;
    ``on_overflow``: what happens beyond that: "drop" the newest, "drop_oldest", or "close" the client (1013).
    ``allowed_origins``: the pages that may connect, in the forms of ``OriginValidator``; None: those of the
    setting ALLOWED_HOSTS, or all. ``statistics_every``: seconds between two log lines if LOG_STATS is set.
    """

    def __new__(cls, ws_config: WSConfig | None = None, **options: Any) -> ConnectionManager:
        made = current.current()
        if made is not None and type(made) is cls and not options:
            if ws_config is None or ws_config.same_as(made.config):
                return made
        return super().__new__(cls)

    def __init__(
        self,
        ws_config: WSConfig | None = None,
        *,
        layer: Any = None,
        backend: BaseBackend | None = None,
        serializer: BaseSerializer | None = None,
        outbox_frames: int = OUTBOX_FRAMES,
        outbox_bytes: int = OUTBOX_BYTES,
        on_overflow: Overflow = "drop",
        allowed_origins: Sequence[str] | None = None,
        statistics_every: float = 60.0,
    ) -> None:
        if "config" in self.__dict__:  # the same object again
            return
        serializer = serializer or JSONSerializer()
        if not serializer.for_clients:
            raise ValueError(
                f"serializer={type(serializer).__name__}: clients are never sent this; use "
                "JSONSerializer, ORJSONSerializer or MsgpackSerializer"
            )
        if on_overflow not in ("drop", "drop_oldest", "close"):
            raise ValueError(f"on_overflow={on_overflow!r}: expected 'drop', 'drop_oldest' or 'close'")
        config = ws_config or WSConfig()
        limits = Limits(outbox_frames, max(outbox_bytes, config.WS_MAX_MESSAGE_SIZE), on_overflow)
        super().__init__(config, serializer, layer, backend, limits, OriginCheck(allowed_origins))
        self._periodic = PeriodicTasks(self, statistics_every)
        self._running = False
        log.setLevel(config.LOG_LEVEL)
        if current.current() is None:
            current.set_manager(self)

    # Its configuration

    @property
    def server_instance_id(self) -> str:
        """This server's name: ``SERVER_INSTANCE_ID``, or a random one."""
        return self.backend.server_id if self._backend is not None else self.config.SERVER_INSTANCE_ID

    @property
    def max_connections_per_client(self) -> int:
        """``config.MAX_CONNECTIONS_PER_CLIENT``, by its name in fastapi-channels, as are the next three."""
        return self.config.MAX_CONNECTIONS_PER_CLIENT

    @property
    def heartbeat_interval(self) -> int | float:
        """``config.WS_HEARTBEAT_INTERVAL``."""
        return self.config.WS_HEARTBEAT_INTERVAL

    @property
    def enable_heartbeat(self) -> bool:
        """``config.WS_ENABLE_HEARTBEAT``."""
        return self.config.WS_ENABLE_HEARTBEAT

    @property
    def log_stats(self) -> bool:
        """``config.LOG_STATS``."""
        return self.config.LOG_STATS

    # For a lifespan

    async def start_tasks(self) -> None:
        """Connect to the backend, clean up after dead servers, and start heartbeats and statistics.

        Raises BackendError if Redis cannot be reached in WS_RECONNECT_MAX_ATTEMPTS attempts. A second call
        does nothing while the tasks run. A clean-up that takes too long is given up.
        """
        loop = asyncio.get_running_loop()
        if self._running and self._home is loop:
            return
        await self._reach_backend()
        starting()
        self._settle(loop)
        self._running = True
        try:
            await self._clean_up()
        except BaseException:
            self._running = False
            raise
        self._periodic.start()

    async def _clean_up(self) -> None:
        try:
            stale = await self.backend.cleanup_stale_connections(self.server_instance_id)
            orphans = await self.backend.cleanup_orphaned_group_members()
        except asyncio.TimeoutError:
            log.warning("the clean-up after servers that have died takes long, and is given up for now")
            return
        if any((*stale.values(), *orphans.values())):
            log.info("cleaned up after servers that have died: %s", {**stale, **orphans})

    async def _reach_backend(self) -> None:
        config, registry = self.config, self.registry
        attempts = config.WS_RECONNECT_MAX_ATTEMPTS
        for attempt in range(1, attempts + 1):
            try:
                await registry.backend.open()
                return
            except BackendError as error:
                if attempt == attempts:
                    raise BackendError(
                        f"{error} (tried {attempts} times, {config.WS_RECONNECT_DELAY:g} s apart: "
                        "WS_RECONNECT_MAX_ATTEMPTS, WS_RECONNECT_DELAY)",
                        cause=error,
                    ) from error
                log.warning("attempt %d of %d: %s", attempt, attempts, error)
            await asyncio.sleep(config.WS_RECONNECT_DELAY)

    async def stop_tasks(self, timeout: float = 10.0) -> None:
        """Stop the heartbeats, close every connection of this loop with 1001, and leave the registry.

        This takes ``timeout`` seconds at most; unfinished work is abandoned then. The manager can be started
        again.
        """
        self._running = False
        await self._periodic.stop()
        try:
            await asyncio.wait_for(self._close_all(), timeout)
        except asyncio.TimeoutError:
            left = self._endings.cancel()
            log.warning("stop_tasks: %d connections did not close in %g s", left, timeout)
        if self._home is asyncio.get_running_loop():
            self._home = None

    async def _close_all(self) -> None:
        loop = asyncio.get_running_loop()
        mine = [one for one in self.registry.get_all() if one.loop in (loop, None)]
        await run_with_concurrency_limit((self.disconnect(one, GOING_AWAY) for one in mine), CLOSING_AT_ONCE)
        held = [task for task in self._held if task.get_loop() is loop]
        if held:
            await asyncio.wait(held)
        switchboard = self._switchboards.drop(loop)
        if switchboard is not None:
            await switchboard.aclose()
        if not self.registry.connections:
            await self._leave_backend()

    async def _leave_backend(self) -> None:
        try:
            await self.backend.cleanup()
        except BackendError as error:
            log.warning("the backend could not be told that this server stops: %s", error)
