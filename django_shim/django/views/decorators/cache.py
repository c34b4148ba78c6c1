"""What browsers and proxies may keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...unserved import NOT_A_PACKAGE, attribute_of
from .wrapping import around

__all__ = ["cache_control", "never_cache"]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


def cache_control(**kwargs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Set Cache-Control: ``cache_control(max_age=60, private=True)``."""
    parts = [
        name.replace("_", "-") + ("" if value is True else f"={value}")
        for name, value in kwargs.items()
        if value
    ]

    def after(request: Any, response: Any) -> Any:
        response.headers["Cache-Control"] = ", ".join(parts)
        return response

    return lambda view: around(view, after=after)


def never_cache(view_func: Callable[..., Any]) -> Callable[..., Any]:
    """Nothing may be kept."""
    control = cache_control(max_age="0", no_cache=True, no_store=True, must_revalidate=True, private=True)
    return control(view_func)
