"""The AsyncAPI 3.0 document of an application: its typed consumers and their messages.

A channel is a consumer at an address, or one of its topics at the same address. The action "receive" is for
messages of clients, with their replies; "send" is for other messages of the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from compat.typed.asyncapi.channels import Channel, Pair
from compat.typed.asyncapi.discovery import ConsumerRoute, consumer_routes
from compat.typed.asyncapi.schemas import MessageSchemas
from compat.typed.camel import to_snake
from compat.typed.messages import ACTION
from compat.typed.wire import Wire

__all__ = ["ASYNCAPI_VERSION", "document", "info_of", "routes_document"]

ASYNCAPI_VERSION = "3.0.0"
Json = dict[str, Any]


def document(
    app: Any,
    *,
    title: str | None = None,
    version: str | None = None,
    description: str | None = None,
    servers: Mapping[str, Json] | None = None,
) -> Json:
    """Return the document of ``app`` (FastAPI, Starlette, or a router of ours) as JSON values.

    ``title``, ``version`` and ``description`` default to those of a FastAPI app. ``servers``: AsyncAPI Server
    Objects by name; default ``{"default": {"host": "localhost:8000", "protocol": "ws"}}``.
    """
    return routes_document(consumer_routes(app), info_of(app, title, version, description), servers)


def info_of(app: Any, title: str | None, version: str | None, description: str | None) -> dict[str, str]:
    """Return what the document says of ``app``."""
    return {
        "title": title or f"{getattr(app, 'title', None) or 'WebSocket'} API",
        "version": version or getattr(app, "version", None) or "1.0.0",
        "description": description if description is not None else getattr(app, "description", None) or "",
    }


def routes_document(
    routes: Iterable[ConsumerRoute], info: Mapping[str, Any], servers: Mapping[str, Json] | None = None
) -> Json:
    """Return the document of consumers at their addresses."""
    channels = list(_channels(routes))
    schemas = _SchemasByWire(channels)
    operation_id = _Names()
    made: Json = {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {key: value for key, value in info.items() if value},
        "defaultContentType": "application/json",
        "servers": dict(servers or {"default": {"host": "localhost:8000", "protocol": "ws"}}),
        "channels": {one.id: one.channel(schemas.of(one)) for one in channels},
        "operations": {
            operation_id(f"{one.id}_{name}"): operation
            for one in channels
            for name, operation in one.operations(schemas.of(one))
        },
        "components": _components(channels, schemas),
    }
    if tags := dict.fromkeys(tag for one in channels for tag in one.tags):
        made["info"]["tags"] = [{"name": tag} for tag in tags]
    return made


class _SchemasByWire:
    """The schemas of all channels. A model with schemas in several wire formats has a name for each."""

    def __init__(self, channels: Iterable[Channel]) -> None:
        self.schemas: Json = {}
        self._by_wire: dict[Wire, MessageSchemas] = {}
        pairs: dict[Wire, list[Pair]] = {}
        for one in channels:
            pairs.setdefault(one.wire, []).extend(one.messages())
        for wire, wanted in pairs.items():
            made = self._by_wire[wire] = MessageSchemas(wanted, wire)
            made.keep_apart(self.schemas, _form(wire))
            self.schemas.update(made.schemas)

    def of(self, channel: Channel) -> MessageSchemas:
        return self._by_wire[channel.wire]


def _form(wire: Wire) -> str:
    """Return a wire format as a word, for names."""
    return (
        "_".join((["camel"] if wire.camelize else []) + [wire.discriminator] * (wire.discriminator != ACTION))
        or "plain"
    )


def _components(channels: Iterable[Channel], schemas: _SchemasByWire) -> Json:
    made: Json = {"messages": {}, "schemas": schemas.schemas}
    schemes: Json = {}
    for one in channels:
        made["messages"].update(one.message_components(schemas.of(one)))
        schemes.update(one.security_schemes())
    return {**made, "securitySchemes": schemes} if schemes else made


def _channels(routes: Iterable[ConsumerRoute]) -> Iterator[Channel]:
    """Yield a channel for each route, and for each topic of its consumer."""
    channel_id = _Names()
    for route in routes:
        consumer = route.consumer
        own = consumer._compat_channel_info.name or to_snake(consumer.__name__.removesuffix("Consumer"))
        if consumer.default_topic is None:
            own = channel_id(own)
            yield Channel(own, route, consumer)
        for topic in consumer.topics:
            yield Channel(
                channel_id(f"{own}_{to_snake(topic.__name__.removesuffix('Topic'))}"), route, topic, own
            )


class _Names:
    """Returns valid and unique keys for the document."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, wanted: str) -> str:
        wanted = re.sub(r"[^A-Za-z0-9_-]+", "_", wanted)
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name
