"""The filter ``date``."""

from __future__ import annotations

from typing import Any

from ...utils import formats
from ..library import Library

__all__ = ["date", "register"]

register = Library()


@register.filter(expects_localtime=True, is_safe=False)
def date(value: Any, arg: Any = None) -> str:
    """By format letters (``"j F Y"``) or the name of a setting; DATE_FORMAT without an argument."""
    if value in (None, ""):
        return ""
    try:
        return formats.date_format(value, arg)
    except AttributeError:
        return ""  # no date
