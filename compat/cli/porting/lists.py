"""Lists and tuples of a syntax tree: take an element out, or put one in front, and keep the comments.

The gap before an element is the whitespace and the comments before its text; the last gap is that before the
closing bracket.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import libcst as cst

__all__ = ["with_first", "without"]

Gap = cst.SimpleWhitespace | cst.ParenthesizedWhitespace


def without(node: Any, number: int) -> Any:
    """Return the list without an element, but with the comments around it."""
    elements, gaps = list(node.elements), _gaps(node)
    removed = elements.pop(number)
    at_end = number == len(elements)
    if at_end and elements:
        elements[-1] = elements[-1].with_changes(comma=removed.comma)
    gaps[number : number + 2] = [_joined(gaps[number], gaps[number + 1], at_end)]
    if not elements:
        nothing = cst.SimpleWhitespace("")
        gaps = [gaps[0] if _has_comment(gaps[0]) else nothing, nothing]
    return _with_gaps(node.with_changes(elements=elements), gaps)


def with_first(node: cst.List | cst.Tuple, text: str) -> cst.List | cst.Tuple:
    """Return the list with a string in front, written like the others."""
    quote = next((one.value.quote for one in node.elements if isinstance(one.value, cst.SimpleString)), '"')
    comma: Any = cst.MaybeSentinel.DEFAULT
    if node.elements:
        gap = _gaps(node)[0]
        if isinstance(gap, cst.SimpleWhitespace):
            gap = cst.SimpleWhitespace(gap.value or " ")
        comma = cst.Comma(whitespace_after=gap)
    first = cst.Element(cst.SimpleString(f"{quote}{text}{quote}"), comma)
    return node.with_changes(elements=[first, *node.elements])


def _gaps(node: Any) -> list[Gap]:
    between = [element.comma.whitespace_after for element in node.elements[:-1]]
    if isinstance(node, cst.List):
        opening: Any = node.lbracket
        closing: Any = node.rbracket
    elif node.lpar:
        opening, closing = node.lpar[-1], node.rpar[0]
    else:
        nothing = cst.SimpleWhitespace("")
        return [nothing, *between, nothing]
    return [opening.whitespace_after, *between, closing.whitespace_before]


def _with_gaps(node: Any, gaps: Sequence[Gap]) -> Any:
    first, *between, last = gaps
    elements = [
        element.with_changes(comma=element.comma.with_changes(whitespace_after=gap))
        for element, gap in zip(node.elements, between, strict=False)
    ]
    node = node.with_changes(elements=[*elements, *node.elements[len(elements) :]])
    if isinstance(node, cst.List):
        return node.with_changes(
            lbracket=node.lbracket.with_changes(whitespace_after=first),
            rbracket=node.rbracket.with_changes(whitespace_before=last),
        )
    if not node.lpar:
        return node if node.elements else cst.Tuple([])
    return node.with_changes(
        lpar=[*node.lpar[:-1], node.lpar[-1].with_changes(whitespace_after=first)],
        rpar=[node.rpar[0].with_changes(whitespace_before=last), *node.rpar[1:]],
    )


def _joined(before: Gap, after: Gap, at_end: bool) -> Gap:
    """Return one gap in place of two, with the comments of both."""
    if isinstance(before, cst.SimpleWhitespace):
        return before if isinstance(after, cst.SimpleWhitespace) and not at_end else after
    if isinstance(after, cst.SimpleWhitespace):
        return after if at_end and not _has_comment(before) else before
    own = after.first_line.comment
    line = cst.EmptyLine(before.indent, before.last_line, own)
    layout = after if at_end else before
    return before.with_changes(
        empty_lines=[*before.empty_lines, *([line] if own else []), *after.empty_lines],
        indent=layout.indent,
        last_line=layout.last_line,
    )


def _has_comment(gap: Gap) -> bool:
    if isinstance(gap, cst.SimpleWhitespace):
        return False
    return bool(gap.first_line.comment) or any(line.comment for line in gap.empty_lines)
