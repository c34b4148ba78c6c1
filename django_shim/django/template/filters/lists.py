"""Filters for lists, and for values that may be missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...utils.html import conditional_escape
from ...utils.safestring import SafeString
from ..library import Library

__all__ = [
    "default",
    "default_if_none",
    "first",
    "join",
    "last",
    "length",
    "register",
    "yesno",
]

register = Library()


@register.filter(is_safe=False)
def default(value: Any, arg: Any) -> Any:
    """``arg`` for what is false."""
    return value or arg


@register.filter(is_safe=False)
def default_if_none(value: Any, arg: Any) -> Any:
    """``arg`` for None."""
    return arg if value is None else value


@register.filter(is_safe=False)
def first(value: Sequence[Any]) -> Any:
    """Return the first item, or nothing."""
    try:
        return value[0]
    except IndexError:
        return ""


@register.filter(is_safe=True)
def last(value: Sequence[Any]) -> Any:
    """Return the last item, or nothing."""
    try:
        return value[-1]
    except IndexError:
        return ""


@register.filter(is_safe=True, needs_autoescape=True)
def join(value: Iterable[Any], arg: Any, autoescape: bool = True) -> Any:
    """Return the items with ``arg`` in between, each escaped."""
    try:
        if not autoescape:
            return SafeString(str(arg).join(str(item) for item in value))
        return SafeString(str(conditional_escape(arg)).join(str(conditional_escape(item)) for item in value))
    except TypeError:
        return value  # nothing to go through


@register.filter(is_safe=False)
def length(value: Any) -> int:
    """Return the length; 0 for a value without one."""
    try:
        return len(value)
    except (ValueError, TypeError):
        return 0


@register.filter(is_safe=False)
def yesno(value: Any, arg: Any = None) -> Any:
    """``|yesno:"yes,no,maybe"``: for true, false and None; without the third, None is false."""
    words = str("yes,no,maybe" if arg is None else arg).split(",")
    if len(words) < 2:
        return value
    yes, no, maybe = words if len(words) == 3 else (words[0], words[1], words[1])
    return maybe if value is None else yes if value else no
