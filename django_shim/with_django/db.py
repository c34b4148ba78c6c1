"""Django's connections: given back between messages, without a thread hop where none is due.

Channels enters the database thread before every message to call ``django.db.close_old_connections()``. Here
``stale()`` answers on the event loop whether that would close anything: it reads the attributes that
``BaseDatabaseWrapper.close_if_unusable_or_obsolete()`` decides by, of the connections that are open. Which
ones are is known from Django's signal ``connection_created``.
"""

# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import threading
import time
import weakref
from typing import Any

__all__ = ["DjangoDatabase"]


class DjangoDatabase:
    """The ``compat.integration.Database`` of Django; asked only while Django is in use and has settings."""

    def __init__(self) -> None:
        self.watching = False
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._thread = threading.local()

    def stale(self) -> bool:
        """True when a connection of another thread is broken, due, or to be checked before its next use.

        Those of the current thread do not count: it runs the event loop, and no hop ever closes them.
        """
        if not self.watching:
            self._watch()
            return True  # connections that were opened before are not known: enter the thread once
        here, now = threading.get_ident(), time.monotonic()
        return any(opened._thread_ident != here and _is_due(opened, now) for opened in self._opened())

    def close(self) -> None:
        """``django.db.close_old_connections()``, unless this thread has no connection open."""
        if not self.watching:
            self._watch()
        here, scanned = threading.get_ident(), hasattr(self._thread, "scanned")
        if scanned and not any(opened._thread_ident == here for opened in self._opened()):
            return
        from django import db

        db.close_old_connections()
        if not scanned:
            self._thread.scanned = True
            for connection in db.connections.all(initialized_only=True):
                self._add(connection)

    def unwatch(self) -> None:
        """Undo the connection to Django's signal."""
        if not self.watching:
            return
        from django.db.backends.signals import connection_created

        connection_created.disconnect(self._on_created)
        self.watching = False

    def _watch(self) -> None:
        from django.db.backends.signals import connection_created

        connection_created.connect(self._on_created, weak=False)
        self.watching = True

    def _on_created(self, *, connection: Any, **_: Any) -> None:
        self._add(connection)

    def _add(self, connection: Any) -> None:
        with self._lock:
            self._known.add(connection)

    def _opened(self) -> list[Any]:
        """The connections that are open, of all threads."""
        if not self._known:
            return []
        with self._lock:
            known = list(self._known)
            for connection in known:
                if connection.connection is None:  # the signal tells when it is open again
                    self._known.discard(connection)
        return [connection for connection in known if connection.connection is not None]


def _is_due(connection: Any, now: float) -> bool:
    if connection.errors_occurred or (connection.close_at is not None and now >= connection.close_at):
        return True
    if connection.health_check_enabled and connection.health_check_done:
        return True
    changed_autocommit = connection.autocommit != connection.settings_dict["AUTOCOMMIT"]
    return changed_autocommit and not connection.in_atomic_block
