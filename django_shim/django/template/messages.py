"""What to say about a tag or filter that is not there: Django's own, a library's that was not loaded, or
nobody's.
"""

from __future__ import annotations

from ..unserved import needs_django

__all__ = ["unknown_filter", "unknown_library", "unknown_tag"]

UNSERVED_TAGS = {
    "cache",
    "debug",
    "get_available_languages",
    "get_language_info",
    "get_language_info_list",
    "language",
    "localize",
    "localtime",
    "lorem",
    "partial",
    "partialdef",
    "querystring",
    "timezone",
}
UNSERVED_FILTERS = {
    "get_digit",
    "iriencode",
    "linenumbers",
    "localize",
    "localtime",
    "phone2numeric",
    "timezone",
    "truncatechars_html",
    "truncatewords_html",
    "unlocalize",
    "unordered_list",
    "urlize",
    "urlizetrunc",
    "utc",
}
UNSERVED_LIBRARIES = {"admin_list", "admin_modify", "admin_urls", "cache", "humanize", "log"}


def unknown_tag(name: str, library: str | None) -> str:
    """About ``{% name %}``; ``library`` has it, if any has."""
    if library:
        return f"the tag {name!r} is in the library {library!r}: write {{% load {library} %}} first"
    if name in UNSERVED_TAGS:
        return needs_django(f"the template tag {name!r}")
    if name.startswith("end") or name in ("else", "elif", "empty", "plural"):
        return f"{name!r} ends or divides a block that is not open here"
    return (
        f"there is no template tag {name!r}. If a library has it, {{% load %}} that; if it is Django's, "
        "install the real Django (pip install django)"
    )


def unknown_filter(name: str) -> str:
    """About ``|name``."""
    if name in UNSERVED_FILTERS:
        return needs_django(f"the template filter {name!r}")
    return (
        f"there is no template filter {name!r}. If a library has it, {{% load %}} that; if it is Django's, "
        "install the real Django (pip install django)"
    )


def unknown_library(name: str, known: list[str]) -> str:
    """About ``{% load name %}``."""
    if name in UNSERVED_LIBRARIES:
        return needs_django(f"the template library {name!r}")
    return (
        f"there is no template library {name!r}. There are: {', '.join(sorted(known))}. One of your own is "
        "a module in the folder templatetags/ of an app in INSTALLED_APPS"
    )
