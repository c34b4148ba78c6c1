"""The AsyncAPI 3.0 document of an application: its typed consumers, what they take and what they send.

A channel is a consumer at an address; a topic of a consumer is a channel at the same address. "receive" is
what clients send, with the messages that may come in reply; "send" is what comes by itself.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from compat.typed.asyncapi.discovery import ConsumerRoute, consumer_routes
from compat.typed.asyncapi.schemas import MessageSchemas, Mode, description_of
from compat.typed.config import config
from compat.typed.conversation import Conversation
from compat.typed.decorators import ChannelInfo, Handler
from compat.typed.messages import (
    BaseMessage,
    CompleteMessage,
    ErrorMessage,
    EventCompleteMessage,
    GroupCompleteMessage,
    SubscribedMessage,
    SubscribeMessage,
    UnsubscribedMessage,
    UnsubscribeMessage,
)
from compat.typed.topics import Topic
from compat.typed.unions import tags_of
from compat.typed.wire import Wire

__all__ = ["ASYNCAPI_VERSION", "document", "routes_document"]

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
    """The document of ``app`` (FastAPI, Starlette, or a router of ours) as JSON values.

    ``title``, ``version`` and ``description`` default to those of a FastAPI app. ``servers``: AsyncAPI Server
    Objects by name; default ``{"default": {"host": "localhost:8000", "protocol": "ws"}}``.
    """
    info = {
        "title": title or f"{getattr(app, 'title', None) or 'WebSocket'} API",
        "version": version or getattr(app, "version", None) or "1.0.0",
        "description": description if description is not None else getattr(app, "description", "") or "",
    }
    return routes_document(consumer_routes(app), info, servers)


def routes_document(
    routes: Iterable[ConsumerRoute], info: Json, servers: Mapping[str, Json] | None = None
) -> Json:
    """The document of some consumers at their addresses."""
    routes = list(routes)
    wire = routes[0].consumer.wire() if routes else Wire()
    channels = [*_channels(routes)]
    schemas = MessageSchemas((pair for one in channels for pair in one.messages()), wire)
    components: Json = {
        "messages": {
            key: value for one in channels for key, value in one.message_components(schemas).items()
        },
        "schemas": schemas.schemas,
    }
    schemes = {name: scheme for one in channels for name, scheme in one.security_schemes().items()}
    if schemes:
        components["securitySchemes"] = schemes
    made: Json = {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {key: value for key, value in info.items() if value},
        "defaultContentType": "application/json",
        "servers": dict(servers or {"default": {"host": "localhost:8000", "protocol": "ws"}}),
        "channels": {one.id: one.channel(schemas) for one in channels},
        "operations": {key: value for one in channels for key, value in one.operations(schemas).items()},
        "components": components,
    }
    tags = dict.fromkeys(tag for one in channels for tag in one.tags())
    if tags:
        made["info"]["tags"] = [{"name": tag} for tag in tags]
    return made


def _channels(routes: Iterable[ConsumerRoute]) -> Iterator[_Channel]:
    """A channel for each route and for each topic there, under names of their own."""
    taken: dict[str, int] = {}

    def name(wanted: str) -> str:
        wanted = re.sub(r"[^A-Za-z0-9_-]+", "_", wanted)
        taken[wanted] = taken.get(wanted, 0) + 1
        return wanted if taken[wanted] == 1 else f"{wanted}_{taken[wanted]}"

    for route in routes:
        consumer = route.consumer
        info = consumer._channel_info
        own = info.name or _snake(consumer.__name__.removesuffix("Consumer"))
        if consumer.default_topic is None:
            yield _Channel(name(own), route, consumer)
        for topic in consumer.topics:
            topic_name = name(f"{own}_{_snake(topic.__name__.removesuffix('Topic'))}")
            yield _Channel(topic_name, route, topic, own)


class _Channel:
    """A conversation at an address."""

    def __init__(
        self, id: str, route: ConsumerRoute, spoken: type[Conversation[Any]], host: str | None = None
    ) -> None:
        self.id = id
        self.route = route
        self.spoken = spoken
        self.host = host
        self.info: ChannelInfo = getattr(spoken, "_channel_info", ChannelInfo())
        self.topic = spoken if issubclass(spoken, Topic) else None

    def tags(self) -> tuple[str, ...]:
        return self.info.tags or (self.route.consumer._channel_info.tags if self.topic else ())

    def _receives(self) -> Iterator[Handler]:
        yield from self.spoken._typed_messages.handlers.values()

    def _built_in(self) -> list[tuple[type[BaseMessage], Mode]]:
        sent: list[type[BaseMessage]] = []
        if self.spoken._typed_messages.handlers:
            sent.append(ErrorMessage)
        completes = self.spoken.send_completion
        if completes if completes is not None else config.send_completion:
            sent += [CompleteMessage, GroupCompleteMessage, EventCompleteMessage]
        if self.topic is not None:
            sent += [SubscribedMessage, UnsubscribedMessage]
        sent += getattr(self.route.consumer.authenticator_class, "emits", ()) if not self.topic else ()
        return [(model, "serialization") for model in sent]

    def messages(self) -> list[tuple[type[BaseMessage], Mode]]:
        """All messages of this channel, each with the way it goes."""
        found: list[tuple[type[BaseMessage], Mode]] = [
            (handler.input_type, "validation") for handler in self._receives()
        ]
        if self.topic is not None:
            found += [(SubscribeMessage, "validation"), (UnsubscribeMessage, "validation")]
        found += [(model, "serialization") for model in self.spoken.sent_messages()]
        found += self._built_in()
        return list(dict.fromkeys(found))

    def message_components(self, schemas: MessageSchemas) -> Json:
        return {schemas.key(model, mode): _message(model, mode, schemas) for model, mode in self.messages()}

    def channel(self, schemas: MessageSchemas) -> Json:
        made: Json = {"address": self.route.address, "title": self.spoken.__name__}
        description = self.info.description or inspect.getdoc(self.spoken)
        if description and (self.info.description or self.spoken.__dict__.get("__doc__")):
            made["description"] = description
        keys = [schemas.key(*pair) for pair in self.messages()]
        made["messages"] = {key: {"$ref": f"#/components/messages/{key}"} for key in keys}
        if self.route.parameters:
            made["parameters"] = {
                name: {"description": says} if says else {} for name, says in self.route.parameters.items()
            }
        if self.tags():
            made["tags"] = [{"name": tag} for tag in self.tags()]
        made["bindings"] = {"ws": self._binding()}
        if self.topic is not None:
            made["x-topic"] = {
                "pattern": self.topic.pattern,
                "parameters": list(self.topic.param_names),
                "channel": self.host,
                "default": self.route.consumer.default_topic is self.topic,
            }
        return made

    def _binding(self) -> Json:
        """The handshake: which credentials may be in its query."""
        binding: Json = {"method": "GET"}
        in_query = [one for one in self._credentials() if one.location == "query"]
        if in_query:
            properties = {
                one.name: {"type": "string", **({"description": one.description} if one.description else {})}
                for one in in_query
            }
            binding["query"] = {"type": "object", "properties": properties}
        return binding

    def operations(self, schemas: MessageSchemas) -> Json:
        made: Json = {}
        for handler in self._receives():
            made[f"{self.id}_{handler.operation}"] = self._operation(
                "receive", handler, [(handler.input_type, "validation")], schemas, self._replies(handler)
            )
        for handler in self.spoken._typed_events.handlers.values():
            outputs: list[tuple[type[BaseMessage], Mode]] = [
                (one, "serialization") for one in handler.output_types
            ]
            if outputs:
                made[f"{self.id}_{handler.operation}"] = self._operation("send", handler, outputs, schemas)
        for name, summary, pairs in self._by_itself():
            made[f"{self.id}_{name}"] = self._plain(summary, pairs, schemas)
        if self.topic is not None:
            for asked, given in (
                (SubscribeMessage, SubscribedMessage),
                (UnsubscribeMessage, UnsubscribedMessage),
            ):
                made[f"{self.id}_{asked().action}"] = {
                    **self._plain(str(asked.__doc__), [(asked, "validation")], schemas),
                    "action": "receive",
                    "reply": self._reply([(given, "serialization")], schemas),
                }
        return made

    def _by_itself(self) -> Iterator[tuple[str, str, list[tuple[type[BaseMessage], Mode]]]]:
        """What is sent that is no handler's answer."""
        passed_on = self.spoken._typed_events.passed_on
        if passed_on:
            yield "passed_on", "Events, passed on as they are", [(one, "serialization") for one in passed_on]
        if self.spoken._typed_emits:
            emits: list[tuple[type[BaseMessage], Mode]] = [
                (one, "serialization") for one in self.spoken._typed_emits
            ]
            yield "emits", "Sent by the server at times of its own", emits
        built_in = [
            pair for pair in self._built_in() if pair[0] not in (SubscribedMessage, UnsubscribedMessage)
        ]
        if built_in:
            yield "notices", "Errors, and other news about the conversation itself", built_in

    @staticmethod
    def _replies(handler: Handler) -> list[tuple[type[BaseMessage], Mode]]:
        return [(one, "serialization") for one in handler.output_types]

    def _operation(
        self,
        action: str,
        handler: Handler,
        pairs: list[tuple[type[BaseMessage], Mode]],
        schemas: MessageSchemas,
        replies: list[tuple[type[BaseMessage], Mode]] | None = None,
    ) -> Json:
        made: Json = {"action": action, "channel": self._reference(), "title": handler.operation}
        for key in ("summary", "description"):
            if getattr(handler, key):
                made[key] = getattr(handler, key)
        if handler.tags:
            made["tags"] = [{"name": tag} for tag in handler.tags]
        if action == "send":
            made["x-event"] = handler.input_type.__name__
        if self._credentials() and action == "receive":
            made["security"] = [
                {"$ref": f"#/components/securitySchemes/{one.name}"} for one in self._credentials()
            ]
        made["messages"] = self._in_channel(pairs, schemas)
        if replies:
            made["reply"] = self._reply(replies, schemas)
        return made

    def _plain(
        self, summary: str, pairs: list[tuple[type[BaseMessage], Mode]], schemas: MessageSchemas
    ) -> Json:
        return {
            "action": "send",
            "channel": self._reference(),
            "summary": summary,
            "messages": self._in_channel(pairs, schemas),
        }

    def _reply(self, pairs: list[tuple[type[BaseMessage], Mode]], schemas: MessageSchemas) -> Json:
        return {"channel": self._reference(), "messages": self._in_channel(pairs, schemas)}

    def _reference(self) -> Json:
        return {"$ref": f"#/channels/{self.id}"}

    def _in_channel(self, pairs: list[tuple[type[BaseMessage], Mode]], schemas: MessageSchemas) -> list[Json]:
        keys = dict.fromkeys(schemas.key(*pair) for pair in pairs)
        return [{"$ref": f"#/channels/{self.id}/messages/{key}"} for key in keys]

    def _credentials(self) -> Any:
        return getattr(self.route.consumer.authenticator_class, "credentials", ())

    def security_schemes(self) -> Json:
        return {
            one.name: {
                "type": "httpApiKey",
                "name": one.name,
                "in": one.location,
                **({"description": one.description} if one.description else {}),
            }
            for one in self._credentials()
        }


def _message(model: type[BaseMessage], mode: Mode, schemas: MessageSchemas) -> Json:
    key = schemas.key(model, mode)
    made: Json = {
        "name": " | ".join(tags_of(model, schemas.wire.discriminator)),
        "title": model.__name__,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{key}"},
    }
    summary = description_of(model)
    if summary:
        made["summary"] = summary
    example = schemas.example(model, mode)
    if example is not None:
        made["examples"] = [{"payload": example}]
    return made


def _snake(name: str) -> str:
    """``RoomChat`` as ``room_chat``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
