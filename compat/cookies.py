"""A parser for the Cookie header that is as lenient as browsers."""

from __future__ import annotations

import re

__all__ = ["parse_cookie"]

_ESCAPED = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))")


def parse_cookie(cookie: str) -> dict[str, str]:
    """Parse a Cookie header into a dict. A malformed part does not affect the others.

    >>> parse_cookie('a=1; b="two; c=3')
    {'a': '1', 'b': '"two', 'c': '3'}
    """
    found: dict[str, str] = {}
    for piece in cookie.split(";"):
        name, equals, value = piece.partition("=")
        if not equals:
            name, value = "", name
        name, value = name.strip(), value.strip()
        if name or value:
            found[name] = _unquoted(value)
    return found


def _unquoted(value: str) -> str:
    """Return a value without its quotes and backslashes.

    The standard library's function, which Starlette uses, takes quadratic time before Python 3.12.6: 20 s for
    a header of 60 kB.
    """
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)) if match[1] else match[2], value[1:-1])
