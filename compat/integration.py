"""The interface for a framework that is used with compat: its database connections and its users.

compat imports no framework. A package that knows one (``django_shim.with_django`` knows Django) registers an
object with ``database`` and ``users``. compat reads both when it needs them, so the framework may be
configured later, and costs nothing if it is not used.
"""

from __future__ import annotations

from typing import Any, Protocol

from compat.types import Scope

__all__ = ["Database", "Integration", "Users", "database", "register", "unregister", "users"]


class Database(Protocol):
    """Database connections that belong to threads, and must be closed between messages."""

    def stale(self, *, sparing: bool = False) -> bool:
        """Return True if ``close(sparing=…)`` in the thread of thread-sensitive code would close a
        connection.

        It is called on the event loop for every message, so it must not block.
        """
        ...

    def reached(self) -> None:
        """Note that the current thread is used for closing connections; called each time in that thread."""
        ...

    def close(self, *, sparing: bool = False) -> None:
        """Close the connections of the current thread that are broken or too old.

        With ``sparing``, keep those in a transaction, which is that of a test.
        """
        ...


class Users(Protocol):
    """The functions of ``compat.auth`` for a scope with a session; they behave as those of Channels."""

    def anonymous(self) -> Any:
        """Return the user of a connection without a login."""
        ...

    def user_id(self, session: Any) -> Any:
        """Return the primary key in the session; raise KeyError without a login."""
        ...

    async def get_user(self, scope: Scope) -> Any:
        """Return the user of ``scope["session"]``, or ``anonymous()``."""
        ...

    async def login(self, scope: Scope, user: Any, backend: str | None) -> None:
        """Store ``user`` in the session, and put it into the scope."""
        ...

    async def logout(self, scope: Scope) -> None:
        """Empty the session, and make the user in the scope, if any, anonymous."""
        ...


class Integration(Protocol):
    """The parts of a framework; each is None while the framework is not in use."""

    @property
    def database(self) -> Database | None: ...

    @property
    def users(self) -> Users | None: ...


_registered: Integration | None = None


def register(integration: Integration) -> None:
    """Use ``integration`` from now on, in place of the former one."""
    global _registered
    _registered = integration


def unregister(integration: Integration) -> None:
    """Undo ``register``, unless another integration has been registered since."""
    global _registered
    if _registered is integration:
        _registered = None


def database() -> Database | None:
    """Return the database of the framework in use, or None."""
    return _registered.database if _registered is not None else None


def users() -> Users | None:
    """Return the users of the framework in use, or None."""
    return _registered.users if _registered is not None else None
