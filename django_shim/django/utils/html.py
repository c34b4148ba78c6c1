"""Escaping, and making HTML out of text."""

from __future__ import annotations

import html
import json
import re
import warnings
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any

from ..core.exceptions import SuspiciousOperation
from .safestring import SafeString, mark_safe

__all__ = [
    "conditional_escape",
    "escape",
    "escapejs",
    "format_html",
    "format_html_join",
    "json_script",
    "linebreaks",
    "strip_tags",
]


_JSON_ESCAPES = {ord(">"): "\\u003E", ord("<"): "\\u003C", ord("&"): "\\u0026"}
"""Inside a ``<script>`` element, so that no text can end it."""

_JS_ESCAPES = {code: f"\\u{code:04X}" for code in (*map(ord, "\\'\"><&=-;`"), 0x2028, 0x2029, *range(32))}


def escape(text: Any) -> SafeString:
    """Return ``text`` with ``& < > " '`` as entities; also what is safe already (see conditional_escape)."""
    return SafeString(html.escape(str(text)))


def conditional_escape(text: Any) -> Any:
    """As ``escape``, but what says that it is HTML (by ``__html__``) is left alone."""
    if hasattr(text, "__html__"):
        return text.__html__()
    return escape(text)


def escapejs(value: Any) -> SafeString:
    """``value`` for use inside a quoted JavaScript string."""
    return SafeString(str(value).translate(_JS_ESCAPES))


def json_script(
    value: Any, element_id: str | None = None, encoder: type[json.JSONEncoder] | None = None
) -> SafeString:
    """Return ``value`` as JSON in a ``<script type="application/json">`` that no content can break out of."""
    from ..core.serializers.json import DjangoJSONEncoder

    text = json.dumps(value, cls=encoder or DjangoJSONEncoder).translate(_JSON_ESCAPES)
    if element_id:
        return format_html('<script id="{}" type="application/json">{}</script>', element_id, mark_safe(text))
    return format_html('<script type="application/json">{}</script>', mark_safe(text))


def format_html(format_string: str, *args: Any, **kwargs: Any) -> SafeString:
    """``str.format`` that escapes every argument and gives HTML.

    Without arguments there is nothing to escape, and the string was probably put together by other means:
    a DeprecationWarning.
    """
    if not (args or kwargs):
        warnings.warn(
            "format_html() without arguments escapes nothing: use mark_safe() for a constant. Django 6.0 "
            "refuses.",
            DeprecationWarning,
            stacklevel=2,
        )
    escaped = {name: conditional_escape(value) for name, value in kwargs.items()}
    return SafeString(format_string.format(*map(conditional_escape, args), **escaped))


def format_html_join(sep: str, format_string: str, args_generator: Iterable[Any]) -> SafeString:
    """``format_html`` over rows (sequences or mappings), joined by ``sep``."""
    rows = (
        format_html(format_string, **row) if isinstance(row, dict) else format_html(format_string, *row)
        for row in args_generator
    )
    return SafeString(conditional_escape(sep).join(rows))


def linebreaks(value: Any, autoescape: bool = False) -> str:
    """Blank lines become paragraphs, single line ends ``<br>``."""
    text = str(value).replace("\r\n", "\n").replace("\r", "\n")
    paragraphs = (escape(part) if autoescape else part for part in re.split("\n{2,}", text))
    return "\n\n".join("<p>{}</p>".format(part.replace("\n", "<br>")) for part in paragraphs)


_UNENDED = re.compile("<[a-zA-Z][^>]{1000,}")
MANY = 50


class _TextOnly(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.pieces: list[str] = []

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    def handle_entityref(self, name: str) -> None:
        self.pieces.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.pieces.append(f"&#{name};")


def strip_tags(value: Any) -> str:
    """Remove what parses as a tag from ``value``. It is no sanitizer: the result is not safe HTML.

    Raises SuspiciousOperation for a long text with many tags that do not end, or with tags that removing
    others makes, fifty times over.
    """
    text = str(value)
    if any(tag.group().count("<") >= MANY for tag in _UNENDED.finditer(text)):
        raise SuspiciousOperation("a text with many tags that do not end, which take quadratic time")
    passes = 0
    while "<" in text and ">" in text:  # "<<b>b>" takes more than one pass
        if passes == MANY:
            raise SuspiciousOperation(f"a text that still has tags after {MANY} times of removing them")
        passes += 1
        parser = _TextOnly()
        parser.feed(text)
        parser.close()
        stripped = "".join(parser.pieces)
        if stripped.count("<") == text.count("<"):
            break
        text = stripped
    return text
