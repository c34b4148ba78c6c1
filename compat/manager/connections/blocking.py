"""The manager's blocking methods, for code without an event loop: SQLAlchemy events, Celery, scripts."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from compat.layers.history import History
from compat.layers.presence import Presence
from compat.manager.connections.lifecycle import Lifecycle
from compat.manager.connections.lookups import Lookups
from compat.manager.connections.sending import Sendable
from compat.manager.connections.state import Connection
from compat.redis.loops import background
from compat.redis.native import result_on

__all__ = ["Blocking"]

T = TypeVar("T")


class Blocking(Lifecycle, Lookups):
    """The ``…_sync`` forms of the most common methods; each one blocks until it is done.

    They run on the server's event loop if this process has one, else on a background loop that keeps its
    connection to Redis. In a thread that runs an event loop they raise RuntimeError: ``await`` the method
    there, or use ``submit``, which works everywhere and does not wait.
    """

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start ``work``, such as ``manager.broadcast({…})``, from any thread, with or without an event loop.

        Returns a future for the result, which need not be awaited; an error is also logged.
        """
        future = asyncio.run_coroutine_threadsafe(work, self.home or background.loop)
        future.add_done_callback(self._report_failure)
        return future

    def _report_failure(self, future: concurrent.futures.Future[Any]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self.statistics.report_failed("submit()", error)

    def send_personal_sync(self, connection_id: Connection | str, message: Sendable) -> bool:
        """Call ``send_personal``, and block."""
        return self._wait(lambda: self.send_personal(connection_id, message), "send_personal")

    send_sync = send_personal_sync

    def send_group_sync(self, group: str, message: Sendable) -> None:
        """Call ``send_group``, and block."""
        self._wait(lambda: self.send_group(group, message), "send_to_group")

    send_to_group_sync = send_group_sync

    def send_group_except_sync(
        self,
        group: str,
        message: Sendable,
        exclude_connection_id: Connection | str | Iterable[Connection | str],
    ) -> None:
        """Call ``send_group_except``, and block."""
        self._wait(lambda: self.send_group_except(group, message, exclude_connection_id), "send_group_except")

    def send_to_user_sync(self, user_id: str, message: Sendable) -> int:
        """Call ``send_to_user``, and block."""
        return self._wait(lambda: self.send_to_user(user_id, message), "send_to_user")

    def broadcast_sync(self, message: Sendable) -> None:
        """Call ``broadcast``, and block."""
        self._wait(lambda: self.broadcast(message), "broadcast")

    def join_group_sync(self, connection_id: Connection | str, group: str) -> None:
        """Call ``join_group``, and block."""
        self._wait(lambda: self.join_group(connection_id, group), "join_group")

    def leave_group_sync(self, connection_id: Connection | str, group: str) -> None:
        """Call ``leave_group``, and block."""
        self._wait(lambda: self.leave_group(connection_id, group), "leave_group")

    def disconnect_sync(self, connection_id: Connection | str, code: int = 1000) -> None:
        """Call ``disconnect``, and block."""
        self._wait(lambda: self.disconnect(connection_id, code), "disconnect")

    def get_user_connections_sync(self, user_id: str) -> list[Connection]:
        """Call ``get_user_connections``, and block."""
        return self._wait(lambda: self.get_user_connections(user_id), "get_user_connections")

    def count_connections_sync(self) -> int:
        """Call ``count_connections``, and block."""
        return self._wait(self.count_connections, "count_connections")

    def history_sync(self, group: str, count: int | None = None, *, since: str | None = None) -> History:
        """Call ``history``, and block."""
        return self._wait(lambda: self.history(group, count, since=since), "history")

    def presence_sync(self, group: str) -> Presence:
        """Call ``presence``, and block."""
        return self._wait(lambda: self.presence(group), "presence")

    def _wait(self, make: Callable[[], Coroutine[Any, Any, T]], method: str) -> T:
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                f"{method}_sync() blocks, and an event loop is running in this thread; write: "
                f"await manager.{method}(…), or manager.submit(manager.{method}(…)) where you cannot"
            )
        return result_on(self.home or background.loop, make())
