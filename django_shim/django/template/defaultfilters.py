"""The filters as functions, for Python code: ``from django.template.defaultfilters import slugify``."""

from __future__ import annotations

from ..unserved import NOT_A_PACKAGE, attribute_of
from .filters import BUILTIN_FILTERS
from .filters.dates import date, time, timesince_filter, timeuntil_filter
from .filters.lists import (
    default,
    default_if_none,
    dictsort,
    dictsortreversed,
    first,
    join,
    last,
    length,
    pprint,
    random,
    slice_filter,
    yesno,
)
from .filters.markup import (
    escape_filter,
    escapeseq,
    force_escape,
    json_script,
    linebreaks_filter,
    linebreaksbr,
    safe,
    safeseq,
    striptags,
)
from .filters.numbers import add, divisibleby, filesizeformat, floatformat, pluralize
from .filters.text import (
    addslashes,
    capfirst,
    center,
    cut,
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
    wordcount,
    wordwrap,
)
from .library import stringfilter

__all__ = [
    "add",
    "addslashes",
    "capfirst",
    "center",
    "cut",
    "date",
    "default",
    "default_if_none",
    "dictsort",
    "dictsortreversed",
    "divisibleby",
    "escape_filter",
    "escapejs_filter",
    "escapeseq",
    "filesizeformat",
    "first",
    "floatformat",
    "force_escape",
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
    "pprint",
    "random",
    "register",
    "rjust",
    "safe",
    "safeseq",
    "slice_filter",
    "slugify",
    "stringfilter",
    "stringformat",
    "striptags",
    "time",
    "timesince_filter",
    "timeuntil_filter",
    "title",
    "truncatechars",
    "truncatewords",
    "upper",
    "urlencode",
    "wordcount",
    "wordwrap",
    "yesno",
]

register = BUILTIN_FILTERS

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)
