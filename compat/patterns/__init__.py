"""URL patterns: they match a path, and return its arguments and the rest of the path.

``path()`` and ``re_path()`` behave like those of ``django.urls`` and return objects with the same attributes
(``.pattern.match(path)``, ``.callback``, ``.default_args``, ``.name``); a router accepts ours and Django's.

As in Django, a regular expression that does not end in ``$`` is *searched*, so ``re_path("bar")`` matches
``foo/bar/baz``; and if a pattern has named groups, its unnamed groups are ignored.

>>> path("room/<int:number>/", print).pattern.match("room/7/")
('', (), {'number': 7})
>>> re_path(r"^room/(?P<name>\\w+)/$", print).pattern.match("room/café/")
('', (), {'name': 'café'})
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from compat.advice.handlers import require_application
from compat.exceptions import ImproperlyConfigured
from compat.patterns.converters import (
    Converter,
    IntConverter,
    PathConverter,
    SlugConverter,
    StringConverter,
    UUIDConverter,
    get_converters,
    register_converter,
)

__all__ = [
    "Converter",
    "IntConverter",
    "PathConverter",
    "PathMatch",
    "Pattern",
    "RegexPattern",
    "Resolver404",
    "ResolverMatch",
    "RoutePattern",
    "SlugConverter",
    "StringConverter",
    "URLPattern",
    "UUIDConverter",
    "get_converters",
    "make_prefix",
    "path",
    "re_path",
    "register_converter",
]

View = Callable[..., Any]


class Resolver404(Exception):
    """No pattern matches a path.

    ``path``: the part of the path that did not match, without its leading slash. ``tried``: the patterns that
    were tried, in order. Both may also be keys of a dict as the first argument, as in Django.
    """

    def __init__(self, *args: Any, path: str = "", tried: Sequence[Any] = ()) -> None:
        super().__init__(*args)
        detail = args[0] if args and isinstance(args[0], Mapping) else {"path": path, "tried": tried}
        self.path = str(detail.get("path", ""))
        self.tried = list(detail.get("tried", ()))


class PathMatch(NamedTuple):
    """The result of ``Pattern.match``: the rest of the path, and the arguments from it."""

    rest: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __repr__(self) -> str:
        return repr(tuple(self))


class Pattern:
    """The base class of ``RoutePattern`` and ``RegexPattern``: a compiled expression and its name."""

    regex: re.Pattern[str]
    _regex: str

    def __init__(self, source: str, name: str | None, is_endpoint: bool) -> None:
        if not isinstance(source, str) and isinstance(source, (bytes, re.Pattern, type(None))):
            raise TypeError(f"a URL pattern must be a str, not {source!r}")
        self.name = name
        self.converters: dict[str, Converter] = {}
        self._is_endpoint = is_endpoint

    def match(self, path: str) -> PathMatch | None:
        """Match ``path``, which has no leading slash; return None if it does not match."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return the pattern as text for errors."""
        return f"'{self}' [name='{self.name}']" if self.name else f"'{self}'"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.describe()}>"


class RoutePattern(Pattern):
    """A route of ``path()``: literal text with ``<type:name>`` parts.

    An endpoint must match the whole path, another pattern the beginning of it. Raises ImproperlyConfigured
    for a route that can never match: an unknown converter, a parameter that is not a Python name or occurs
    twice.
    """

    def __init__(self, route: str, name: str | None = None, is_endpoint: bool = False) -> None:
        super().__init__(route, name, is_endpoint)
        self._route = route
        self._regex, self.converters = _route_to_regex(str(route), is_endpoint)
        self.regex = _compile(self._regex, str(route))

    def match(self, path: str) -> PathMatch | None:
        found = self.regex.match(path)
        if found is None:
            return None
        kwargs = {}
        for name, converter in self.converters.items():
            try:
                kwargs[name] = converter.to_python(found[name])
            except ValueError:
                return None
        return PathMatch(path[found.end() :], (), kwargs)

    def __str__(self) -> str:
        return str(self._route)


