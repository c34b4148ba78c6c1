"""Values of a connection's scope: path parameters, query, user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

__all__ = ["path_param", "path_params", "query_params", "scope_user"]

_REQUIRED: Any = object()


def path_params(scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments from the path, for any kind of route."""
    route = scope.get("url_route") or {}
    params: Mapping[str, Any] = route.get("kwargs") or scope.get("path_params") or {}
    return params


def path_param(scope: Mapping[str, Any], name: str, default: Any = _REQUIRED) -> Any:
    """Return one argument from the path; raise KeyError, which lists the others, if it is missing without
    default.
    """
    params = path_params(scope)
    if name in params:
        return params[name]
    if default is _REQUIRED:
        there = ", ".join(map(repr, params)) or "none"
        raise KeyError(f"the route has no parameter {name!r}; it has: {there}")
    return default


def query_params(scope: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the query string as a dict of names to lists of values; a name without a value is left out."""
    raw = scope.get("query_string") or b""
    return parse_qs(raw if isinstance(raw, str) else bytes(raw).decode(errors="replace"))


def scope_user(scope: Mapping[str, Any]) -> Any | None:
    """Return the user that a middleware has put into the scope; None without one, or if it is anonymous."""
    user = scope.get("user")
    return None if getattr(user, "is_authenticated", True) is False else user
