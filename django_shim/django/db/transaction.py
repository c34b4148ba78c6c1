"""``atomic`` and its like: importable, usable as decorators; entering one says that there is no database."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

from ..unserved import needs_django

__all__ = ["TransactionManagementError", "atomic", "commit", "non_atomic_requests", "on_commit", "rollback"]


class TransactionManagementError(Exception):
    """A transaction is used wrongly."""


class _Atomic:
    def __enter__(self) -> NoReturn:
        _refuse("atomic")

    def __exit__(self, *exc_info: object) -> None: ...

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> NoReturn:
            _refuse(f"atomic ({function.__qualname__})")

        return wrapper


def _refuse(name: str) -> NoReturn:
    raise ImportError(needs_django(f"django.db.transaction.{name}"), name="django")


def atomic(using: Any = None, savepoint: bool = True, durable: bool = False) -> Any:
    """Return a decorator or context manager that raises ImportError when it is entered."""
    return _Atomic()(using) if callable(using) else _Atomic()


def on_commit(func: Callable[[], Any], using: str | None = None, robust: bool = False) -> NoReturn:
    """Raises ImportError."""
    _refuse("on_commit")


def commit(using: str | None = None) -> NoReturn:
    """Raises ImportError."""
    _refuse("commit")


def rollback(using: str | None = None) -> NoReturn:
    """Raises ImportError."""
    _refuse("rollback")


def non_atomic_requests(using: Any = None) -> Any:
    """Return the view unchanged."""
    return using if callable(using) else lambda view: view
