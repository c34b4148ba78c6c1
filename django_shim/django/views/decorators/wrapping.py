"""A view around a view, sync or async as that one is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction

__all__ = ["around"]


def around(
    view: Callable[..., Any],
    before: Callable[[Any], Any] = lambda request: None,
    after: Callable[[Any, Any], Any] = lambda request, response: response,
) -> Callable[..., Any]:
    """``view`` with ``before(request)``, whose response is the answer if it gives one, and ``after``."""

    def wrapper(request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = before(request)
        return after(request, view(request, *args, **kwargs)) if answer is None else answer

    async def async_wrapper(request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = before(request)
        return after(request, await view(request, *args, **kwargs)) if answer is None else answer

    return functools.wraps(view)(async_wrapper if iscoroutinefunction(view) else wrapper)
