"""Values as templates show them: dates by the formats of the settings, numbers as they are."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

from ..conf import settings
from ..unserved import NOT_A_PACKAGE, attribute_of
from . import dateformat

__all__ = ["date_format", "get_format", "localize", "number_format", "time_format"]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)

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
    """A date or datetime by a format, or by the name of one (default DATE_FORMAT)."""
    return dateformat.format(value, get_format(format or "DATE_FORMAT"))


def time_format(value: Any, format: str | None = None, use_l10n: bool | None = None) -> str:
    """A time by a format, or by the name of one (default TIME_FORMAT)."""
    return dateformat.time_format(value, get_format(format or "TIME_FORMAT"))


def number_format(
    value: Any, decimal_pos: int | None = None, use_l10n: bool | None = None, force_grouping: bool = False
) -> str:
    """A number with ``decimal_pos`` decimals, cut and not rounded; thousands in groups if asked for."""
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    if "e" in text.lower():
        text = format(Decimal(text), "f")
    whole, _, decimals = text.partition(".")
    if decimal_pos is not None:
        decimals = decimals[:decimal_pos].ljust(decimal_pos, "0")
    if force_grouping or settings.USE_THOUSAND_SEPARATOR:
        whole = f"{int(whole):,}"
    return f"{whole}.{decimals}" if decimals else whole


def localize(value: Any, use_l10n: bool | None = None) -> Any:
    """What a template shows for ``value`` before escaping; text and unknown types pass unchanged."""
    if isinstance(value, (str, bool)):
        return value if isinstance(value, str) else str(value)
    if isinstance(value, (Decimal, float, int)):
        return number_format(value)
    if isinstance(value, datetime.datetime):
        return date_format(value, "DATETIME_FORMAT")
    if isinstance(value, datetime.date):
        return date_format(value)
    return time_format(value) if isinstance(value, datetime.time) else value
