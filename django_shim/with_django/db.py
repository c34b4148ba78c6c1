"""Django's database connections: closed between messages, without a thread if none has to be closed.

Channels enters the database thread before every message to call ``django.db.close_old_connections()``. Here
``stale()`` decides on the event loop whether that would close a connection, from the attributes that
``BaseDatabaseWrapper.close_if_unusable_or_obsolete()`` reads. Django's signal ``connection_created`` shows
which connections are open in which thread.

Only a thread itself writes its entry, and the loop reads it, so no locks are needed.
"""

# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from asgiref.sync import SyncToAsync

__all__ = ["DjangoDatabase"]

References = list["weakref.ref[Any]"]


class DjangoDatabase:
    """The ``compat.integration.Database`` of Django; used only while Django is in use and has settings."""

    def __init__(self) -> None:
        self.watching = False
        self._opened: dict[int, References] = {}
        """The connections of each thread that were open at its last check."""
        self._reached: frozenset[int] = frozenset()
        """Threads in which connections are closed; a change replaces the set, because the loop reads it."""

    def stale(self, *, sparing: bool = False) -> bool:
        """Return True if a connection is broken, too old, or must be checked before its next use.

        The first answer is True, because earlier connections and the threads are not known yet.
        """
        if not self._reached:
            return True
        now = 0.0
        for thread in self._reachable():
            for connection in self._open(thread) if self._opened.get(thread) else ():
                now = now or time.monotonic()
                if _is_due(connection, now) and not (sparing and connection.in_atomic_block):
                    return True
        return False

    def close(self, *, sparing: bool = False) -> None:
        """Call ``django.db.close_old_connections()``, unless this thread has no open connection.

        With ``sparing``, close only connections that are not in a transaction.
        """
        self._watch()
        here = threading.get_ident()
        if here in self._opened and next(self._open(here), None) is None:
            return
        from django import db

        if sparing:
            for connection in db.connections.all(initialized_only=True):
                if not connection.in_atomic_block:
                    connection.close_if_unusable_or_obsolete()
        else:
            db.close_old_connections()
        self._look()

    def reached(self) -> None:
        """Note that connections are closed in the current thread."""
        self._reached |= {threading.get_ident()}

    def unwatch(self) -> None:
        """Disconnect from Django's signal, and forget the connections."""
        if not self.watching:
            return
        from django.db.backends.signals import connection_created

        connection_created.disconnect(self._look)
        self.watching = False
        self._opened.clear()
        self._reached = frozenset()

    def _watch(self) -> None:
        if self.watching:
            return
        from django.db.backends.signals import connection_created

        connection_created.connect(self._look, weak=False)
        self.watching = True

    def _look(self, **_signal: Any) -> None:
        """Note the open connections of the current thread."""
        from django import db

        initialized = db.connections.all(initialized_only=True)
        opened = [weakref.ref(connection) for connection in initialized if connection.connection is not None]
        self._opened[threading.get_ident()] = opened

    def _open(self, thread: int) -> Iterator[Any]:
        for reference in self._opened.get(thread, ()):
            connection = reference()
            if connection is not None and connection.connection is not None:
                yield connection

    def _reachable(self) -> Iterable[int]:
        if SyncToAsync.thread_sensitive_context.get(None) is not None:
            return tuple(self._opened)  # each such context has its own thread, and it may be any of these
        return self._reached


def _is_due(connection: Any, now: float) -> bool:
    if connection.errors_occurred or (connection.close_at is not None and now >= connection.close_at):
        return True
    if connection.health_check_enabled and connection.health_check_done:
        return True
    changed_autocommit = connection.autocommit != connection.settings_dict["AUTOCOMMIT"]
    return changed_autocommit and not connection.in_atomic_block
