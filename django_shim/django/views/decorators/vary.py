"""Pages that depend on a header of the request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...utils.cache import patch_vary_headers
from .wrapping import around

__all__ = ["vary_on_cookie", "vary_on_headers"]


def vary_on_headers(*headers: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Name the headers in Vary."""

    def after(request: Any, response: Any) -> Any:
        patch_vary_headers(response, headers)
        return response

    return lambda view: around(view, after=after)


vary_on_cookie = vary_on_headers("Cookie")
