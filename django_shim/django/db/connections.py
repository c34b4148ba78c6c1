"""``connection`` and ``connections``: closing them works, anything else says that there is no database."""

from __future__ import annotations

from typing import Any

from ..unserved import needs_django

__all__ = ["DEFAULT_DB_ALIAS", "connection", "connections", "reset_queries"]

DEFAULT_DB_ALIAS = "default"


class NoConnection:
    """The connection that there is not."""

    alias = DEFAULT_DB_ALIAS
    queries: tuple[Any, ...] = ()
    in_atomic_block = False

    def close(self) -> None:
        """Nothing to close."""

    def close_if_unusable_or_obsolete(self) -> None:
        """Nothing to close."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(needs_django(f"django.db.connection.{name}"), name=name)


class NoConnections:
    """Any alias gives ``connection``; none is open."""

    def __getitem__(self, alias: str) -> NoConnection:
        return connection

    def __iter__(self) -> Any:
        return iter([DEFAULT_DB_ALIAS])

    def all(self, initialized_only: bool = False) -> list[NoConnection]:
        """Return the open connections: none."""
        return []

    def close_all(self) -> None:
        """Nothing to close."""


connection = NoConnection()
connections = NoConnections()


def reset_queries(**kwargs: Any) -> None:
    """There are none."""
