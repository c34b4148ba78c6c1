"""Who may show this view's page in a frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .wrapping import around

__all__ = ["xframe_options_deny", "xframe_options_exempt", "xframe_options_sameorigin"]


def _with_header(value: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def after(request: Any, response: Any) -> Any:
        response.headers.setdefault("X-Frame-Options", value)
        return response

    return lambda view: around(view, after=after)


xframe_options_deny = _with_header("DENY")
xframe_options_sameorigin = _with_header("SAMEORIGIN")


def xframe_options_exempt(view_func: Callable[..., Any]) -> Callable[..., Any]:
    """Anybody may."""

    def after(request: Any, response: Any) -> Any:
        response.xframe_options_exempt = True
        return response

    return around(view_func, after=after)
