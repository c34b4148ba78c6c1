"""Blocking database code in async code, and database connections that are closed between messages.

The names are those of ``channels.db``. Without a framework that registers its database
(``compat.integration``), no connection is closed and no thread is used. With one, a consumer uses a thread
only if it has an open connection that must be closed. (Upstream uses one before every message, which takes
most of its time.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync, sync_to_async

from compat import integration
from compat.forks import renew_in_child

__all__ = [
    "DatabaseSyncToAsync",
    "aclose_old_connections",
    "close_old_connections",
    "connections_due",
    "database_sync_to_async",
    "sparing_transactions",
    "watched",
]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")

sparing_transactions: ContextVar[bool] = ContextVar("compat.db.sparing_transactions", default=False)
"""True in an application under test: closing a connection would end the transaction of the test.

Connections without a transaction are closed as usual; otherwise the test's database could not be deleted.
"""


def close_old_connections(**kwargs: Any) -> None:
    """Close the connections of the current thread that are broken or too old.

    Takes and ignores keywords, like Django's own, so that it can be connected to a signal. compat looks it up
    in this module at every call, so that ``mock.patch("channels.db.close_old_connections")`` works
    everywhere.
    """
    database = integration.database()
    if database is not None:
        database.close(sparing=sparing_transactions.get())


_shipped = close_old_connections


def _replaced() -> bool:
    """Return True if a test has replaced a function that closes connections."""
    return close_old_connections is not _shipped or aclose_old_connections is not _shipped_async


def watched() -> bool:
    """Return True if there is a database, or a test has replaced a function that closes connections."""
    return _replaced() or integration.database() is not None


def connections_due() -> bool:
    """Return True if ``aclose_old_connections()`` would close a connection; it is cheap, for the event
    loop.
    """
    if _replaced():
        return True
    database = integration.database()
    return database is not None and database.stale(sparing=sparing_transactions.get())


async def aclose_old_connections() -> None:
    """Call ``close_old_connections()`` in the thread of thread-sensitive code, if a connection must be
    closed.
    """
    if connections_due():
        await sync_to_async(_close_where_hops_lead)()


_shipped_async = aclose_old_connections


def _close_where_hops_lead() -> None:
    close_old_connections()
    database = integration.database()
    if database is not None:
        database.reached()


class DatabaseSyncToAsync(SyncToAsync[P, R]):
    """An ``asgiref.sync.SyncToAsync`` that closes old connections in the thread before and after a call.

    It decorates functions and methods, or wraps a function: ``await database_sync_to_async(fn)(*args)``. With
    ``thread_sensitive=False`` it uses a pool of threads instead of asgiref's single thread.
    """

    def __init__(
        self,
        func: Callable[P, R],
        thread_sensitive: bool = True,
        executor: ThreadPoolExecutor | None = None,
        **options: Any,
    ) -> None:
        super().__init__(func, thread_sensitive, executor, **options)

        # Not in thread_handler(), which runs outside of the caller's context.
        @functools.wraps(func)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            close_old_connections()
            try:
                return func(*args, **kwargs)
            except StopIteration as error:  # no future takes it, and the caller would wait for ever
                raise RuntimeError("sync code raised StopIteration") from error
            finally:
                close_old_connections()

        self.func = run

    if TYPE_CHECKING:
        # The type of asgiref keeps self among the parameters of a decorated method.
        def __get__(  # pyright: ignore[reportIncompatibleMethodOverride]
            self: DatabaseSyncToAsync[Concatenate[Any, Q], R], parent: Any, objtype: Any = None
        ) -> Callable[Q, Coroutine[Any, Any, R]]: ...


database_sync_to_async = DatabaseSyncToAsync


def _renew_single_thread() -> None:
    """Replace asgiref's executor, whose thread a forked process does not have: its calls would never run."""
    SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)


renew_in_child(_renew_single_thread)
