"""Routes that never run, because one with the same path stands before them."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from compat.routing.matching import inner_router, is_starlette_route, route_text
from compat.security.origin import parts

__all__ = ["WHY_HIDDEN", "hidden", "hidden_inside", "warn_of_hidden"]

logger = logging.getLogger("compat.routing")

WHY_HIDDEN = "one with the same path stands before it, and gets all connections. Remove one of them."


def hidden(routes: Sequence[Any]) -> Iterator[str]:
    """Yield the text of each route whose pattern, with its converters, stood before in ``routes``.

    Of Starlette's routes only those for websockets count: others also differ by their methods.
    """
    seen: set[Hashable] = set()
    for route in routes:
        if (key := _pattern(route)) is None:
            continue
        if key in seen:
            yield route_text(route)
        seen.add(key)


def hidden_inside(application: Any) -> Iterator[tuple[Any, str]]:
    """Yield the hidden routes of ``application`` and those inside, each with whose it is, as its path."""
    for part in parts(application):
        routes = getattr(part.application, "routes", None)
        # A Mount has the routes of its application, which is a part of its own.
        if isinstance(routes, list | tuple) and not hasattr(part.application, "path"):
            for text in hidden(routes):
                path = text if text.startswith("/") else f"/{text}"
                yield part.application, part.path.rstrip("/") + path


def warn_of_hidden(application: Any) -> None:
    """Warn about the hidden routes of a Starlette or FastAPI app; a URLRouter has warned when it was made."""
    for owner, path in hidden_inside(application):
        if not getattr(owner, "_path_routing", False):
            logger.warning("the websocket route %r never runs: %s", path, WHY_HIDDEN)


def _pattern(route: Any) -> Hashable | None:
    if is_starlette_route(route):
        if not hasattr(route, "path_regex") or hasattr(route, "methods") or hasattr(route, "routes"):
            return None
        return "websocket", route.path, _kinds(route.param_convertors)
    if inner_router(route.callback) is not None:
        return None  # the next route is tried if the router has none for the rest of the path
    pattern = route.pattern
    return type(pattern), str(pattern), _kinds(getattr(pattern, "converters", {}))


def _kinds(converters: dict[str, Any]) -> tuple[type, ...]:
    return tuple(type(one) for one in converters.values())
