"""Filters from text to text."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from ...utils.html import escapejs as _escapejs
from ...utils.text import Truncator, wrap
from ...utils.text import capfirst as _capfirst
from ...utils.text import slugify as _slugify
from ..library import Library, stringfilter

__all__ = [
    "addslashes",
    "capfirst",
    "center",
    "escapejs_filter",
    "ljust",
    "lower",
    "make_list",
    "register",
    "rjust",
    "slugify",
    "stringformat",
    "title",
    "truncatechars",
    "truncatewords",
    "upper",
    "urlencode",
    "wordwrap",
]

register = Library()


@register.filter(is_safe=True)
@stringfilter
def addslashes(value: str) -> str:
    """Return the text with a backslash before quotes and backslashes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")


@register.filter(is_safe=True)
@stringfilter
def capfirst(value: str) -> str:
    """Return the first letter in upper case."""
    return _capfirst(value)


@register.filter("escapejs")
@stringfilter
def escapejs_filter(value: str) -> str:
    """For use inside a quoted JavaScript string."""
    return _escapejs(value)


@register.filter(is_safe=True)
@stringfilter
def lower(value: str) -> str:
    """Lower case."""
    return value.lower()


@register.filter(is_safe=False)
@stringfilter
def upper(value: str) -> str:
    """Upper case. Not safe: it would break entities."""
    return value.upper()


@register.filter(is_safe=True)
@stringfilter
def title(value: str) -> str:
    """Return the text With Capitals; not after a digit, nor after the apostrophe of "joe's"."""
    return _NO_CAPITAL.sub(lambda match: match[0].lower(), value.title())


_NO_CAPITAL = re.compile(r"(?<=[a-z]')[A-Z]|(?<=\d)[A-Z]")


@register.filter(is_safe=False)
@stringfilter
def make_list(value: str) -> list[str]:
    """Its characters."""
    return list(value)


@register.filter(is_safe=True)
@stringfilter
def slugify(value: str) -> str:
    """ASCII letters, digits, hyphens, underscores."""
    return _slugify(value)


@register.filter(is_safe=True)
def stringformat(value: Any, arg: Any) -> Any:
    """``value`` by a ``%`` format without the ``%``: ``|stringformat:"03d"``; "" where it does not fit."""
    if isinstance(value, tuple):
        value = str(value)
    try:
        return ("%" + str(arg)) % value
    except (TypeError, ValueError):
        return ""


@register.filter(is_safe=True)
@stringfilter
def truncatechars(value: str, arg: Any) -> str:
    """At most so many characters, the ellipsis included."""
    try:
        length = int(arg)
    except ValueError:
        return value
    return Truncator(value).chars(length)


@register.filter(is_safe=True)
@stringfilter
def truncatewords(value: str, arg: Any) -> str:
    """At most so many words."""
    try:
        length = int(arg)
    except ValueError:
        return value
    return Truncator(value).words(length, truncate=" …")


@register.filter(is_safe=False)
@stringfilter
def urlencode(value: str, safe: Any = None) -> str:
    """Percent-encoded; ``/`` stays unless other safe characters (or none) are named."""
    return quote(value) if safe is None else quote(value, safe=str(safe))


@register.filter(is_safe=True)
@stringfilter
def wordwrap(value: str, arg: Any) -> str:
    """Line breaks so that lines stay below a length."""
    return wrap(value, int(arg))


@register.filter(is_safe=True)
@stringfilter
def ljust(value: str, arg: Any) -> str:
    """Left-aligned in a field of that width."""
    return value.ljust(int(arg))


@register.filter(is_safe=True)
@stringfilter
def rjust(value: str, arg: Any) -> str:
    """Right-aligned in a field of that width."""
    return value.rjust(int(arg))


@register.filter(is_safe=True)
@stringfilter
def center(value: str, arg: Any) -> str:
    """Centred in a field of that width."""
    return value.center(int(arg))
