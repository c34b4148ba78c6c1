"""What a connection's scope says: path parameters, query, user. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

__all__ = ["path_param", "path_params", "query_params", "scope_user"]

_REQUIRED: Any = object()


def path_params(scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the route took from the path, whichever kind of route it was."""
    route = scope.get("url_route") or {}
    params: Mapping[str, Any] = route.get("kwargs") or scope.get("path_params") or {}
    return params


def path_param(scope: Mapping[str, Any], name: str, default: Any = _REQUIRED) -> Any:
    """One of them; raises KeyError, naming those that there are, where it is missing and has no default."""
    params = path_params(scope)
    if name in params:
        return params[name]
    if default is _REQUIRED:
        there = ", ".join(map(repr, params)) or "none"
        raise KeyError(f"the route has no parameter {name!r}; it has: {there}")
    return default


def query_params(scope: Mapping[str, Any]) -> dict[str, list[str]]:
    """The query string, each name with all its values."""
    return parse_qs(bytes(scope.get("query_string", b"")).decode("latin-1"), keep_blank_values=True)


def scope_user(scope: Mapping[str, Any]) -> Any | None:
    """The user whom a middleware has put there; None where there is none."""
    return scope.get("user")
