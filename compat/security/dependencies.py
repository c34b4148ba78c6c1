"""Two ways to say who may: a dependency of FastAPI raises, a function of ``compat.live`` returns None."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["refuses_by_none", "require_dependency"]

F = TypeVar("F", bound=Callable[..., Any])

_by_none: weakref.WeakSet[Any] = weakref.WeakSet()


def refuses_by_none(function: F) -> F:
    """Mark a function that returns None for whoever may not."""
    _by_none.add(function)
    return function


def require_dependency(given: Any, where: str) -> None:
    """Raise TypeError if ``given``, a function or ``Depends(…)``, is one of those.

    FastAPI ignores what a dependency returns, and so would admit everybody.
    """
    function = getattr(given, "dependency", given)
    if any(function is one for one in _by_none):
        raise TypeError(
            f"{where}: {function.__qualname__} is for compat.live.page(). It refuses by returning None, and "
            "FastAPI ignores what a dependency returns, so everybody would be admitted: use a function that "
            "raises an HTTPException"
        )
