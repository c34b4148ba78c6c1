"""One route against one path: does it match, and what does its application find in the scope?

A route is what ``path()`` or ``re_path()`` returned, ours or Django's, known by its ``.pattern`` and
``.callback``; or a route of Starlette's, known by its ``.matches()`` and ``.handle()``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple

from compat.exceptions import ImproperlyConfigured
from compat.familiar import familiar
from compat.handlers import require_application
from compat.patterns import URLPattern

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
"""Objects that wrap one another in a circle, or answer to every attribute, are followed no further."""


class Found(NamedTuple):
    """A route that matches, its application, and the scope for that."""

    route: Any
    application: Application
    scope: dict[str, Any]
    partial: bool = False
    """Starlette's: the path matches, the HTTP method does not. It answers 405 if no other route does."""
    end: str = ""
    """What errors show after the route: a slash where it is a mount, below which more was tried."""


def path_to_route(scope: Mapping[str, Any]) -> str | None:
    """The part of the path that is left to route, without leading slashes.

    That is ``path_remaining`` inside another URLRouter, and ``path`` less ``root_path`` anywhere else. Inside
    a Starlette ``Mount`` inside a URLRouter both are there, and the shorter one is the newer one. None where
    ``root_path`` is not the beginning of ``path``. Raises ValueError when there is no path at all.
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
    # Behind a proxy that strips a prefix of which the app has been told (FastAPI(root_path=...)), the path
    # begins with no more of the root_path than mounts have added to it.
    mounts = root.removeprefix(scope.get("app_root_path") or "")
    for prefix in (root.rstrip("/"), mounts.rstrip("/")):
        if not prefix or path == prefix or path.startswith(f"{prefix}/"):
            return path[len(prefix) :]
    return None


def match_route(route: Any, path: str, scope: Mapping[str, Any]) -> Found | None:
    """Match ``path`` (as ``path_to_route`` gives it) against one route. None where it does not match.

    What the route takes from the path is added to what routers and mounts further out took, as ``url_route``
    and as ``path_params``.
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
    from starlette.routing import Match  # where there is such a route it has been loaded

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
    if is_mount:  # what is below it has yet to be routed
        below = {"path": inner["path"], "root_path": inner["root_path"]}
        inner["path_remaining"] = path_to_route(below) or ""
    return Found(route, route.handle, inner, match is Match.PARTIAL, "/" if is_mount else "")


def _as_starlette_sees_it(path: str, scope: Mapping[str, Any]) -> dict[str, str]:
    """``path`` and ``root_path`` with which Starlette routes what is left of the path.

    Starlette keeps the whole path and moves ``root_path`` along it, at a slash. Only where a regular
    expression has split the path elsewhere does the path have to be cut.
    """
    whole: str = scope.get("path", "")
    if whole.endswith(f"/{path}"):
        return {"path": whole, "root_path": whole[: len(whole) - len(path) - 1]}
    return {"path": f"/{path}", "root_path": ""}


def prepare_route(route: Any) -> None:
    """Check a route of a URLRouter, and make it a prefix if its application routes the rest of the path.

    Raises ImproperlyConfigured for ``include()``, ValueError for a pattern that cannot be a prefix, TypeError
    for what is no route.
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
        source = getattr(pattern, "_route", getattr(pattern, "_regex", None))
        if source is None:
            raise ValueError(f"Unsupported pattern type: {type(pattern)}")
        route.pattern = type(pattern)(source, pattern.name, is_endpoint=False)


def require_routed(route: Any, depth: int = _MAX_MIDDLEWARE) -> None:
    """TypeError for a consumer's class in a route of Starlette's or FastAPI's, or in what it leads to."""
    for name in ("endpoint", "app"):
        require_application(getattr(route, name, None), f"route {route_text(route)!r}")
    for name in ("app", "original_router"):  # a mount; a router that FastAPI includes
        for inner in getattr(getattr(route, name, None), "routes", ()) if depth else ():
            require_routed(inner, depth - 1)


def route_complaint(route: Any) -> str | None:
    """Why a route that is valid can never match, where that is so."""
    pattern = getattr(route, "pattern", None)
    if pattern is None:
        return None
    text, is_route = str(pattern), hasattr(pattern, "_route")
    if is_route and ("(?P<" in text or text.startswith("^") or text.endswith("$")):
        return "it is a regular expression, which path() takes literally. Use re_path()."
    whole = getattr(pattern, "_is_endpoint", False) and text.endswith("$")
    if (is_route or whole or text.startswith("^")) and text.removeprefix("^").startswith("/"):
        return "it begins with a slash, and paths are matched without their leading slash. Remove it."
    return None


def inner_router(application: Any) -> Any:
    """The router that ``application`` is, or has inside its middleware: what has ``_path_routing = True``."""
    return next(
        (one for one in with_inner(application) if getattr(one, "_path_routing", False) is True), None
    )


def with_inner(application: Any) -> Iterator[Any]:
    """``application``, then what it wraps, and so on inwards, by the names that middleware uses for it."""
    for _ in range(_MAX_MIDDLEWARE):
        yield application
        inner = (getattr(application, name, None) for name in ("inner", "application", "app"))
        application = next((one for one in inner if callable(one)), None)
        if application is None:
            return


def route_text(route: Any) -> str:
    """A route as log lines and errors show it."""
    return str(getattr(route, "path", route)) if is_starlette_route(route) else str(route.pattern)
