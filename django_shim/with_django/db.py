"""Django's connections: given back between messages, without a thread hop where none is due.

Channels enters the database thread before every message to call ``django.db.close_old_connections()``. Here
``stale()`` answers on the event loop whether that would close anything: it reads the attributes that
``BaseDatabaseWrapper.close_if_unusable_or_obsolete()`` decides by. Which connections are open in which thread
is known from Django's signal ``connection_created``.

A thread's entry is written only by that thread, and read by the loop: no locks.
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
    """The ``compat.integration.Database`` of Django; asked only while Django is in use and has settings."""

    def __init__(self) -> None:
        self.watching = False
        self._opened: dict[int, References] = {}
        """By thread, the connections that were open when it last looked; none for a thread never seen."""
        self._reached: frozenset[int] = frozenset()
        """Threads that a hop has come to; replaced and not changed, since the loop reads it meanwhile."""

    def stale(self, *, sparing: bool = False) -> bool:
        """True when a connection that a hop reaches is broken, due, or to be checked before its next use.

        The first answer is True: connections that were opened before are not known, nor where hops lead to.
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
        """``django.db.close_old_connections()``, unless this thread has no connection open.

        With ``sparing``, the same for those connections that are not in a transaction.
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
        """A hop has come to the current thread, so others will."""
        self._reached |= {threading.get_ident()}

    def unwatch(self) -> None:
        """Undo the connection to Django's signal, and forget what it has told."""
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
        """Note what is open in the current thread."""
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
            return tuple(self._opened)  # a thread for each such context: any of them may be the one
        return self._reached


def _is_due(connection: Any, now: float) -> bool:
    if connection.errors_occurred or (connection.close_at is not None and now >= connection.close_at):
        return True
    if connection.health_check_enabled and connection.health_check_done:
        return True
    changed_autocommit = connection.autocommit != connection.settings_dict["AUTOCOMMIT"]
    return changed_autocommit and not connection.in_atomic_block
