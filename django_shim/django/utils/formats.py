"""Values as templates show them: dates by the formats of the settings, numbers as they are."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

from ..conf import settings
from . import dateformat

__all__ = ["date_format", "get_format", "localize", "number_format", "time_format"]


LONGEST_NUMBER = 200
"""Digits; a longer number is written with an exponent, as Django does."""
NAMED_FORMATS = (
    "DATE_FORMAT",
    "DATETIME_FORMAT",
    "MONTH_DAY_FORMAT",
    "SHORT_DATETIME_FORMAT",
    "SHORT_DATE_FORMAT",
    "TIME_FORMAT",
    "YEAR_MONTH_FORMAT",
)


def get_format(format_type: str, lang: str | None = None, use_l10n: bool | None = None) -> str:
    """The setting that ``format_type`` names, or ``format_type`` itself when it is a format already."""
    return str(getattr(settings, format_type)) if format_type in NAMED_FORMATS else format_type


def date_format(value: Any, format: str | None = None, use_l10n: bool | None = None) -> str:
    """Return a date or datetime by a format, or by the name of one (default DATE_FORMAT)."""
    return dateformat.format(value, get_format(format or "DATE_FORMAT"))


def time_format(value: Any, format: str | None = None, use_l10n: bool | None = None) -> str:
    """Return a time by a format, or by the name of one (default TIME_FORMAT)."""
    return dateformat.time_format(value, get_format(format or "TIME_FORMAT"))


def number_format(
    value: Any, decimal_pos: int | None = None, use_l10n: bool | None = None, force_grouping: bool = False
) -> str:
    """A number with ``decimal_pos`` decimals, cut and not rounded; thousands in groups if asked for."""
    if isinstance(value, float) and "e" in str(value):
        value = Decimal(str(value))
    if isinstance(value, Decimal) and value.is_finite():
        if decimal_pos is not None and abs(value) < Decimal(1).scaleb(-decimal_pos):
            value = Decimal(0)
        if is_long(value):
            coefficient, _, exponent = f"{value:e}".partition("e")
            return f"{number_format(coefficient, decimal_pos, use_l10n, force_grouping)}e{exponent}"
        text = f"{value:f}"
    else:
        try:
            text = str(value)
        except ValueError:  # an int of more digits than Python writes: 4300
            return f"{Decimal(value):.15e}"
    whole, _, decimals = text.partition(".")
    if decimal_pos is not None:
        decimals = decimals[:decimal_pos].ljust(decimal_pos, "0")
    if force_grouping or settings.USE_THOUSAND_SEPARATOR:
        whole = _grouped(whole)
    return f"{whole}.{decimals}" if decimals else whole


def _grouped(whole: str) -> str:
    digits = whole.removeprefix("-")
    first = len(digits) % 3
    groups = [digits[:first], *(digits[at : at + 3] for at in range(first, len(digits), 3))]
    return ("-" if digits != whole else "") + ",".join(group for group in groups if group)


def is_long(number: Decimal) -> bool:
    """Return True for a finite number of more than 200 digits: writing all of 1e1000000 takes seconds."""
    _, digits, exponent = number.as_tuple()
    return len(digits) + abs(int(exponent)) > LONGEST_NUMBER


def localize(value: Any, use_l10n: bool | None = None) -> Any:
    """Return what a template shows for ``value`` before escaping; text and unknown types pass unchanged."""
    if isinstance(value, (str, bool)):
        return value if isinstance(value, str) else str(value)
    if isinstance(value, (Decimal, float, int)):
        return number_format(value)
    if isinstance(value, datetime.datetime):
        return date_format(value, "DATETIME_FORMAT")
    if isinstance(value, datetime.date):
        return date_format(value)
    return time_format(value) if isinstance(value, datetime.time) else value
