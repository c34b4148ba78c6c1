"""Matching of one route: whether it matches a path, and the scope for its application.

A route is a return value of ``path()`` or ``re_path()``, ours or Django's, recognized by its ``.pattern`` and
``.callback``, or a route of Starlette, recognized by its ``.matches()`` and ``.handle()``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple

from compat.advice.familiar import familiar
from compat.advice.handlers import require_application
from compat.exceptions import ImproperlyConfigured
from compat.patterns import URLPattern, make_prefix

__all__ = [
    "Application",
    "Found",
    "inner_router",
    "is_starlette_route",
    "match_route",
    "path_to_route",
    "prepare_route",
    "require_routed",
    "route_complaint",
    "route_text",
    "with_inner",
]

Application = Callable[[Any, Any, Any], Awaitable[Any]]
"""Any ASGI application."""

_MAX_MIDDLEWARE = 50
"""The limit for objects that wrap each other in a circle, or have every attribute."""


class Found(NamedTuple):
    """A matching route, its application, and the scope for it."""

    route: Any
    application: Application
    scope: dict[str, Any]
    partial: bool = False
    """The path matches and the HTTP method does not: Starlette's route answers 405 if no other route
    matches.
    """
    end: str = ""
    """The text after the route in errors: a slash for a mount, whose inner routes were tried too."""


def path_to_route(scope: Mapping[str, Any]) -> str | None:
    """Return the rest of the path that has to be routed, without leading slashes.

    Inside another URLRouter that is ``path_remaining``, elsewhere ``path`` without ``root_path``. Inside a
    Starlette ``Mount`` in a URLRouter the scope has both, and the shorter one is the newer one. Returns None
    if the path does not begin with ``root_path``. Raises ValueError if the scope has no path.
    """
    remaining, path = scope.get("path_remaining"), scope.get("path")
    if remaining is None and path is not None and not scope.get("root_path"):
        return str(path).lstrip("/")
    if remaining is None and path is None:
        raise ValueError("No 'path' key in connection scope, cannot route URLs")
    below_root = _below_root(scope) if path is not None else None
    if remaining is None:
        return None if below_root is None else below_root.lstrip("/")
    if below_root is not None and len(below_root) < len(remaining) and remaining.endswith(below_root):
        remaining = below_root
    return str(remaining).lstrip("/")


def _below_root(scope: Mapping[str, Any]) -> str | None:
    path: str = scope["path"]
    root: str = scope.get("root_path") or ""
    if not root:
        return path
    # Behind a proxy that strips a prefix which the application knows (FastAPI(root_path=...)), the path
    # begins only with the part of root_path that mounts have added.
    mounts = root.removeprefix(scope.get("app_root_path") or "")
    for prefix in (root.rstrip("/"), mounts.rstrip("/")):
        if not prefix or path == prefix or path.startswith(f"{prefix}/"):
            return path[len(prefix) :]
    return None


def match_route(route: Any, path: str, scope: Mapping[str, Any]) -> Found | None:
    """Match ``path`` (from ``path_to_route``) against a route; return None if it does not match.

    The arguments from the path are added to those of outer routers and mounts, in ``url_route`` and
    ``path_params``.
    """
    if route.__class__ is not URLPattern and is_starlette_route(route):
        return _match_starlette(route, path, scope)
    match = route.pattern.match(path)
    if not match:
        return None
    rest, args, kwargs = match
    taken = {**kwargs, **route.default_args}
    if "url_route" in scope or "path_params" in scope:
        outer_args, outer_kwargs = _taken_further_out(scope)
        args, taken = outer_args + args, {**outer_kwargs, **taken}
    inner = {**scope}
    inner["path_remaining"] = rest
    inner["path_params"] = taken
    inner["url_route"] = {"args": args, "kwargs": taken}
    return Found(route, route.callback, inner)


def _taken_further_out(scope: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    outer = scope.get("url_route") or {}
    return tuple(outer.get("args", ())), {**outer.get("kwargs", {}), **scope.get("path_params", {})}


def is_starlette_route(route: Any) -> bool:
    return callable(getattr(route, "matches", None)) and callable(getattr(route, "handle", None))


def _match_starlette(route: Any, path: str, scope: Mapping[str, Any]) -> Found | None:
    from starlette.routing import Match  # loaded already if there is such a route

    seen = _as_starlette_sees_it(path, scope)
    match, added = route.matches({**scope, **seen})
    if match is Match.NONE:
        return None
    args, kwargs = _taken_further_out(scope)
    taken = {**kwargs, **added.get("path_params", {})}
    inner = {
        **scope,
        **seen,
        **added,
        "path_params": taken,
        "path_remaining": "",
        "url_route": {"args": args, "kwargs": dict(taken)},
    }
    is_mount = inner["root_path"] != seen["root_path"]
    if is_mount:  # the rest of the path has to be routed
        below = {"path": inner["path"], "root_path": inner["root_path"]}
        inner["path_remaining"] = path_to_route(below) or ""
    return Found(route, route.handle, inner, match is Match.PARTIAL, "/" if is_mount else "")


def _as_starlette_sees_it(path: str, scope: Mapping[str, Any]) -> dict[str, str]:
    """Return ``path`` and ``root_path`` with which Starlette routes the rest of the path.

    Starlette keeps the whole path, and extends ``root_path`` up to a slash. The path is cut only if a regular
    expression has split it at another place.
    """
    whole: str = scope.get("path", "")
    if whole.endswith(f"/{path}"):
        return {"path": whole, "root_path": whole[: len(whole) - len(path) - 1]}
    return {"path": f"/{path}", "root_path": ""}


def prepare_route(route: Any) -> None:
    """Check a route of a URLRouter; make its pattern a prefix if its application is a router.

    Raises ImproperlyConfigured for ``include()``, ValueError for a pattern that cannot be a prefix, TypeError
    for an object that is not a route.
    """
    if is_starlette_route(route):
        require_routed(route)
        return
    pattern = getattr(route, "pattern", None)
    if pattern is None or not hasattr(route, "callback"):
        raise TypeError(
            f"URLRouter takes a list of path(), re_path() and Starlette's routes; {route!r} is none of them"
        )
    if route.callback is None:
        raise familiar(ImproperlyConfigured, "django.core.exceptions")(
            f"{route}: include() is not supported in URLRouter. Use nested URLRouter instances instead."
        )
    require_application(route.callback, f"route {str(pattern)!r}")
    if inner_router(route.callback) is not None and getattr(pattern, "_is_endpoint", True):
        make_prefix(route)


def require_routed(route: Any, depth: int = _MAX_MIDDLEWARE) -> None:
    """Raise TypeError for a consumer's class in a route of Starlette or FastAPI, or in its inner routes."""
    for name in ("endpoint", "app"):
        require_application(getattr(route, name, None), f"route {route_text(route)!r}")
    for name in ("app", "original_router"):  # a mount; a router that FastAPI includes
        for inner in getattr(getattr(route, name, None), "routes", ()) if depth else ():
            require_routed(inner, depth - 1)


