"""Errors that code written for Django catches: ours, and Django's of the same name if Django is loaded.

compat never imports Django. But a project that does may write ``except django.urls.Resolver404`` around our
router, and our router may contain an application that raises Django's error. ``sys.modules`` shows, when an
error is raised or caught, whether Django is loaded.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar, cast

__all__ = ["catchable", "familiar"]

E = TypeVar("E", bound=Exception)

_made: dict[tuple[type[Exception], type[Exception]], type[Exception]] = {}


def familiar(ours: type[E], module: str) -> type[E]:
    """Return the class to raise for ``ours``; it also inherits from the class of that name in ``module``, if
    loaded.
    """
    theirs = _loaded(ours.__name__, module)
    if theirs is None or issubclass(ours, theirs):
        return ours
    return cast("type[E]", theirs if issubclass(theirs, ours) else _both(ours, theirs))


def catchable(ours: type[Exception], module: str) -> tuple[type[Exception], ...]:
    """Return the classes to catch for ``ours``: itself, and the class of that name in ``module``, if
    loaded.
    """
    theirs = _loaded(ours.__name__, module)
    return (ours,) if theirs is None else (ours, theirs)


def _loaded(name: str, module: str) -> type[Exception] | None:
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _both(ours: type[Exception], theirs: type[Exception]) -> type[Exception]:
    if (ours, theirs) not in _made:
        namespace = {"__module__": ours.__module__, "__doc__": ours.__doc__, "__reduce__": _reduce}
        _made[ours, theirs] = type(ours.__name__, (ours, theirs), namespace)
    return _made[ours, theirs]


def _reduce(error: Exception) -> tuple[Any, ...]:
    """Pickle an error by its two base classes, because its own class cannot be imported."""
    ours, theirs = type(error).__bases__
    return _rebuilt, (ours, theirs.__module__, error.args)


def _rebuilt(ours: type[Exception], module: str, args: tuple[Any, ...]) -> Exception:
    """Unpickle an error, as ours alone if Django is not loaded."""
    return familiar(ours, module)(*args)
