"""Decorators of ``admin.py`` files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["action", "display", "register"]


def register(*models: Any, site: Any = None) -> Callable[[Any], Any]:
    """Keeps nothing: there are no models."""
    return lambda admin_class: admin_class


def action(function: Any = None, **options: Any) -> Any:
    """The method as it is."""
    return (lambda method: method) if function is None else function


def display(function: Any = None, **options: Any) -> Any:
    """The method as it is."""
    return (lambda method: method) if function is None else function
