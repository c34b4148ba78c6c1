"""The current manager of the process: the first one that was made.

Any code of an application gets it from ``get_manager()``. FastAPI endpoints use ``Depends(get_manager)``, or
``Depends(app_manager)`` for the manager in ``app.state.manager``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection

if TYPE_CHECKING:
    from compat.manager.connections.manager import ConnectionManager
else:
    # FastAPI 0.123 and 0.124.0 evaluate what a dependency returns; the class's module imports this one.
    ConnectionManager = Any

__all__ = ["app_manager", "get_manager", "set_manager"]

_current: ConnectionManager | None = None


def get_manager() -> ConnectionManager:
    """Return the manager of this process; raise RuntimeError if there is none yet."""
    if _current is None:
        raise RuntimeError(
            "there is no ConnectionManager yet: make one where your application starts, before it is asked "
            "for: manager = ConnectionManager(ws_config=WSConfig()). In another process (a Celery worker, a "
            "script) make one there too, with the same REDIS_URL and REDIS_CHANNEL_PREFIX"
        )
    return _current


def set_manager(manager: ConnectionManager | None) -> ConnectionManager | None:
    """Make ``get_manager()`` return ``manager``, and return the previous one; None removes it, for tests."""
    global _current
    previous, _current = _current, manager
    return previous


def current() -> ConnectionManager | None:
    """Return the manager of this process, or None."""
    return _current


def app_manager(connection: HTTPConnection) -> ConnectionManager:
    """Return ``app.state.manager``; a dependency for HTTP and websocket endpoints.

    Raises RuntimeError if it is not set.
    """
    manager: ConnectionManager | None = getattr(connection.app.state, "manager", None)
    if manager is None:
        raise RuntimeError(
            "Depends(app_manager): app.state.manager is not set; write app.state.manager = manager where the "
            "app is made, or depend on get_manager"
        )
    return manager
