"""Which manager is meant where none is named: the first that was made.

An application has one, and any code of it can ask for it: ``get_manager()``, as a FastAPI dependency
``Depends(get_manager)``, or ``Depends(app_manager)`` for the one in ``app.state.manager``.
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
    """The manager of this process; RuntimeError before there is one."""
    if _current is None:
        raise RuntimeError(
            "there is no ConnectionManager yet: make one where your application starts, before it is asked "
            "for: manager = ConnectionManager(ws_config=WSConfig()). In another process (a Celery worker, a "
            "script) make one there too, with the same REDIS_URL and REDIS_CHANNEL_PREFIX"
        )
    return _current


def set_manager(manager: ConnectionManager | None) -> ConnectionManager | None:
    """Make ``manager`` the one that ``get_manager()`` returns; returns the one before it. None: for tests."""
    global _current
    previous, _current = _current, manager
    return previous


def current() -> ConnectionManager | None:
    """The manager of this process, if there is one."""
    return _current


def app_manager(connection: HTTPConnection) -> ConnectionManager:
    """A dependency for HTTP and websocket endpoints: the manager in ``app.state.manager``."""
    manager: ConnectionManager | None = getattr(connection.app.state, "manager", None)
    if manager is None:
        raise RuntimeError(
            "Depends(app_manager): app.state.manager is not set; write app.state.manager = manager where the "
            "app is made, or depend on get_manager"
        )
    return manager