class RegexPattern(Pattern):
    """A regular expression of ``re_path()``.

    An endpoint that ends in ``$`` must match the whole path. Another expression is searched, so its match may
    begin anywhere unless it starts with ``^``. Arguments are strings; a group without a match is left out.
    Raises ImproperlyConfigured for an expression that does not compile.
    """

    def __init__(self, regex: str, name: str | None = None, is_endpoint: bool = False) -> None:
        super().__init__(regex, name, is_endpoint)
        self._regex = str(regex)
        self.regex = _compile(self._regex, self._regex)
        self._whole = is_endpoint and self._regex.endswith("$")

    def match(self, path: str) -> PathMatch | None:
        whole = self._whole
        found = self.regex.fullmatch(path) if whole else self.regex.search(path)
        if found is None:
            return None
        rest, named = "" if whole else path[found.end() :], found.groupdict()
        if not named:
            return PathMatch(rest, found.groups(), {})
        if None in named.values():
            named = {name: value for name, value in named.items() if value is not None}
        return PathMatch(rest, (), named)

    def __str__(self) -> str:
        return self._regex


def _route_to_regex(route: str, is_endpoint: bool) -> tuple[str, dict[str, Converter]]:
    pieces = re.split("<([^>]+)>", route)  # literal text at even places, the content of <> at odd ones
    converters: dict[str, Converter] = {}
    regex = "^" + re.escape(pieces[0])
    for inside, literal in zip(pieces[1::2], pieces[2::2], strict=True):
        name, converter = _parameter(inside, route)
        if name in converters:
            raise ImproperlyConfigured(f"URL route {route!r} has two parameters named {name!r}.")
        converters[name] = converter
        regex += f"(?P<{name}>{converter.regex})" + re.escape(literal)
    return regex + (r"\Z" if is_endpoint else ""), converters


def _parameter(inside: str, route: str) -> tuple[str, Converter]:
    if not set(string.whitespace).isdisjoint(inside):
        raise ImproperlyConfigured(f"URL route {route!r} has whitespace in <{inside}>; remove it.")
    kind, colon, name = inside.partition(":")
    if not colon:
        kind, name = "str", inside
    if not name.isidentifier():
        raise ImproperlyConfigured(f"URL route {route!r}: {name!r} in <{inside}> is not a Python identifier.")
    converters = get_converters()
    if kind not in converters:
        known = ", ".join(sorted(converters))
        raise ImproperlyConfigured(
            f"URL route {route!r}: there is no converter {kind!r}. The converters are {known}; "
            "register_converter() adds one."
        )
    return name, converters[kind]


def _compile(regex: str, shown: str) -> re.Pattern[str]:
    try:
        return re.compile(regex)
    except re.error as error:
        raise ImproperlyConfigured(f"{shown!r} is not a valid regular expression: {error}") from error


