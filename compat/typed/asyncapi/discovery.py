"""The typed consumers of an application and their addresses, found in its routes.

Starlette and FastAPI applications with included and mounted routers, ``ProtocolTypeRouter`` and ``URLRouter``
with our patterns or Django's, and middleware around them are searched.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from compat.consumer import ConsumerApp
from compat.routing.matching import with_inner
from compat.typed.consumer import AsyncJsonWebsocketConsumer

__all__ = ["ConsumerRoute", "consumer_routes"]

logger = logging.getLogger("compat.typed")

TYPED_PARAMETER = re.compile(r"<(?:(?P<type>[^>:]+):)?(?P<name>\w+)>")
NAMED_GROUP = re.compile(r"\(\?P<(?P<name>\w+)>(?P<body>(?:[^()\\]|\\.|\([^()]*\))*)\)")
OTHER_REGEX = re.compile(r"(?<!\\)(?:\\\\)*(?:[(\[{?*+|^$]|\\[A-Za-z0-9])")
"""What says more than its own text."""
WORDS = {
    "int": "an integer",
    "float": "a number",
    "uuid": "a UUID",
    "slug": "letters, digits, hyphens, underscores",
    "path": "anything, slashes included",
}


@dataclass(frozen=True)
class ConsumerRoute:
    """A consumer at an address.

    ``address``: the path, with its parameters in braces. ``parameters``: their names, and a description of
    their values ("" for anything up to the next slash).
    """

    address: str
    consumer: type[AsyncJsonWebsocketConsumer[Any]]
    parameters: Mapping[str, str] = field(default_factory=dict)


def consumer_routes(app: Any) -> list[ConsumerRoute]:
    """Return the typed consumers that ``app`` serves, in the order of its routes.

    Those whose ``re_path()`` has more than plain text and named groups are left out, with a warning in
    the log.
    """
    return list(_walk(app, "", {}))


def _walk(app: Any, prefix: str, parameters: Mapping[str, str]) -> Iterator[ConsumerRoute]:
    for layer in with_inner(app):
        if isinstance(layer, ConsumerApp):
            if issubclass(layer.consumer_class, AsyncJsonWebsocketConsumer):
                yield ConsumerRoute(prefix or "/", layer.consumer_class, dict(parameters))
            return
        mapping = getattr(layer, "application_mapping", None)
        if isinstance(mapping, Mapping):
            if "websocket" in mapping:
                yield from _walk(mapping["websocket"], prefix, parameters)
            return
        routes = getattr(layer, "routes", None)
        if isinstance(routes, list | tuple):
            for route in routes:
                yield from _walk_route(route, prefix, parameters)
            return


def _walk_route(route: Any, prefix: str, parameters: Mapping[str, str]) -> Iterator[ConsumerRoute]:
    if hasattr(route, "effective_route_contexts"):  # FastAPI stores an included router as one route
        for context in route.effective_route_contexts():
            yield from _walk_route(context.starlette_route or context.original_route, prefix, parameters)
    elif hasattr(route, "pattern") and hasattr(route, "callback"):
        path, found = _pattern(route.pattern)
        inner = _walk(route.callback, f"{prefix.rstrip('/')}/{path}", {**parameters, **found})
        if path is None:
            _leave_out(route.pattern, inner)
        else:
            yield from inner
    elif hasattr(route, "param_convertors"):
        if not getattr(route, "methods", None):  # not a route for HTTP
            yield from _walk_starlette(route, prefix, parameters)
    elif hasattr(route, "router"):  # a PatternsRoute
        yield from _walk(route.router, prefix, parameters)
    elif hasattr(route, "app"):
        yield from _walk(route.app, prefix, parameters)


def _walk_starlette(route: Any, prefix: str, parameters: Mapping[str, str]) -> Iterator[ConsumerRoute]:
    mounted = hasattr(route, "routes")
    path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
    found = {
        name: WORDS.get(_kind(convertor), "")
        for name, convertor in route.param_convertors.items()
        if not (mounted and name == "path")
    }
    yield from _walk(route.app, prefix.rstrip("/") + path, {**parameters, **found})


def _kind(convertor: Any) -> str:
    name = type(convertor).__name__.removesuffix("Convertor").lower()
    return {"integer": "int"}.get(name, name)


def _leave_out(pattern: Any, routes: Iterator[ConsumerRoute]) -> None:
    """Warn of the consumers behind a pattern that no address says."""
    for route in routes:
        logger.warning(
            "%s is not in the document: its route %r matches more than an address with parameters can say. "
            "Write it with path(), or with named groups only, such as (?P<room>\\w+)",
            route.consumer.__qualname__,
            str(pattern),
        )


def _pattern(pattern: Any) -> tuple[str | None, dict[str, str]]:
    """Return the address of a ``path()`` or ``re_path()``, and its parameters.

    The address is None if the expression has more than plain text and named groups.
    """
    source = str(pattern)
    if "Regex" not in type(pattern).__name__:
        found = {
            match["name"]: WORDS.get(match["type"] or "", "") for match in TYPED_PARAMETER.finditer(source)
        }
        return TYPED_PARAMETER.sub(r"{\g<name>}", source), found
    found = {match["name"]: f"matches {match['body']}" for match in NAMED_GROUP.finditer(source)}
    source = re.sub(r"^(?:\^|\\A)|(?:(?<!\\)\$|\\[Zz])$", "", source)
    if source.endswith("/?"):  # with it or without it: the longer form
        source = source[:-1]
    if OTHER_REGEX.search(NAMED_GROUP.sub("", source)):
        return None, found
    return re.sub(r"\\(.)", r"\1", NAMED_GROUP.sub(r"{\g<name>}", source)), found
