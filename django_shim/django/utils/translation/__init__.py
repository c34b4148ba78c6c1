"""The names of Django's translation, for text that stays as it is written: nothing is translated here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ...conf import settings
from ...unserved import attribute_of

__all__ = [
    "activate",
    "check_for_language",
    "deactivate",
    "deactivate_all",
    "get_language",
    "get_language_bidi",
    "get_language_from_request",
    "gettext",
    "gettext_lazy",
    "gettext_noop",
    "ngettext",
    "ngettext_lazy",
    "npgettext",
    "npgettext_lazy",
    "override",
    "pgettext",
    "pgettext_lazy",
    "to_locale",
]

__getattr__ = attribute_of(__name__)


def gettext(message: str) -> str:
    """``message``."""
    return message


def ngettext(singular: str, plural: str, number: int) -> str:
    """``singular`` for 1, else ``plural``."""
    return singular if number == 1 else plural


def pgettext(context: str, message: str) -> str:
    """``message``."""
    return message


def npgettext(context: str, singular: str, plural: str, number: int) -> str:
    """``singular`` for 1, else ``plural``."""
    return ngettext(singular, plural, number)


class _Plural(str):
    """``text % n`` before the number is known: picks the form when it is formatted."""

    singular: str

    def __new__(cls, singular: str, plural: str) -> _Plural:
        text = super().__new__(cls, plural)
        text.singular = singular
        return text

    def __mod__(self, values: Any) -> str:
        number = next(iter(values.values()), values) if isinstance(values, dict) else values
        form = self.singular if number == 1 else str(self)
        return form % values if "%" in form else form


def ngettext_lazy(singular: str, plural: str, number: Any = None) -> str:
    """As ``ngettext``; without a number (or with the name of one) the form is chosen by ``%``."""
    return ngettext(singular, plural, number) if isinstance(number, int) else _Plural(singular, plural)


def npgettext_lazy(context: str, singular: str, plural: str, number: Any = None) -> str:
    """As ``ngettext_lazy``."""
    return ngettext_lazy(singular, plural, number)


gettext_lazy = gettext_noop = gettext
pgettext_lazy = pgettext


def get_language() -> str:
    """LANGUAGE_CODE: the one language there is."""
    return str(settings.LANGUAGE_CODE)


def get_language_bidi() -> bool:
    """Is it written from right to left?"""
    return get_language().partition("-")[0] in {"ar", "fa", "he", "ug", "ur"}


def get_language_from_request(request: Any, check_path: bool = False) -> str:
    """LANGUAGE_CODE, whatever the browser would like."""
    return get_language()


def check_for_language(lang_code: str | None) -> bool:
    """True for the one language there is."""
    return lang_code == get_language()


def to_locale(language: str) -> str:
    """``"en-us"`` as ``"en_US"``."""
    lang, _, country = language.lower().partition("-")
    return f"{lang}_{country.upper() if len(country) <= 2 else country.title()}" if country else lang


def activate(language: str | None) -> None:
    """Changes nothing."""


def deactivate() -> None:
    """Changes nothing."""


def deactivate_all() -> None:
    """Changes nothing."""


@contextlib.contextmanager
def override(language: str | None, deactivate: bool = False) -> Iterator[None]:
    """Changes nothing within the block."""
    yield
