"""Blocking database code from async code, and connections that are given back between messages.

The names are those of ``channels.db``. Without a framework that has registered its database (see
``compat.integration``) nothing is ever closed and no thread is entered for it; with one, a consumer enters a
thread only when a connection is open there that is due. (Upstream enters one before every message, which is
most of the time that it spends.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync, sync_to_async

from compat import integration

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
"""True inside an application under test: closing would end the transaction that the test runs in.

What is in none is closed as ever, or a database of the test's own could not be dropped in the end.
"""


def close_old_connections(**kwargs: Any) -> None:
    """Close the current thread's connections that are broken or have outlived their time.

    Takes and ignores keywords, so that it can be connected to a signal, as Django's own is.
    Everything in compat looks it up in this module when it calls it, so that replacing it (as
    ``mock.patch("channels.db.close_old_connections")`` does) replaces it everywhere.
    """
    database = integration.database()
    if database is not None:
        database.close(sparing=sparing_transactions.get())


_shipped = close_old_connections


def watched() -> bool:
    """True when ``connections_due()`` is worth asking at all: there is a database, or a test looks."""
    return close_old_connections is not _shipped or integration.database() is not None


def connections_due() -> bool:
    """True when ``aclose_old_connections()`` has something to do; cheap, for the event loop."""
    if close_old_connections is not _shipped:
        return True  # replaced, by a test that wants to see the call
    database = integration.database()
    return database is not None and database.stale(sparing=sparing_transactions.get())


async def aclose_old_connections() -> None:
    """``close_old_connections()`` in the thread that runs thread-sensitive code, if a connection is due."""
    if connections_due():
        await sync_to_async(_close_where_hops_lead)()


def _close_where_hops_lead() -> None:
    close_old_connections()
    database = integration.database()
    if database is not None:
        database.reached()


class DatabaseSyncToAsync(SyncToAsync[P, R]):
    """``asgiref.sync.SyncToAsync`` that closes old connections in the worker thread, before and after a call.

    Decorates functions and methods, or wraps at the call: ``await database_sync_to_async(fn)(*args)``. With
    ``thread_sensitive=False`` it runs on a pool of threads instead of asgiref's one thread.
    """

    def __init__(
        self,
        func: Callable[P, R],
        thread_sensitive: bool = True,
        executor: ThreadPoolExecutor | None = None,
        **options: Any,
    ) -> None:
        super().__init__(func, thread_sensitive, executor, **options)

        # Around the function and not in thread_handler(), which runs outside of the caller's context.
        @functools.wraps(func)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            close_old_connections()
            try:
                return func(*args, **kwargs)
            finally:
                close_old_connections()

        self.func = run

    if TYPE_CHECKING:
        # asgiref's own type leaves self among the parameters of a decorated method.
        def __get__(  # pyright: ignore[reportIncompatibleMethodOverride]
            self: DatabaseSyncToAsync[Concatenate[Any, Q], R], parent: Any, objtype: Any = None
        ) -> Callable[Q, Coroutine[Any, Any, R]]: ...


database_sync_to_async = DatabaseSyncToAsync
