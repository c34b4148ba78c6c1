"""What to say about a tag or filter that is not there: Django's own, a library's that was not loaded, or
nobody's.
"""

from __future__ import annotations

from ..unserved import needs_django

__all__ = ["unknown_filter", "unknown_library", "unknown_tag"]

UNSERVED_TAGS = frozenset(
    """blocktrans blocktranslate cache cycle debug filter firstof get_available_languages get_current_language
    get_current_language_bidi get_current_timezone get_language_info get_language_info_list get_media_prefix
    get_static_prefix ifchanged language localize localtime lorem now partial partialdef querystring regroup
    resetcycle spaceless templatetag timezone trans translate widthratio""".split()
)
UNSERVED_FILTERS = frozenset(
    """cut dictsort dictsortreversed divisibleby escapeseq force_escape get_digit iriencode language_bidi
    language_name language_name_local language_name_translated linenumbers localize localtime phone2numeric
    pprint random safeseq slice time timesince timeuntil timezone truncatechars_html truncatewords_html
    unlocalize unordered_list urlize urlizetrunc utc wordcount""".split()
)
UNSERVED_LIBRARIES = frozenset("admin_list admin_modify admin_urls cache humanize i18n l10n log tz".split())


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