class ResolverMatch:
    """The match of a path with a pattern. It unpacks as ``func, args, kwargs``.

    The attributes are those of ``django.urls.ResolverMatch``: ``route`` is the text of the pattern,
    ``captured_kwargs`` are from the path, ``extra_kwargs`` from the ``kwargs`` of the pattern.
    """

    def __init__(
        self,
        func: View,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        url_name: str | None = None,
        app_names: Sequence[str | None] | None = None,
        namespaces: Sequence[str | None] | None = None,
        route: str | None = None,
        tried: list[Any] | None = None,
        captured_kwargs: dict[str, Any] | None = None,
        extra_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.func = func
        self.args = args
        self.kwargs = kwargs
        self.url_name = url_name
        self.route = route
        self.tried = tried
        self.captured_kwargs = captured_kwargs
        self.extra_kwargs = extra_kwargs
        self.app_names = [name for name in app_names or () if name]
        self.app_name = ":".join(self.app_names)
        self.namespaces = [name for name in namespaces or () if name]
        self.namespace = ":".join(self.namespaces)

    @property
    def view_name(self) -> str:
        """The name of the route, or of the view, below its namespaces."""
        return ":".join([*self.namespaces, self.url_name or _dotted_name(self.func)])

    def __iter__(self) -> Iterator[Any]:
        return iter((self.func, self.args, self.kwargs))

    def __getitem__(self, index: int) -> Any:
        return tuple(self)[index]

    def __repr__(self) -> str:
        return (
            f"ResolverMatch(func={_dotted_name(self.func)}, args={self.args!r}, kwargs={self.kwargs!r}, "
            f"url_name={self.url_name!r}, app_names={self.app_names!r}, namespaces={self.namespaces!r}, "
            f"route={self.route!r})"
        )


class URLPattern:
    """A pattern and its application: the return value of ``path()`` and ``re_path()``."""

    def __init__(
        self,
        pattern: Pattern,
        callback: View,
        default_args: dict[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        self.pattern = pattern
        self.callback = callback
        self.default_args = default_args or {}
        self.name = name

    def resolve(self, path: str) -> ResolverMatch | None:
        """Return the match of ``path`` (without a leading slash), or None. ``default_args`` override the
        path's.
        """
        found = self.pattern.match(path)
        if found is None:
            return None
        return ResolverMatch(
            self.callback,
            found.args,
            {**found.kwargs, **self.default_args},
            self.pattern.name,
            route=str(self.pattern),
            captured_kwargs=found.kwargs,
            extra_kwargs=self.default_args,
        )

    @property
    def lookup_str(self) -> str:
        """The dotted name of the view."""
        return _dotted_name(self.callback)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.pattern.describe()}>"


def make_prefix(route: Any) -> None:
    """Have ``route``, Django's or ours, match how a path begins; ValueError for a pattern that cannot."""
    pattern = route.pattern
    source = getattr(pattern, "_route", getattr(pattern, "_regex", None))
    if source is None:
        raise ValueError(f"Unsupported pattern type: {type(pattern)}")
    route.pattern = type(pattern)(source, pattern.name, is_endpoint=False)


def path(route: str, view: View, kwargs: dict[str, Any] | None = None, name: str | None = None) -> URLPattern:
    """Return a route of literal text and ``<type:name>`` parts to an ASGI application or a view.

    ``route`` has no leading slash. ``kwargs`` are added to the arguments from the path, and override them.
    Raises ImproperlyConfigured for a route that can never match, TypeError for a view that cannot be called.
    """
    return URLPattern(
        RoutePattern(route, name, is_endpoint=True), _checked(view, kwargs, route), kwargs, name
    )


def re_path(
    route: str, view: View, kwargs: dict[str, Any] | None = None, name: str | None = None
) -> URLPattern:
    """Return a route with a regular expression; the arguments are those of ``path()``."""
    return URLPattern(
        RegexPattern(route, name, is_endpoint=True), _checked(view, kwargs, route), kwargs, name
    )


def _checked(view: View, kwargs: dict[str, Any] | None, route: str) -> View:
    if kwargs is not None and not isinstance(kwargs, dict):
        raise TypeError(f"kwargs argument must be a dict, but got {type(kwargs).__name__}.")
    if isinstance(view, (list, tuple)):
        raise ImproperlyConfigured(
            f"route {route!r}: include() is not supported here. Nest routers instead: "
            f"path({route!r}, URLRouter([...]))."
        )
    if not callable(view):
        raise TypeError(f"route {route!r}: view must be a callable, not {view!r}.")
    require_application(view, f"route {route!r}")
    return view


def _dotted_name(view: View) -> str:
    while isinstance(view, functools.partial):
        view = view.func
    named: Any = getattr(view, "view_class", view)
    if not hasattr(named, "__qualname__"):
        named = type(named)
    return f"{named.__module__}.{named.__qualname__}"
