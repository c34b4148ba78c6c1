"""Text of other people's files on a terminal: what moves the cursor or hides text is shown as its escape."""

from __future__ import annotations

import unicodedata

__all__ = ["printable"]

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories of controls, of formats (directions, zero widths), surrogates and line separators."""


def printable(text: str, keep: str = "") -> str:
    r"""Return ``text`` with every control or invisible character but those of ``keep`` as its escape.

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
