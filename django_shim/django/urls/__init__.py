"""URLs to views and back: ``path``, ``re_path``, ``include``, ``reverse``, ``resolve``."""

from __future__ import annotations

from .base import (
    get_script_prefix,
    get_urlconf,
    is_valid_path,
    resolve,
    reverse,
    set_script_prefix,
    set_urlconf,
)
from .conf import include, path, re_path
from .converters import register_converter
from .exceptions import NoReverseMatch, Resolver404
from .resolvers import ResolverMatch, URLPattern, URLResolver, get_resolver
from .utils import get_callable

__all__ = [
    "NoReverseMatch",
    "Resolver404",
    "ResolverMatch",
    "URLPattern",
    "URLResolver",
    "get_callable",
    "get_resolver",
    "get_script_prefix",
    "get_urlconf",
    "include",
    "is_valid_path",
    "path",
    "re_path",
    "register_converter",
    "resolve",
    "reverse",
    "set_script_prefix",
    "set_urlconf",
]
