"""Documents that were made for an earlier request: to make one takes 100 ms and more.

What differs between requests, the servers, is put in each time: a client chooses its Host header. A document
belongs to the routes, the texts and the options that it was made of: if these change, there is a new one.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from compat.forks import new_lock
from compat.typed.asyncapi.discovery import ConsumerRoute, consumer_routes
from compat.typed.asyncapi.document import info_of, routes_document
from compat.typed.asyncapi.yaml import to_yaml
from compat.typed.config import config

__all__ = ["Kept", "kept"]

MOST = 16
"""How many documents are kept in a process, which has one for each application and ``config``."""

Servers: TypeAlias = Mapping[str, Mapping[str, Any]]
Pairs: TypeAlias = "tuple[tuple[str, str], ...]"
Routes: TypeAlias = "tuple[tuple[str, type[Any], Pairs], ...]"

_making = new_lock()


class Kept:
    """One document, without its servers."""

    def __init__(self, made: dict[str, Any]) -> None:
        self._made = made
        self._yaml: tuple[str, str] | None = None

    def document(self, servers: Servers) -> dict[str, Any]:
        """Return the document as JSON values, which belong to all requests."""
        return {**self._made, "servers": dict(servers)}

    def yaml(self, servers: Servers) -> str:
        """Return the document as YAML."""
        if self._yaml is None:
            mark = f"here-{secrets.token_hex(16)}"  # nothing else of the document is the same
            before, _, after = to_yaml({**self._made, "servers": mark}).partition(f"servers: {mark}\n")
            self._yaml = before, after
        before, after = self._yaml
        return before + to_yaml({"servers": dict(servers)}) + after


def kept(app: Any, title: str | None, version: str | None, description: str | None) -> Kept:
    """Return the document of ``app``; for the rest see ``document()``."""
    routes = tuple((one.address, one.consumer, tuple(one.parameters.items())) for one in consumer_routes(app))
    info = tuple(info_of(app, title, version, description).items())
    with _making:  # the first requests come together
        return _of(routes, info, config.camelize, config.send_completion)


@lru_cache(maxsize=MOST)
def _of(routes: Routes, info: Pairs, *options: bool) -> Kept:  # the document is made by these, too
    found = [ConsumerRoute(address, consumer, dict(parameters)) for address, consumer, parameters in routes]
    return Kept(routes_document(found, dict(info)))
