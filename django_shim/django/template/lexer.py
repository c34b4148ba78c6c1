"""A template's source as tokens: text, ``{{ variables }}``, ``{% tags %}``, ``{# comments #}``.

Pure. A token never spans lines, as in Django: ``{{`` without ``}}`` on its line is text.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import NamedTuple

from ..utils.text import smart_split

__all__ = ["Kind", "Token", "tokenize"]

_TOKEN = re.compile(r"\{%(?P<tag>.*?)%\}|\{\{(?P<variable>.*?)\}\}|\{#(?P<comment>.*?)#\}")


class Kind(enum.Enum):
    TEXT = "text"
    VARIABLE = "variable"
    TAG = "tag"
    COMMENT = "comment"


class Token(NamedTuple):
    """``text`` is without the braces and the white space next to them, except for TEXT; ``line`` counts from
    1.
    """

    kind: Kind
    text: str
    line: int
    source: str

    @property
    def name(self) -> str:
        """A tag's first word."""
        return self.text.split(None, 1)[0] if self.text else ""

    @property
    def arguments(self) -> list[str]:
        """A tag's other words."""
        return list(smart_split(self.text))[1:]


def tokenize(source: str) -> Iterator[Token]:
    """Yield the tokens in order; joined, their ``source`` is the source again.

    Between ``{% verbatim %}`` and its end there is only text.
    """
    line, position, verbatim_end = 1, 0, ""
    for match in _TOKEN.finditer(source):
        if match.start() > position:
            text = source[position : match.start()]
            yield Token(Kind.TEXT, text, line, text)
            line += text.count("\n")
        token = _token(match, line)
        if verbatim_end and not (token.kind is Kind.TAG and token.text == verbatim_end):
            token = Token(Kind.TEXT, match[0], line, match[0])
        elif token.kind is Kind.TAG:
            verbatim_end = f"end{token.text}" if not verbatim_end and token.name == "verbatim" else ""
        yield token
        position = match.end()
    if position < len(source):
        yield Token(Kind.TEXT, source[position:], line, source[position:])


def _token(match: re.Match[str], line: int) -> Token:
    kind = Kind(match.lastgroup)
    return Token(kind, match[match.lastgroup or 0].strip(), line, match[0])
