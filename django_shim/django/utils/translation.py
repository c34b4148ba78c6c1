"""The names of Django's translation, for text that stays as it is written: nothing is translated here."""

from __future__ import annotations

from ..conf import settings

__all__ = [
    "get_language",
    "gettext",
    "gettext_lazy",
    "gettext_noop",
    "ngettext",
    "pgettext",
    "pgettext_lazy",
]


def gettext(message: str) -> str:
    """Return ``message``."""
    return message


def pgettext(context: str, message: str) -> str:
    """Return ``message``."""
    return message


def ngettext(singular: str, plural: str, number: int) -> str:
    """Return ``singular`` for 1, else ``plural``."""
    return singular if number == 1 else plural


gettext_lazy = gettext_noop = gettext
pgettext_lazy = pgettext


def get_language() -> str:
    """Return LANGUAGE_CODE: the one language there is."""
    return str(settings.LANGUAGE_CODE)
