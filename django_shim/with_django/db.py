"""Django's connections: given back between messages, without a thread hop where none is due.

Channels enters the database thread before every message to call ``django.db.close_old_connections()``. Here
``stale()`` answers on the event loop whether that would close anything: it reads the attributes that
``BaseDatabaseWrapper.close_if_unusable_or_obsolete()`` decides by, of the connections that are open. Which
ones are is known from Django's signal ``connection_created``.
"""

# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["DjangoDatabase"]


class DjangoDatabase:
    """The ``compat.integration.Database`` of Django."""

    def __init__(self, in_use: Callable[[], bool]) -> None:
        self.watching = False
        self._in_use = in_use
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._thread = threading.local()

    def stale(self) -> bool:
        """True when a connection of another thread is broken, due, or to be checked before its next use.

        Those of the current thread do not count: it runs the event loop, and no hop ever closes them.
        """
        if not self.watching:
            # Connections that were opened before are not known: enter the database thread once.
            return self._watch()
        if not self._open:
            return False
        now, here = time.monotonic(), threading.get_ident()
        return any(
            connection._thread_ident != here and _is_due(connection, now) for connection in self._known()
        )

    def close(self) -> None:
        """``django.db.close_old_connections()``, unless it is known that no connection is open."""
        if not self.watching and not self._watch():
            return
        scanned = getattr(self._thread, "scanned", False)
        if scanned and not self._open:
            return
        from django import db

        db.close_old_connections()
        if not scanned:
            self._thread.scanned = True
            for connection in db.connections.all(initialized_only=True):
                if connection.connection is not None:
                    self._add(connection)

    def unwatch(self) -> None:
        """Undo the connection to Django's signal."""
        if not self.watching:
            return
        from django.db.backends.signals import connection_created

        connection_created.disconnect(self._on_created)
        self.watching = False

    def _watch(self) -> bool:
        """Begin to watch, if Django's database layer is loaded and has settings; True if it has begun."""
        if "django.db" not in sys.modules or not self._in_use():
            return False
        from django.db.backends.signals import connection_created

        connection_created.connect(self._on_created, weak=False)
        self.watching = True
        return True

    def _on_created(self, *, connection: Any, **_: Any) -> None:
        self._add(connection)

    def _add(self, connection: Any) -> None:
        with self._lock:
            self._open.add(connection)

    def _known(self) -> list[Any]:
        with self._lock:
            known = list(self._open)
            for connection in known:
                if connection.connection is None:  # closed; the signal tells when it is open again
                    self._open.discard(connection)
        return known


def _is_due(connection: Any, now: float) -> bool:
    if connection.connection is None:
        return False
    if connection.errors_occurred or (connection.close_at is not None and now >= connection.close_at):
        return True
    if connection.health_check_enabled and connection.health_check_done:
        return True
    changed_autocommit = connection.autocommit != connection.settings_dict["AUTOCOMMIT"]
    return changed_autocommit and not connection.in_atomic_block
