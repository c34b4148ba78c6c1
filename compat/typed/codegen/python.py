"""Python source, formatted as ruff or black would (88 columns, trailing commas)."""

from __future__ import annotations

import json
import keyword
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

__all__ = ["WIDTH", "Bracketed", "Either", "Expression", "assignment", "docstring", "identifier", "literal"]

WIDTH = 88


class Bracketed(NamedTuple):
    """``head[item, …]`` or ``head(item, …)``, on one line if it fits, else with a line for each item."""

    head: str
    items: Sequence[Expression]
    brackets: str = "[]"

    def flat(self) -> str:
        return f"{self.head}{self.brackets[0]}{', '.join(map(_flat, self.items))}{self.brackets[1]}"


class Either(NamedTuple):
    """``A | B``, on one line if it fits, else with a line for each option."""

    options: Sequence[Expression]

    def flat(self) -> str:
        return " | ".join(map(_flat, self.options))


Expression: TypeAlias = "str | Bracketed | Either"


def _flat(expression: Expression) -> str:
    return expression if isinstance(expression, str) else expression.flat()


def assignment(target: str, value: Expression, indent: str = "", after: str = "") -> Iterator[str]:
    """Yield the lines of ``target`` (with its ``: `` or ``= ``), ``value`` and ``after``."""
    flat = f"{indent}{target}{_flat(value)}{after}"
    if len(flat) <= WIDTH or isinstance(value, str):
        yield flat
    elif isinstance(value, Either):
        yield f"{indent}{target}("
        inner = f"{indent}    {value.flat()}"
        yield from [inner] if len(inner) <= WIDTH else _alternatives(value, indent + "    ")
        yield f"{indent}){after}"
    else:
        yield f"{indent}{target}{value.head}{value.brackets[0]}"
        # A comma after the only item of a subscript would make it a tuple.
        comma = "" if value.brackets == "[]" and len(value.items) == 1 else ","
        for item in value.items:
            yield from _item(item, indent + "    ", comma)
        yield f"{indent}{value.brackets[1]}{after}"


def _item(item: Expression, indent: str, comma: str) -> Iterator[str]:
    if isinstance(item, Either) and len(indent) + len(item.flat()) + len(comma) > WIDTH:
        *lines, last = _alternatives(item, indent)
        yield from lines
        yield last + comma
    else:
        yield from assignment("", item, indent, comma)


def _alternatives(either: Either, indent: str) -> Iterator[str]:
    for index, option in enumerate(either.options):
        yield from assignment("| " if index else "", option, indent)


def docstring(text: str, indent: str = "") -> Iterator[str]:
    """Yield the lines of a docstring with the paragraphs of ``text``."""
    width = WIDTH - len(indent) - 3
    text = re.sub(r"[\x00-\x08\x0e-\x1f\x7f]", " ", text)  # no source may have a NUL
    text = text.strip().replace("\\", "\\\\").replace('"""', "'''")
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]
    lines: list[str] = []
    for paragraph in paragraphs:
        lines += ["", *textwrap.wrap(paragraph, width, break_long_words=False, break_on_hyphens=False)]
    first, *rest = lines[1:] or ["…"]
    if not rest:
        yield f'{indent}"""{first}{" " if first.endswith(chr(34)) else ""}"""'
        return
    yield f'{indent}"""{first}'
    for line in rest:
        yield f"{indent}{line}" if line else ""
    yield f'{indent}"""'


def literal(value: Any) -> str:
    """Return JSON values as Python source; strings have the quotes that a formatter prefers."""
    if isinstance(value, str):
        quoted = json.dumps(value, ensure_ascii=False)
        if '"' in value and "'" not in value:
            return "'" + quoted[1:-1].replace('\\"', '"') + "'"
        return quoted
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def identifier(text: str) -> str:
    """Return ``text`` as a valid Python name."""
    # Of letters and digits, some are in no name of Python, such as ².
    name = "".join(char if f"a{char}".isidentifier() else "_" for char in text)
    name = re.sub("__+", "_", name).strip("_") or "unnamed"
    if name[0].isdigit():
        name = f"n{name}"
    return f"{name}_" if keyword.iskeyword(name) else name
