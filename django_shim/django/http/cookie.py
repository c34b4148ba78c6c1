"""The Cookie header, read as leniently as browsers read it."""

from __future__ import annotations

from http import cookies

__all__ = ["SimpleCookie", "parse_cookie"]

SimpleCookie = cookies.SimpleCookie


def parse_cookie(cookie: str) -> dict[str, str]:
    """A Cookie header as a dict. A piece that is no ``name=value`` does not spoil the others.

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
            found[name] = cookies._unquote(value)
    return found
