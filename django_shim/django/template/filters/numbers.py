"""Filters for numbers."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

from ...utils import formats
from ...utils.safestring import SafeString
from ..library import Library

__all__ = ["add", "filesizeformat", "floatformat", "pluralize", "register"]

register = Library()

_UNITS = ("KB", "MB", "GB", "TB", "PB")


@register.filter(is_safe=False)
def add(value: Any, arg: Any) -> Any:
    """Return the sum of two integers, else of any two values that can be added, else an empty text."""
    try:
        value, arg = int(value), int(arg)
    except (ValueError, TypeError):
        pass  # not both are numbers
    try:
        return value + arg
    except Exception:  # noqa: BLE001 - whatever "+" does with them
        return ""


@register.filter(is_safe=True)
def filesizeformat(bytes_: Any) -> str:
    """``13.2 MB``"""
    try:
        size = int(bytes_)
    except (TypeError, ValueError, UnicodeDecodeError):
        size = 0
    sign, size = ("-", -size) if size < 0 else ("", size)
    if size < 1024:
        return f"{sign}{size}\xa0byte{'' if size == 1 else 's'}"
    try:
        amount, unit = float(size), "bytes"
    except OverflowError:
        return f"{sign}{Decimal(size >> 50):.1e}\xa0PB"
    for unit in _UNITS:
        amount /= 1024
        if amount < 1024 or unit == _UNITS[-1]:
            break
    return f"{sign}{formats.number_format(round(amount, 1), 1)}\xa0{unit}"


@register.filter(is_safe=True)
def floatformat(text: Any, arg: Any = -1) -> Any:
    """Rounded to ``arg`` decimals; a negative number leaves them away where they are all 0. ``g`` groups."""
    grouping = False
    if isinstance(arg, str):
        grouping = "g" in arg[-2:] and "u" not in arg[-2:]
        arg = arg.rstrip("gu") or -1
    number = _as_decimal(text)
    if number is None:
        return ""
    try:
        places = int(arg)
        if not number.is_finite() or formats.is_long(number):
            return str(text)
        if places <= 0 and number == number.to_integral_value():
            return SafeString(formats.number_format(int(number), 0, force_grouping=grouping))
        unit = Decimal(1).scaleb(-abs(places))
        # As many digits as the result has: 28, the default, are too few for 1e30.
        context = Context(prec=max(number.adjusted(), 0) + abs(places) + 2)
        rounded = number.quantize(unit, ROUND_HALF_UP, context)
    except (ValueError, TypeError, ArithmeticError):
        return str(text)  # the argument is no number of places
    text = format(rounded if rounded else abs(rounded), "f")  # no "-0"
    return SafeString(formats.number_format(text, abs(places), force_grouping=grouping))


def _as_decimal(value: Any) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        pass
    try:
        return Decimal(str(float(value)))
    except (ValueError, TypeError, InvalidOperation):
        return None


@register.filter(is_safe=False)
def pluralize(value: Any, arg: Any = "s") -> str:
    """``message{{ n|pluralize }}``, ``class{{ n|pluralize:"es" }}``, ``cherr{{ n|pluralize:"y,ies" }}``."""
    singular, _, plural = ("," + str(arg) if "," not in str(arg) else str(arg)).partition(",")
    if "," in plural:
        return ""
    try:
        return singular if float(value) == 1 else plural
    except ValueError:
        return ""  # text that is no number
    except TypeError:
        try:
            return singular if len(value) == 1 else plural
        except TypeError:
            return ""
