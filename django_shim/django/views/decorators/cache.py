"""What browsers and proxies may keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...unserved import NOT_A_PACKAGE, attribute_of
from ...utils.cache import add_never_cache_headers, patch_cache_control
from .wrapping import around

__all__ = ["cache_control", "never_cache"]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


def cache_control(**kwargs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Set Cache-Control: ``cache_control(max_age=60, private=True)``."""

    def after(request: Any, response: Any) -> Any:
        patch_cache_control(response, **kwargs)
        return response

    return lambda view: around(view, after=after)


def never_cache(view_func: Callable[..., Any]) -> Callable[..., Any]:
    """Nothing may be kept."""

    def after(request: Any, response: Any) -> Any:
        add_never_cache_headers(response)
        return response

    return around(view_func, after=after)
