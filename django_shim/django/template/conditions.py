"""What stands in an ``{% if %}``: operators around expressions, as a tree.

Pure. Operators bind, from loose to tight: ``or``; ``and``; ``not``; ``in`` and ``not in``; the comparisons
and ``is``. There are no parentheses, and comparisons do not chain: ``a < b < c`` is ``(a < b) < c``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .expressions import Expression, ExpressionError, parse_expression

__all__ = ["Condition", "Infix", "Negation", "parse_condition"]

STRENGTH = {
    "or": 6,
    "and": 7,
    "in": 9,
    "not in": 9,
    "is": 10,
    "is not": 10,
    "==": 10,
    "!=": 10,
    ">": 10,
    ">=": 10,
    "<": 10,
    "<=": 10,
}
NOT_STRENGTH = 8


@dataclass(frozen=True)
class Negation:
    """``not …``"""

    operand: Condition


@dataclass(frozen=True)
class Infix:
    """``left operator right``"""

    operator: str
    left: Condition
    right: Condition


Condition = Expression | Negation | Infix


def parse_condition(words: Sequence[str]) -> Condition:
    """Read a whole condition; ExpressionError if it is not one."""
    reader = _Reader(words)
    if not words:
        raise ExpressionError("'if' has no condition")
    condition = reader.read(0)
    if reader.word is not None:
        raise ExpressionError(f"there is no operator in front of {reader.word!r}")
    return condition


class _Reader:
    """Top-down operator precedence: read an operand, then operators while they bind tighter than what is
    outside.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = _paired(words)
        self.position = 0

    @property
    def word(self) -> str | None:
        return self.words[self.position] if self.position < len(self.words) else None

    def take(self) -> str:
        word = self.word
        if word is None:
            raise ExpressionError("the condition ends too early")
        self.position += 1
        return word

    def read(self, outside: int) -> Condition:
        left = self.operand()
        while self.word in STRENGTH and STRENGTH[self.word] > outside:
            operator = self.take()
            left = Infix(operator, left, self.read(STRENGTH[operator]))
        return left

    def operand(self) -> Condition:
        word = self.take()
        if word == "not":
            return Negation(self.read(NOT_STRENGTH))
        if word in STRENGTH:
            raise ExpressionError(f"{word!r} stands where a value should")
        return parse_expression(word)


def _paired(words: Sequence[str]) -> list[str]:
    """``not in`` and ``is not`` as one word each."""
    paired: list[str] = []
    for word in words:
        before = paired[-1] if paired else ""
        if (before, word) in (("not", "in"), ("is", "not")):
            paired[-1] = f"{before} {word}"
        else:
            paired.append(word)
    return paired
