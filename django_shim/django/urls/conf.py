"""``path``, ``re_path`` and ``include``: what a urls.py is written with."""

from __future__ import annotations

import importlib
from typing import Any

from compat.exceptions import ImproperlyConfigured
from compat.patterns import Pattern, RegexPattern, RoutePattern, URLPattern

from .resolvers import URLResolver

__all__ = ["include", "path", "re_path"]

Included = tuple[Any, "str | None", "str | None"]
"""Patterns (or a module that has ``urlpatterns``), app namespace, instance namespace."""


def path(route: Any, view: Any, kwargs: dict[str, Any] | None = None, name: str | None = None) -> Any:
    """Return a route of literal text and ``<type:name>`` parts, without leading slash, to a view or an
    ``include()``.
    """
    return _route(route, view, kwargs, name, RoutePattern)


def re_path(route: Any, view: Any, kwargs: dict[str, Any] | None = None, name: str | None = None) -> Any:
    """As ``path``, with a regular expression for a route."""
    return _route(route, view, kwargs, name, RegexPattern)


def _route(
    route: Any, view: Any, kwargs: dict[str, Any] | None, name: str | None, kind: type[Pattern]
) -> URLPattern | URLResolver:
    if kwargs is not None and not isinstance(kwargs, dict):
        raise TypeError(f"path({route!r}, …): kwargs is a dict, not {type(kwargs).__name__}")
    if isinstance(view, (list, tuple)):
        patterns, app_name, namespace = (
            (*view, None, None)[:3] if isinstance(view, tuple) else (view, None, None)
        )
        return URLResolver(kind(route, None, False), patterns, kwargs, app_name=app_name, namespace=namespace)
    if callable(view):
        return URLPattern(kind(route, name, True), view, kwargs, name)
    if hasattr(view, "as_view"):
        cls = type(view).__name__
        raise TypeError(f"path({route!r}, …): write {cls}.as_view(), not {cls}()")
    raise TypeError(f"path({route!r}, …): {view!r} is neither a view nor an include()")


def include(arg: Any, namespace: str | None = None) -> Included:
    """Return the patterns of ``"app.urls"`` (a name or a module), of a list, or of ``(patterns, app_name)``.

    A namespace needs an app name: in the module (``app_name = "chat"``) or in the tuple.
    """
    app_name = None
    urlconf = arg
    if isinstance(arg, tuple):
        if len(arg) == 3 and namespace is None:
            raise ImproperlyConfigured(
                "include() got a 3-tuple, as admin.site.urls is one: pass it to path() without include()."
            )
        if len(arg) != 2:
            raise ImproperlyConfigured(
                f"include() takes a list of patterns, or a tuple (patterns, app_name), not {len(arg)} things."
            )
        urlconf, app_name = arg
    if isinstance(urlconf, str):
        urlconf = importlib.import_module(urlconf)
    app_name = getattr(urlconf, "app_name", app_name)
    if namespace and not app_name:
        raise ImproperlyConfigured(
            f"include(…, namespace={namespace!r}) needs the app's name: app_name in the included module, or "
            "a tuple (patterns, app_name) in place of the patterns."
        )
    return urlconf, app_name, namespace or app_name
