"""Filters that know HTML: escaping, paragraphs, json_script."""

from __future__ import annotations

from typing import Any

from ...utils import html
from ...utils.safestring import SafeData, SafeString, mark_safe
from ...utils.text import normalize_newlines
from ..library import Library, stringfilter

__all__ = [
    "escape_filter",
    "json_script",
    "linebreaks_filter",
    "linebreaksbr",
    "register",
    "safe",
    "striptags",
]

register = Library()


@register.filter("escape", is_safe=True)
@stringfilter
def escape_filter(value: str) -> Any:
    """Escaped, once, however often it is asked for."""
    return html.conditional_escape(value)


@register.filter(is_safe=True)
@stringfilter
def safe(value: str) -> Any:
    """HTML, shown as it is."""
    return mark_safe(value)


@register.filter(is_safe=True)
@stringfilter
def striptags(value: str) -> str:
    """Without tags."""
    return html.strip_tags(value)


@register.filter("linebreaks", is_safe=True, needs_autoescape=True)
@stringfilter
def linebreaks_filter(value: str, autoescape: bool = True) -> SafeString:
    """Paragraphs and ``<br>``."""
    return SafeString(html.linebreaks(value, autoescape and not isinstance(value, SafeData)))


@register.filter(is_safe=True, needs_autoescape=True)
@stringfilter
def linebreaksbr(value: str, autoescape: bool = True) -> SafeString:
    """``<br>`` for line ends."""
    text = normalize_newlines(value)
    if autoescape and not isinstance(value, SafeData):
        text = html.escape(text)
    return SafeString(text.replace("\n", "<br>"))


@register.filter(is_safe=True)
def json_script(value: Any, element_id: Any = None) -> SafeString:
    """Return ``value`` as JSON in a ``<script>`` element that a script of the page reads."""
    return html.json_script(value, element_id)
