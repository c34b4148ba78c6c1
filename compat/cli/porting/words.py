"""Strings that name a whole package, an app or a distribution, or that a path is compared with.

find_spec("channels")                       find_spec("compat")
apps.is_installed("channels")               apps.is_installed("django_shim.with_django")
BACKEND.startswith("channels_redis.")       BACKEND.startswith("compat.layers.redis.")
"""

from __future__ import annotations

from compat.cli.moves import APPS, PACKAGES, gone
from compat.cli.porting.paths import moved, resolve
from compat.cli.porting.places import BEGINNINGS, COMPARED, DISTRIBUTIONS, INSTALLED, MODULE_CALLS
from compat.cli.porting.records import Text
from compat.cli.porting.served import exists_here

__all__ = ["is_word", "left_word", "new_word", "package_of"]


def package_of(text: Text) -> str | None:
    """Return the package that a string names or begins with; distributions may have hyphens."""
    value = text.value.replace("-", "_") if text.call in DISTRIBUTIONS else text.value
    first = value.partition(".")[0]
    return first if first in PACKAGES else None


def is_word(text: Text) -> bool:
    """Return True if this module judges a string; other dotted paths are those of ``judge``."""
    if package_of(text) is None:
        return False
    return "." not in text.value or text.call in BEGINNINGS or _asks_for_app(text)


def _asks_for_app(text: Text) -> bool:
    asks = text.call == "is_installed" or (text.call == COMPARED and text.setting == INSTALLED)
    return asks and text.value in APPS


def new_word(text: Text) -> str | None:
    """Return what replaces the string; ``port`` writes it if ``text.is_path``."""
    if _asks_for_app(text):
        return APPS[text.value]
    if text.call not in MODULE_CALLS | BEGINNINGS | {COMPARED} or text.setting.endswith("APPS"):
        return None
    new = _new_beginning(text.value)
    # __import__() returns the first package of a path: "channels_redis" has another one now.
    return None if new and text.call == "__import__" and "." in new else new


def _new_beginning(value: str) -> str | None:
    path = value.removesuffix(".")
    target = resolve(path, None)
    new = target.module if target is not None and exists_here(*target) else moved(path).path
    return f"{new}{value[len(path) :]}" if new else None


def left_word(text: Text) -> str | None:
    """Return what to do about a string that ``port`` leaves; None if nothing has to be done."""
    value, call = text.value, text.call
    said = f'the string "{value}" is left: '
    if call in DISTRIBUTIONS:
        return f'{said}the distribution is "channels-compat", and has version numbers of its own'
    if call == "get_app_config" and value in APPS:
        return f'{said}the label of the app that replaces it is "channels_compat"'
    if _asks_for_app(text):
        return None  # before it is removed; the line that removes it is reported
    if call in BEGINNINGS | {COMPARED}:
        # "channels" alone may be any word.
        if not text.is_path and value == "channels" and call == COMPARED:
            return None
    elif not text.is_path:
        return None
    new = _new_beginning(value)
    if new and call == "__import__":
        return f'{said}replace __import__() by import_module("{new}")'
    if new:
        return f'{said}if it is a path, replace it by "{new}"'
    if value.startswith("channels.") and not text.is_path:
        return None  # as the type of an event
    return said + (
        gone(value.removesuffix(".")) or "there is no one package in its place; see docs/porting.md"
    )