def route_complaint(route: Any) -> str | None:
    """Return why a valid route can never match, or None."""
    pattern = getattr(route, "pattern", None)
    if pattern is None:
        return None
    text, is_route = str(pattern), hasattr(pattern, "_route")
    if is_route and ("(?P<" in text or text.startswith("^") or text.endswith("$")):
        return "it is a regular expression, but path() matches it as literal text. Use re_path()."
    whole = getattr(pattern, "_is_endpoint", False) and text.endswith("$")
    if (is_route or whole or text.startswith("^")) and text.removeprefix("^").startswith("/"):
        return "it begins with a slash, but paths are matched without their leading slash. Remove it."
    return None


def inner_router(application: Any) -> Any:
    """Return ``application``, or the application inside its middleware, that has ``_path_routing = True``, or
    None.
    """
    return next(
        (one for one in with_inner(application) if getattr(one, "_path_routing", False) is True), None
    )


def with_inner(application: Any) -> Iterator[Any]:
    """Yield ``application``, the application that it wraps, and so on, by the attributes that middleware
    uses.
    """
    for _ in range(_MAX_MIDDLEWARE):
        yield application
        inner = (getattr(application, name, None) for name in ("inner", "application", "app"))
        application = next((one for one in inner if callable(one)), None)
        if application is None:
            return


def route_text(route: Any) -> str:
    """Return a route as text for logs and errors."""
    return str(getattr(route, "path", route)) if is_starlette_route(route) else str(route.pattern)
