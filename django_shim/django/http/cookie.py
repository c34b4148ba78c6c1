"""The Cookie header."""

from __future__ import annotations

from http import cookies

from compat.cookies import parse_cookie

__all__ = ["SimpleCookie", "parse_cookie"]

SimpleCookie = cookies.SimpleCookie
