"""The seam where a framework that lives beside compat plugs in: its database connections and its users.

compat imports no framework. Whoever knows one (``django_shim.with_django`` knows Django) registers an object
with ``database`` and ``users``; both are asked when they are needed, so a framework that is configured after
compat has been imported is found, and one that is never used costs nothing.
"""

from __future__ import annotations

from typing import Any, Protocol

from compat.types import Scope

__all__ = ["Database", "Integration", "Users", "database", "register", "unregister", "users"]


class Database(Protocol):
    """Connections that belong to threads and must be given back between messages."""

    def stale(self, *, sparing: bool = False) -> bool:
        """True when ``close(sparing=…)`` in the thread of thread-sensitive code has something to do.

        Called on the event loop for every message: attribute reads, nothing that blocks.
        """
        ...

    def reached(self) -> None:
        """Called in that thread, each time that it has been entered to close connections."""
        ...

    def close(self, *, sparing: bool = False) -> None:
        """Close what is broken or has outlived its time among the connections of the current thread.

        With ``sparing``, leave those in a transaction: it is that of a test, and would be lost.
        """
        ...


class Users(Protocol):
    """What ``compat.auth`` does with a scope that has a session; Channels' functions of the same names."""

    def anonymous(self) -> Any:
        """The user of a connection that nobody has logged in on."""
        ...

    def user_id(self, session: Any) -> Any:
        """The primary key that the session has; KeyError where nobody is logged in."""
        ...

    async def get_user(self, scope: Scope) -> Any:
        """The user that ``scope["session"]`` names, or ``anonymous()``."""
        ...

    async def login(self, scope: Scope, user: Any, backend: str | None) -> None:
        """Name ``user`` in the session and put it into the scope."""
        ...

    async def logout(self, scope: Scope) -> None:
        """Empty the session; an anonymous user goes into the scope if there was one."""
        ...


class Integration(Protocol):
    """What a framework offers; either may be None for as long as the framework is not in use."""

    @property
    def database(self) -> Database | None: ...

    @property
    def users(self) -> Users | None: ...


_registered: Integration | None = None


def register(integration: Integration) -> None:
    """Ask ``integration`` from now on; replaces the one before."""
    global _registered
    _registered = integration


def unregister(integration: Integration) -> None:
    """Undo ``register``, unless another has been registered since."""
    global _registered
    if _registered is integration:
        _registered = None


def database() -> Database | None:
    """The database hook of the framework in use, or None."""
    return _registered.database if _registered is not None else None


def users() -> Users | None:
    """The users of the framework in use, or None."""
    return _registered.users if _registered is not None else None
