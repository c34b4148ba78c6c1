"""``room.name|default:"lobby"|upper`` as data: a variable or a constant, and the filters it goes through.

Pure. What cannot be read is an ExpressionError, to which the caller adds template and line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..utils.text import unescape_string_literal

__all__ = ["Constant", "Expression", "ExpressionError", "FilterCall", "Lookup", "keyword", "parse_expression"]

_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_ATOM = re.compile(
    rf"_\((?P<translated>{_QUOTED})\)|(?P<quoted>{_QUOTED})|(?P<bare>[\w.]+|[-+.]?\d[\d.e]*)", re.DOTALL
)
_FILTER = re.compile(r"\s*\|\s*(?P<name>\w+)(?P<colon>:)?")
_KEYWORD = re.compile(r"(\w+)=(.+)", re.DOTALL)
_WORDS: dict[str, bool | None] = {"True": True, "False": False, "None": None}


class ExpressionError(ValueError):
    """An expression that is not written right."""


@dataclass(frozen=True)
class Constant:
    """A literal; text in quotes counts as HTML, since the template's author wrote it."""

    value: str | int | float | bool | None


@dataclass(frozen=True)
class Lookup:
    """A variable, and what is looked up in it, step by step."""

    name: str
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.name, *self.steps))


Atom = Constant | Lookup


@dataclass(frozen=True)
class FilterCall:
    """A filter, with its one argument if it has one."""

    name: str
    argument: Atom | None


@dataclass(frozen=True)
class Expression:
    """A value and the filters that it goes through, from left to right."""

    base: Atom
    filters: tuple[FilterCall, ...]


def parse_expression(text: str) -> Expression:
    """Read one expression; all of ``text`` must belong to it."""
    base, position = _atom(text, 0)
    if base is None:
        raise ExpressionError(f"{text!r} is no expression" if text else "there is no expression")
    filters: list[FilterCall] = []
    while match := _FILTER.match(text, position):
        argument, position = None, match.end()
        if match["colon"]:
            argument, position = _atom(text, position)
            if argument is None:
                raise ExpressionError(f"the filter {match['name']!r} has a colon and no argument in {text!r}")
        filters.append(FilterCall(match["name"], argument))
    if position != len(text):
        raise ExpressionError(f"{text[position:]!r} is left over of {text!r}")
    return Expression(base, tuple(filters))


def _atom(text: str, position: int) -> tuple[Atom | None, int]:
    match = _ATOM.match(text, position)
    if match is None:
        return None, position
    if (bare := match["bare"]) is not None:
        return _bare(bare), match.end()
    return Constant(unescape_string_literal(match["translated"] or match["quoted"])), match.end()


def _bare(text: str) -> Atom:
    if text in _WORDS:
        return Constant(_WORDS[text])
    number = _number(text)
    if number is not None:
        return Constant(number)
    name, *steps = text.split(".")
    if any(part.startswith("_") for part in (name, *steps)):
        raise ExpressionError(f"a name that begins with an underscore is private: {text!r}")
    if not all((name, *steps)):
        raise ExpressionError(f"there is a dot too many in {text!r}")
    return Lookup(name, tuple(steps))


def _number(text: str) -> int | float | None:
    if text.endswith("."):
        return None
    try:
        return float(text) if "." in text or "e" in text.lower() else int(text)
    except ValueError:
        return None


def keyword(word: str) -> tuple[str, str] | None:
    """Return ``name=expression`` as its two sides, or None."""
    match = _KEYWORD.fullmatch(word)
    return (match[1], match[2]) if match else None
