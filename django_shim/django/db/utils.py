"""The exceptions of PEP 249, for ``except`` clauses."""

from __future__ import annotations

__all__ = [
    "DataError",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
]


class Error(Exception):
    """Base of them all."""


class InterfaceError(Error):
    """About the driver."""


class DatabaseError(Error):
    """About the database."""


class DataError(DatabaseError):
    """About a value."""


class OperationalError(DatabaseError):
    """About the server."""


class IntegrityError(DatabaseError):
    """About a constraint."""


class InternalError(DatabaseError):
    """About the database's own state."""


class ProgrammingError(DatabaseError):
    """About the SQL."""


class NotSupportedError(DatabaseError):
    """About what the database cannot do."""
