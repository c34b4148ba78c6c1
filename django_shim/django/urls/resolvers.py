"""The tree of patterns that a root URLconf is: a path down it to a view, and a name down it to a path."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from compat.exceptions import ImproperlyConfigured
from compat.patterns import Pattern, RegexPattern, ResolverMatch, RoutePattern, URLPattern

from .exceptions import Resolver404
from .reversing import Candidate, Reverser, candidates_of

__all__ = [
    "RegexPattern",
    "ResolverMatch",
    "RoutePattern",
    "URLPattern",
    "URLResolver",
    "get_resolver",
]


class URLResolver:
    """A prefix with patterns below it: what ``include()`` gives, and the root of them all.

    ``callback`` is None, which tells the routers for websockets that this is none of their routes.
    """

    callback = None
    name = None

    def __init__(
        self,
        pattern: Pattern,
        urlconf_name: Any,
        default_kwargs: dict[str, Any] | None = None,
        app_name: str | None = None,
        namespace: str | None = None,
    ) -> None:
        self.pattern = pattern
        self.urlconf_name = urlconf_name
        self.default_args = self.default_kwargs = default_kwargs or {}
        self.app_name = app_name
        self.namespace = namespace

    def __repr__(self) -> str:
        shown = f"<{self.urlconf_name!r}>" if not isinstance(self.urlconf_name, list) else "<list>"
        return f"<URLResolver {shown} ({self.app_name}:{self.namespace}) {self.pattern.describe()}>"

    @functools.cached_property
    def urlconf_module(self) -> Any:
        """The module that was named, or whatever else has the patterns."""
        name = self.urlconf_name
        return importlib.import_module(name) if isinstance(name, str) else name

    @functools.cached_property
    def url_patterns(self) -> list[Any]:
        """The patterns below; ImproperlyConfigured where the module has none."""
        module = self.urlconf_module
        patterns = getattr(module, "urlpatterns", module)
        if isinstance(patterns, (list, tuple)):
            return list(patterns)
        name = module.__name__ if isinstance(module, ModuleType) else repr(module)
        raise ImproperlyConfigured(
            f"the URLconf '{name}' has no patterns: it needs a list named urlpatterns. If it has one, look "
            "for modules that import each other."
        )

    def resolve(self, path: str) -> ResolverMatch:
        """Return the view for ``path``; Resolver404, with everything that was tried, if there is none."""
        path = str(path)
        found = self.pattern.match(path)
        if found is None:
            raise Resolver404({"path": path})
        tried: list[list[Any]] = []
        for one in self.url_patterns:
            try:
                match = one.resolve(found.rest)
            except Resolver404 as error:
                tried += [[one, *rest] for rest in error.tried] or [[one]]
                continue
            if match is None:
                tried.append([one])
                continue
            return self._joined(found.args, found.kwargs, match, tried)
        raise Resolver404({"tried": tried, "path": found.rest})

    def _joined(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], match: ResolverMatch, tried: list[Any]
    ) -> ResolverMatch:
        outer = {**kwargs, **self.default_kwargs}
        inner = {**outer, **match.kwargs}
        # As with one pattern: where anything is named, what is unnamed is dropped.
        positional = match.args if inner else (*args, *match.args)
        route = (
            str(self.pattern)
            if isinstance(self.pattern, RoutePattern)
            else str(self.pattern).removeprefix("^/")
        )
        below = str(match.route or "").removeprefix("^") if route else str(match.route or "")
        return ResolverMatch(
            match.func,
            positional,
            inner,
            match.url_name,
            [self.app_name, *match.app_names],
            [self.namespace, *match.namespaces],
            route + below,
            tried,
            captured_kwargs={**kwargs, **(match.captured_kwargs or {})},
            extra_kwargs={**self.default_kwargs, **(match.extra_kwargs or {})},
        )

    @functools.cached_property
    def reverser(self) -> Reverser:
        """Names to paths, from here down to the next namespaces."""
        return Reverser(self._candidates())

    def _candidates(self) -> Iterator[tuple[Any, Candidate]]:
        """Yield every view's name, and the view itself, with the pattern that leads to it from here."""
        for one in self.url_patterns:
            if isinstance(one, URLResolver):
                if one.namespace:
                    continue
                for key, below in one._candidates():
                    for above in candidates_of(one.pattern, one.default_kwargs):
                        yield key, above + below
            else:
                for candidate in candidates_of(one.pattern, one.default_args):
                    if one.name:
                        yield one.name, candidate
                    yield one.callback, candidate

    @functools.cached_property
    def namespaces(self) -> dict[str, tuple[list[Candidate], URLResolver]]:
        """Instance namespaces below this one, each with what stands in front of it."""
        found: dict[str, tuple[list[Candidate], URLResolver]] = {}
        for one in self.url_patterns:
            if not isinstance(one, URLResolver):
                continue
            prefixes = list(candidates_of(one.pattern, one.default_kwargs))
            if one.namespace:
                found.setdefault(one.namespace, (prefixes, one))
                continue
            for namespace, (below, resolver) in one.namespaces.items():
                found.setdefault(
                    namespace, ([above + inner for above in prefixes for inner in below], resolver)
                )
        return found

    @functools.cached_property
    def app_names(self) -> dict[str, list[str]]:
        """The instance namespaces of each app."""
        found: dict[str, list[str]] = {}
        for namespace, (_, resolver) in self.namespaces.items():
            if resolver.app_name:
                found.setdefault(resolver.app_name, []).append(namespace)
        return found

    def resolve_error_handler(self, view_type: int) -> Any:
        """Return the view for an error: the URLconf's ``handler404`` and so on, else the built-in one."""
        from ..views import defaults
        from .utils import get_callable

        handler = getattr(self.urlconf_module, f"handler{view_type}", None)
        return get_callable(handler) if handler else defaults.HANDLERS[view_type]


@functools.cache
def _resolver(urlconf: Any) -> URLResolver:
    return URLResolver(RegexPattern("^/"), urlconf)


def get_resolver(urlconf: Any = None) -> URLResolver:
    """Return the root of ``urlconf`` (default: ROOT_URLCONF)."""
    if urlconf is None:
        from ..conf import settings

        urlconf = settings.ROOT_URLCONF
        if urlconf is None:
            raise ImproperlyConfigured(
                "ROOT_URLCONF is not set: it names the project's urls module, such as 'mysite.urls'."
            )
    if isinstance(urlconf, list):
        return URLResolver(RegexPattern("^/"), urlconf)
    return _resolver(urlconf)
