"""Plain text: slugs, cutting to length, splitting with quotes."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterator
from typing import Any

__all__ = [
    "Truncator",
    "capfirst",
    "normalize_newlines",
    "slugify",
    "smart_split",
    "unescape_string_literal",
    "wrap",
]


_WORD = re.compile(r"""(?:[^\s'"]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|['"])+""")
"""A word: quoted parts belong to it, white space and all; a quote that is never closed is a letter."""


def capfirst(x: Any) -> str:
    """Return the first letter in upper case, the rest untouched."""
    text = str(x)
    return text[:1].upper() + text[1:]


def slugify(value: Any, allow_unicode: bool = False) -> str:
    """Letters, digits, underscores and single hyphens, in lower case."""
    text = unicodedata.normalize("NFKC" if allow_unicode else "NFKD", str(value))
    if not allow_unicode:
        text = text.encode("ascii", "ignore").decode("ascii")
    kept = re.sub(r"[^\w\s-]", "", text.lower())
    return re.sub(r"[-\s]+", "-", kept).strip("-_")


def wrap(text: str, width: int) -> str:
    """Line breaks between words so that lines stay below ``width``; long words and existing breaks stay."""
    wrapper = textwrap.TextWrapper(
        width, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    )
    lines = [part for line in text.splitlines() for part in wrapper.wrap(line) or [line]]
    return "\n".join(lines) + ("\n" if text.endswith("\n") else "")


def normalize_newlines(text: str) -> str:
    """CRLF and CR as LF."""
    return str(text).replace("\r\n", "\n").replace("\r", "\n")


def smart_split(text: str) -> Iterator[str]:
    r"""Words of ``text``; white space inside quotes does not split.

    >>> list(smart_split('url "a b" x|default:"c d"'))
    ['url', '"a b"', 'x|default:"c d"']
    """
    yield from _WORD.findall(text)


def unescape_string_literal(s: str) -> str:
    r"""What a quoted literal stands for: without its quotes, ``\"`` and ``\\`` resolved."""
    if len(s) < 2 or s[0] not in "\"'" or s[-1] != s[0]:
        raise ValueError(f"{s!r} is not in quotes")
    return s[1:-1].replace("\\" + s[0], s[0]).replace("\\\\", "\\")


class Truncator:
    """Cuts text to a number of characters or words, the ellipsis included."""

    def __init__(self, text: Any) -> None:
        self.text = str(text)

    def chars(self, num: int, truncate: str | None = None) -> str:
        """At most ``num`` characters; combining marks do not count."""
        ellipsis = "…" if truncate is None else truncate
        text = unicodedata.normalize("NFC", self.text)
        length = max(int(num), 0)
        room, count, end = length - _visible(ellipsis), 0, None
        for place, character in enumerate(text):
            count += not unicodedata.combining(character)
            if end is None and count > room:
                end = place
            if count > length:
                return text[:end] + ellipsis if length else ""
        return text

    def words(self, num: int, truncate: str | None = None) -> str:
        """At most ``num`` words."""
        words = self.text.split()
        length = max(int(num), 0)
        if not length or len(words) <= length:
            return " ".join(words) if length else ""
        ellipsis = "…" if truncate is None else truncate
        return " ".join(words[:length]) + ellipsis


def _visible(text: str) -> int:
    return sum(not unicodedata.combining(character) for character in text)
