"""Parts of a syntax tree of LibCST: names, strings, comments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

import libcst as cst
import libcst.matchers as m

__all__ = ["as_name", "comments", "dotted", "node_of", "root_of", "text_of", "with_end", "with_text"]

TYPE_IGNORE = re.compile(r"#\s*type:\s*ignore\b")

Line = TypeVar("Line", cst.SimpleStatementLine, cst.SimpleStatementSuite)


def dotted(node: cst.BaseExpression | None) -> str | None:
    """Return the dotted name that an expression is, or None."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        first = dotted(node.value)
        return None if first is None else f"{first}.{node.attr.value}"
    return None


def root_of(path: str) -> str:
    """Return the first name of a dotted name."""
    return path.partition(".")[0]


def node_of(path: str) -> cst.Name | cst.Attribute:
    """Return the expression of a dotted name."""
    first, *rest = path.split(".")
    node: cst.Name | cst.Attribute = cst.Name(first)
    for part in rest:
        node = cst.Attribute(node, cst.Name(part))
    return node


def text_of(node: cst.CSTNode) -> str | None:
    """Return the value of a plain string literal, or None for any other node."""
    if not isinstance(node, cst.SimpleString) or "f" in node.prefix or "b" in node.prefix:
        return None
    value = node.evaluated_value
    return value if isinstance(value, str) else None


def with_text(node: cst.SimpleString, value: str) -> cst.SimpleString:
    """Return the string literal with another value."""
    return node.with_changes(value=f"{node.prefix}{node.quote}{value}{node.quote}")


def as_name(alias: cst.ImportAlias, name: str) -> cst.ImportAlias:
    """Return the alias bound to the local name ``name``."""
    space = cst.SimpleWhitespace(" ")
    asname = cst.AsName(cst.Name(name), whitespace_before_as=space, whitespace_after_as=space)
    return alias.with_changes(asname=asname)


def comments(node: cst.CSTNode | None) -> list[str]:
    """Return the comments in a node."""
    found = m.findall(node, m.Comment()) if node else ()
    return [one.value for one in found if isinstance(one, cst.Comment)]


def with_end(line: Line, more: Iterable[str]) -> Line:
    """Return the line with more comments at its end, before the one that it has.

    Type checkers read ``# type: ignore`` only where it is the first.
    """
    end = line.trailing_whitespace
    own = end.comment.value if end.comment else ""
    texts: list[str] = [text for text in dict.fromkeys(more) if text not in own]
    if not texts:
        return line
    ordered = sorted([*texts, own], key=lambda text: not TYPE_IGNORE.match(text))
    comment = cst.Comment("  ".join(ordered).rstrip())
    return line.with_changes(
        trailing_whitespace=end.with_changes(whitespace=cst.SimpleWhitespace("  "), comment=comment)
    )
