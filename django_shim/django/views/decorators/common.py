"""Views that CommonMiddleware leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .wrapping import around

__all__ = ["no_append_slash"]


def no_append_slash(view_func: Callable[..., Any]) -> Callable[..., Any]:
    """A path without its slash is not redirected to this view."""
    view = around(view_func)
    view.should_append_slash = False  # type: ignore[attr-defined]  # the mark that the middleware looks for
    return view
