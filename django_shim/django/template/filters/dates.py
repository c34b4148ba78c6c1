"""Filters for dates and times."""

from __future__ import annotations

from typing import Any

from ...utils import formats
from ...utils import timesince as _timesince
from ..library import Library

__all__ = ["date", "register", "time", "timesince_filter", "timeuntil_filter"]

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


@register.filter(expects_localtime=True, is_safe=False)
def time(value: Any, arg: Any = None) -> str:
    """By format letters; TIME_FORMAT without an argument."""
    if value in (None, ""):
        return ""
    try:
        return formats.time_format(value, arg)
    except (AttributeError, TypeError):
        return ""  # no time


@register.filter("timesince", is_safe=False)
def timesince_filter(value: Any, arg: Any = None) -> str:
    """How long ago, in words."""
    return _distance(_timesince.timesince, value, arg)


@register.filter("timeuntil", is_safe=False)
def timeuntil_filter(value: Any, arg: Any = None) -> str:
    """How long to go, in words."""
    return _distance(_timesince.timeuntil, value, arg)


def _distance(measure: Any, value: Any, arg: Any) -> str:
    if not value:
        return ""
    try:
        return str(measure(value, arg) if arg else measure(value))
    except (ValueError, TypeError):
        return ""  # naive and aware ones, which have no distance
