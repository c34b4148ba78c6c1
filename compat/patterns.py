"""URL patterns: a path in, what is left of it and what it carried out.

``path()`` and ``re_path()`` take and match what ``django.urls``' functions of these names do, and make
objects of the same shape (``.pattern.match(path)``, ``.callback``, ``.default_args``, ``.name``), so that a
router can be given ours or Django's. Pure: strings in, values or errors out.

The two quirks that surprise, both Django's: a regular expression that does not end in ``$`` is *searched*, so
``re_path("bar")`` matches ``foo/bar/baz``; and where a pattern has named groups its unnamed ones are dropped.

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

from compat.converters import (
    Converter,
    IntConverter,
    PathConverter,
    SlugConverter,
    StringConverter,
    UUIDConverter,
    get_converters,
    register_converter,
)
from compat.exceptions import ImproperlyConfigured
from compat.handlers import require_application

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
    "path",
    "re_path",
    "register_converter",
]

View = Callable[..., Any]


class Resolver404(Exception):
    """No pattern matches a path.

    ``path`` is what was left of the path where matching failed, without its leading slash, and ``tried`` what
    was tried, in order; both may also come as Django passes them, in one dict as the first argument.
    """

    def __init__(self, *args: Any, path: str = "", tried: Sequence[Any] = ()) -> None:
        super().__init__(*args)
        detail = args[0] if args and isinstance(args[0], Mapping) else {"path": path, "tried": tried}
        self.path = str(detail.get("path", ""))
        self.tried = list(detail.get("tried", ()))


class PathMatch(NamedTuple):
    """What ``Pattern.match`` returns: what is left of the path, and what the pattern took from it."""

    rest: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __repr__(self) -> str:
        return repr(tuple(self))


class Pattern:
    """The part that ``RoutePattern`` and ``RegexPattern`` share: a compiled expression and its name."""

    regex: re.Pattern[str]
    _regex: str

    def __init__(self, source: str, name: str | None, is_endpoint: bool) -> None:
        if not isinstance(source, str) and isinstance(source, (bytes, re.Pattern, type(None))):
            raise TypeError(f"a URL pattern is written as a str, not as {source!r}")
        self.name = name
        self.converters: dict[str, Converter] = {}
        self._is_endpoint = is_endpoint

    def match(self, path: str) -> PathMatch | None:
        """Match ``path``, which has no leading slash. None where it does not match."""
        raise NotImplementedError

    def describe(self) -> str:
        """The pattern as error messages show it."""
        return f"'{self}' [name='{self.name}']" if self.name else f"'{self}'"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.describe()}>"


class RoutePattern(Pattern):
    """A route of ``path()``: literal text with ``<type:name>`` parts.

    As an endpoint it must take the whole path, otherwise it takes the beginning of it. Raises
    ImproperlyConfigured for a route that can never work: an unknown converter, a parameter that is no Python
    name or comes twice.
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

    As an endpoint that ends in ``$`` it must take the whole path; otherwise it is searched, so it may begin
    anywhere unless it is anchored with ``^``. What the groups took stays text; a group that took part in no
    match is left out. Raises ImproperlyConfigured for an expression that does not compile.
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
    pieces = re.split("<([^>]+)>", route)  # literal text at even places, what was in <> at odd ones
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
            f"URL route {route!r}: there is no converter {kind!r}. There are {known}; "
            "register_converter() adds to them."
        )
    return name, converters[kind]


def _compile(regex: str, shown: str) -> re.Pattern[str]:
    try:
        return re.compile(regex)
    except re.error as error:
        raise ImproperlyConfigured(f"{shown!r} is not a valid regular expression: {error}") from error


class ResolverMatch:
    """What a path resolved to. Unpacks as ``func, args, kwargs``.

    ``route`` is the text of the pattern, ``captured_kwargs`` came from the path and ``extra_kwargs`` from the
    pattern's own ``kwargs``. Attributes are those of ``django.urls.ResolverMatch``.
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
        self.view_name = ":".join([*self.namespaces, url_name or _dotted_name(func)])

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
    """A pattern and what it leads to: what ``path()`` and ``re_path()`` return."""

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
        """The match of ``path`` (no leading slash), or None. ``default_args`` win over the path's."""
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


def path(route: str, view: View, kwargs: dict[str, Any] | None = None, name: str | None = None) -> URLPattern:
    """A route of literal text and ``<type:name>`` parts, leading to an ASGI application (or a view).

    ``route`` has no leading slash. ``kwargs`` are added to what the path carries, and win over it. Raises
    ImproperlyConfigured for a route that can never work, TypeError for a view that cannot be called.
    """
    return URLPattern(
        RoutePattern(route, name, is_endpoint=True), _checked(view, kwargs, route), kwargs, name
    )


def re_path(
    route: str, view: View, kwargs: dict[str, Any] | None = None, name: str | None = None
) -> URLPattern:
    """As ``path()``, with a regular expression for a route."""
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
