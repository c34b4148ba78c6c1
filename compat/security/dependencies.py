"""Two ways to say who may: a dependency of FastAPI raises, a function of ``compat.live`` returns None.

Neither is a function that makes one, such as ``bearer(token)``: for ``Depends(bearer)`` FastAPI would read
``token`` from the query, and admit everybody.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["makes_one", "refuses_by_none", "refuses_makers", "require_called", "require_dependency"]

F = TypeVar("F", bound=Callable[..., Any])

_by_none: weakref.WeakSet[Any] = weakref.WeakSet()
_makers: weakref.WeakSet[Any] = weakref.WeakSet()


def refuses_by_none(function: F) -> F:
    """Mark a function that returns None for whoever may not."""
    _by_none.add(function)
    return function


def makes_one(function: F) -> F:
    """Mark a function that has to be called to make what decides."""
    _makers.add(function)
    return function


def require_called(given: Any, where: str) -> None:
    """Raise TypeError if ``given``, a function or ``Depends(…)``, is marked by ``makes_one``."""
    function = getattr(given, "dependency", given)
    if any(function is one for one in _makers):
        name = function.__name__
        takes = ", ".join(inspect.signature(function).parameters)
        raise TypeError(f"{where}: {name} makes the function that decides; write {name}({takes})")


def refuses_makers(given: Any, depends: Callable[..., Any]) -> Any:
    """Return the dependency ``given``, ``Depends(…)``, in one that raises TypeError if it returns a function.

    The application's own functions that make a dependency do so. ``depends``: ``fastapi.Depends``.
    """

    async def guard(made: Any = given) -> None:
        if inspect.isroutine(made):
            name = getattr(given.dependency, "__qualname__", repr(given.dependency))
            raise TypeError(
                f"{name} decides who may, and has returned the function {made.__qualname__}, which nobody "
                f"calls: write {name}(…), so that the latter decides"
            )

    return depends(guard)


def require_dependency(given: Any, where: str) -> None:
    """Raise TypeError if ``given``, a function or ``Depends(…)``, is no dependency that refuses.

    FastAPI ignores what a dependency returns, and so would admit everybody.
    """
    require_called(given, where)
    function = getattr(given, "dependency", given)
    if any(function is one for one in _by_none):
        raise TypeError(
            f"{where}: {function.__qualname__} is for compat.live.page(). It refuses by returning None, and "
            "FastAPI ignores what a dependency returns, so everybody would be admitted: use a function that "
            "raises an HTTPException"
        )
