"""The manager for code without an event loop: SQLAlchemy events, Celery tasks, threads, scripts."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from compat.manager.connections.lookups import Lookups
from compat.manager.connections.sending import Sendable, Sending
from compat.manager.connections.state import Connection
from compat.redis.loops import background

__all__ = ["Blocking"]

T = TypeVar("T")


class Blocking(Sending, Lookups):
    """``…_sync`` of what is sent and asked most; each blocks until it is done.

    They run on the server's event loop where there is one in this process, else on one in a thread that lives
    as long as the process and keeps its connection to Redis. In a thread whose own event loop runs they raise
    RuntimeError: ``await`` the method, or use ``submit``, which works everywhere and does not wait.
    """

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Begin ``work``, such as ``manager.broadcast({…})``, from any thread, in a loop or not.

        Nobody need wait for the future that is returned; if nobody does, an error is logged.
        """
        future = asyncio.run_coroutine_threadsafe(work, self.home or background.loop)
        future.add_done_callback(self._report_failure)
        return future

    def _report_failure(self, future: concurrent.futures.Future[Any]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self.statistics.report_failed("submit()", error)

    def send_personal_sync(self, connection: Connection | str, message: Sendable) -> bool:
        """``send_personal``, blocking."""
        return self._wait(lambda: self.send_personal(connection, message), "send_personal")

    send_sync = send_personal_sync

    def send_group_sync(self, group: str, message: Sendable) -> None:
        """``send_group``, blocking."""
        self._wait(lambda: self.send_group(group, message), "send_to_group")

    send_to_group_sync = send_group_sync

    def send_group_except_sync(
        self,
        group: str,
        message: Sendable,
        exclude_connection_id: Connection | str | Iterable[Connection | str],
    ) -> None:
        """``send_group_except``, blocking."""
        self._wait(lambda: self.send_group_except(group, message, exclude_connection_id), "send_group_except")

    def send_to_user_sync(self, user_id: str, message: Sendable) -> int:
        """``send_to_user``, blocking."""
        return self._wait(lambda: self.send_to_user(user_id, message), "send_to_user")

    def broadcast_sync(self, message: Sendable) -> None:
        """``broadcast``, blocking."""
        self._wait(lambda: self.broadcast(message), "broadcast")

    def join_group_sync(self, connection: Connection | str, group: str) -> None:
        """``join_group``, blocking."""
        self._wait(lambda: self.join_group(connection, group), "join_group")

    def leave_group_sync(self, connection: Connection | str, group: str) -> None:
        """``leave_group``, blocking."""
        self._wait(lambda: self.leave_group(connection, group), "leave_group")

    def disconnect_sync(self, connection: Connection | str, code: int = 1000) -> None:
        """``disconnect``, blocking."""
        self._wait(lambda: self.disconnect(connection, code), "disconnect")

    def get_user_connections_sync(self, user_id: str) -> list[Connection]:
        """``get_user_connections``, blocking."""
        return self._wait(lambda: self.get_user_connections(user_id), "get_user_connections")

    def count_connections_sync(self) -> int:
        """``count_connections``, blocking."""
        return self._wait(self.count_connections, "count_connections")

    def _wait(self, make: Callable[[], Coroutine[Any, Any, T]], method: str) -> T:
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                f"{method}_sync() blocks, and an event loop is running in this thread; write: "
                f"await manager.{method}(…), or manager.submit(manager.{method}(…)) where you cannot"
            )
        return asyncio.run_coroutine_threadsafe(make(), self.home or background.loop).result()

    # What ``ConnectionManager`` has

    async def join_group(self, connection: Connection | str, group: str) -> None:
        raise NotImplementedError

    async def leave_group(self, connection: Connection | str, group: str) -> None:
        raise NotImplementedError

    async def disconnect(self, connection: Connection | str, code: int = 1000) -> None:
        raise NotImplementedError
