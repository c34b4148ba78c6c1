"""Views by their dotted path."""

from __future__ import annotations

from typing import Any

from ..core.exceptions import ViewDoesNotExist
from ..utils.module_loading import import_string

__all__ = ["get_callable"]


def get_callable(lookup_view: Any) -> Any:
    """Return a callable as it is, or the one that a dotted path names; ViewDoesNotExist if there is none."""
    if callable(lookup_view):
        return lookup_view
    try:
        view = import_string(lookup_view)
    except ImportError as error:
        raise ViewDoesNotExist(f"there is no view '{lookup_view}': {error}") from error
    if not callable(view):
        raise ViewDoesNotExist(f"'{lookup_view}' is no view: it cannot be called")
    return view
