"""The filters as functions, for Python code: ``from django.template.defaultfilters import slugify``."""

from __future__ import annotations

from .filters import BUILTIN_FILTERS
from .filters.dates import date
from .filters.lists import (
    default,
    default_if_none,
    first,
    join,
    last,
    length,
    yesno,
)
from .filters.markup import (
    escape_filter,
    json_script,
    linebreaks_filter,
    linebreaksbr,
    safe,
    striptags,
)
from .filters.numbers import add, filesizeformat, floatformat, pluralize
from .filters.text import (
    addslashes,
    capfirst,
    center,
    escapejs_filter,
    ljust,
    lower,
    make_list,
    rjust,
    slugify,
    stringformat,
    title,
    truncatechars,
    truncatewords,
    upper,
    urlencode,
    wordwrap,
)
from .library import stringfilter

__all__ = [
    "add",
    "addslashes",
    "capfirst",
    "center",
    "date",
    "default",
    "default_if_none",
    "escape_filter",
    "escapejs_filter",
    "filesizeformat",
    "first",
    "floatformat",
    "join",
    "json_script",
    "last",
    "length",
    "linebreaks_filter",
    "linebreaksbr",
    "ljust",
    "lower",
    "make_list",
    "pluralize",
    "register",
    "rjust",
    "safe",
    "slugify",
    "stringfilter",
    "stringformat",
    "striptags",
    "title",
    "truncatechars",
    "truncatewords",
    "upper",
    "urlencode",
    "wordwrap",
    "yesno",
]

register = BUILTIN_FILTERS
