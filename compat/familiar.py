"""Errors that code written for Django knows: ours, and Django's of the same name wherever Django is loaded.

compat never imports Django. But a project that did may say ``except django.urls.Resolver404`` around what is
now our router, and a router of ours may sit around an application that raises Django's. What is loaded is
seen in ``sys.modules``, at the moment of raising or catching.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar, cast

__all__ = ["catchable", "familiar"]

E = TypeVar("E", bound=Exception)

_made: dict[tuple[type[Exception], type[Exception]], type[Exception]] = {}


def familiar(ours: type[E], module: str) -> type[E]:
    """The class to raise for ``ours``: also that of ``module`` with the same name, if it is imported."""
    theirs = _loaded(ours.__name__, module)
    if theirs is None or issubclass(ours, theirs):
        return ours
    return cast("type[E]", theirs if issubclass(theirs, ours) else _both(ours, theirs))


def catchable(ours: type[Exception], module: str) -> tuple[type[Exception], ...]:
    """What to catch for ``ours``: it, and that of ``module`` with the same name, if it is imported."""
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
    """Pickled by its two parents, since a class that is made here has no name to be found by."""
    ours, theirs = type(error).__bases__
    return _rebuilt, (ours, theirs.__module__, error.args)


def _rebuilt(ours: type[Exception], module: str, args: tuple[Any, ...]) -> Exception:
    """In a process that has not loaded Django: plainly ours."""
    return familiar(ours, module)(*args)
