"""Colours for the terminal, where it has them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

__all__ = ["Style", "color_style", "no_style", "supports_color"]

_CODES = {
    "ERROR": "31;1",
    "ERROR_OUTPUT": "31;1",
    "NOTICE": "31",
    "SUCCESS": "32;1",
    "WARNING": "33;1",
    "HTTP_INFO": "1",
    "HTTP_SUCCESS": "",
    "HTTP_REDIRECT": "32",
    "HTTP_NOT_MODIFIED": "36",
    "HTTP_BAD_REQUEST": "31;1",
    "HTTP_NOT_FOUND": "33",
    "HTTP_SERVER_ERROR": "35;1",
    "MIGRATE_HEADING": "36;1",
    "MIGRATE_LABEL": "1",
    "SQL_FIELD": "32;1",
    "SQL_KEYWORD": "33",
    "SQL_TABLE": "1",
}


class Style:
    """``style.SUCCESS("text")``, and so on for each role; the text itself where there are no colours."""

    def __init__(self, colored: bool) -> None:
        self._colored = colored

    def __getattr__(self, role: str) -> Callable[[str], str]:
        if not role.isupper():
            raise AttributeError(role)
        code = _CODES.get(role, "") if self._colored else ""
        return (lambda text: f"\x1b[{code}m{text}\x1b[0m") if code else str


def supports_color() -> bool:
    """Is stdout a terminal that wants colours?"""
    wanted = "NO_COLOR" not in os.environ and os.environ.get("DJANGO_COLORS") != "nocolor"
    return (
        wanted and hasattr(sys.stdout, "isatty") and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    )


def color_style(force_color: bool = False) -> Style:
    """Colours, if the terminal has them."""
    return Style(force_color or supports_color())


def no_style() -> Style:
    """None."""
    return Style(False)
