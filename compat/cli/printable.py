"""Text of foreign files for a terminal: control characters and invisible characters are shown as escapes."""

from __future__ import annotations

import unicodedata

__all__ = ["printable"]

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories: controls, formats (directions, zero widths), surrogates, separators of lines and
paragraphs.
"""


def printable(text: str, keep: str = "") -> str:
    r"""Return ``text`` with an escape for each control or invisible character that is not in ``keep``.

    >>> printable("evil\x1b[2J.py"), printable("caf\udce9.py"), printable("a\nb"), printable("a\nb", "\n")
    ('evil\\x1b[2J.py', 'caf\\udce9.py', 'a\\nb', 'a\nb')
    """
    if text.isprintable():
        return text
    return "".join(char if char in keep or not _is_hidden(char) else _escape(char) for char in text)


def _is_hidden(char: str) -> bool:
    return unicodedata.category(char) in HIDDEN


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
