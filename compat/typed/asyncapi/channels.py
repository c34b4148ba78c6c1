"""A channel of the document: a consumer, or one of its topics, at an address."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from compat.typed.asyncapi.discovery import ConsumerRoute
from compat.typed.asyncapi.schemas import MessageSchemas, Mode, description_of
from compat.typed.authenticator import Credential
from compat.typed.config import config
from compat.typed.conversation import Conversation
from compat.typed.decorators import ChannelInfo, Handler
from compat.typed.messages import (
    ACTION,
    BaseMessage,
    CompleteMessage,
    ErrorMessage,
    EventCompleteMessage,
    GroupCompleteMessage,
    SubscribedMessage,
    SubscribeMessage,
    UnsubscribedMessage,
    UnsubscribeMessage,
    literal_values,
)
from compat.typed.topics import Topic
from compat.typed.unions import tags_of
from compat.typed.wire import Wire

__all__ = ["Channel", "Pair"]

Json: TypeAlias = "dict[str, Any]"
Pair: TypeAlias = "tuple[type[BaseMessage], Mode]"
"""A message, and its mode: received ("validation") or sent ("serialization")."""


SUBSCRIBING: Sequence[tuple[type[BaseMessage], type[BaseMessage]]] = (
    (SubscribeMessage, SubscribedMessage),
    (UnsubscribeMessage, UnsubscribedMessage),
)


def _received(models: Iterable[type[BaseMessage]]) -> list[Pair]:
    return [(model, "validation") for model in models]


def _sent(models: Iterable[type[BaseMessage]]) -> list[Pair]:
    return [(model, "serialization") for model in models]


class Channel:
    """A conversation at an address; ``host`` is the channel to which a topic belongs."""

    def __init__(
        self, id: str, route: ConsumerRoute, spoken: type[Conversation[Any]], host: str | None = None
    ) -> None:
        self.id = id
        self.route = route
        self.spoken = spoken
        self.host = host
        self.topic = spoken if issubclass(spoken, Topic) else None
        self.wire = Wire(route.consumer.wire().camelize, spoken.discriminator_field)
        self.info: ChannelInfo = getattr(spoken, "_compat_channel_info", ChannelInfo())
        self.tags = self.info.tags or (route.consumer._compat_channel_info.tags if self.topic else ())
        authenticator = route.consumer.authenticator_class
        self.credentials: Sequence[Credential] = authenticator.credentials if authenticator else ()

    def messages(self) -> list[Pair]:
        """Return all messages of this channel without repetitions."""
        handlers = self.spoken._compat_messages.handlers.values()
        found = _received(handler.input_type for handler in handlers)
        if self.topic is not None:
            found += _received(asked for asked, _ in SUBSCRIBING) + _sent(given for _, given in SUBSCRIBING)
        found += _sent(self.spoken.sent_messages()) + _sent(self._notices())
        return list(dict.fromkeys(found))

    def _notices(self) -> Iterator[type[BaseMessage]]:
        """Yield messages about the conversation itself."""
        if self.spoken._compat_messages.handlers:
            yield ErrorMessage
        completes = self.spoken.send_completion
        if config.send_completion if completes is None else completes:
            yield from (CompleteMessage, GroupCompleteMessage, EventCompleteMessage)
        authenticator = self.route.consumer.authenticator_class
        if authenticator is not None and self.topic is None:
            yield from authenticator.emits

    def message_components(self, schemas: MessageSchemas) -> Json:
        """Return ``{key: Message Object}``."""
        return {schemas.key(model, mode): _message(model, mode, schemas) for model, mode in self.messages()}

    def channel(self, schemas: MessageSchemas) -> Json:
        """Return the Channel Object."""
        made: Json = {"address": self.route.address, "title": self.spoken.__name__}
        own_words = inspect.getdoc(self.spoken) if self.spoken.__dict__.get("__doc__") else None
        if description := self.info.description or own_words:
            made["description"] = description
        keys = [schemas.key(*pair) for pair in self.messages()]
        made["messages"] = {key: {"$ref": f"#/components/messages/{key}"} for key in keys}
        if self.route.parameters:
            made["parameters"] = {
                name: {"description": says} if says else {} for name, says in self.route.parameters.items()
            }
        if self.tags:
            made["tags"] = [{"name": tag} for tag in self.tags]
        made["bindings"] = {"ws": self._binding()}
        if self.wire.discriminator != ACTION:
            made["x-discriminator"] = self.wire.discriminator
        if self.topic is not None:
            made["x-topic"] = {
                "pattern": self.topic.pattern,
                "parameters": list(self.topic.param_names),
                "channel": self.host,
                "default": self.route.consumer.default_topic is self.topic,
            }
        return made

    def _binding(self) -> Json:
        """Return the binding of the handshake, with the credentials that its query may have."""
        binding: Json = {"method": "GET"}
        in_query = {
            one.name: {"type": "string", **_described(one)}
            for one in self.credentials
            if one.location == "query"
        }
        if in_query:
            binding["query"] = {"type": "object", "properties": in_query}
        return binding

    def security_schemes(self) -> Json:
        """Return ``{name: Security Scheme Object}``."""
        return {
            one.name: {"type": "httpApiKey", "name": one.name, "in": one.location, **_described(one)}
            for one in self.credentials
        }

    def operations(self, schemas: MessageSchemas) -> Iterator[tuple[str, Json]]:
        """Yield names and Operation Objects, those of clients' messages first."""
        for handler in self.spoken._compat_messages.handlers.values():
            made = {**self._operation("receive", _received([handler.input_type]), schemas), **_said(handler)}
            if self.credentials:
                schemes = (f"#/components/securitySchemes/{one.name}" for one in self.credentials)
                made["security"] = [{"$ref": scheme} for scheme in schemes]
            yield handler.operation, self._answered(made, handler.output_types, schemas)
        for asked, given in SUBSCRIBING if self.topic is not None else ():
            made = self._operation("receive", _received([asked]), schemas, asked.__doc__)
            yield literal_values(asked, ACTION)[0], self._answered(made, [given], schemas)
        for handler in self.spoken._compat_events.handlers.values():
            if handler.output_types:
                made = {**self._operation("send", _sent(handler.output_types), schemas), **_said(handler)}
                yield handler.operation, {**made, "x-event": handler.input_type.__name__}
        for name, summary, models in (
            ("passed_on", "Events, sent unchanged", self.spoken._compat_events.passed_on),
            ("emits", "Sent by the server on its own", self.spoken._compat_emits),
            ("notices", "Errors, and messages about the conversation itself", tuple(self._notices())),
        ):
            if models:
                yield name, self._operation("send", _sent(models), schemas, summary)

    def _operation(
        self, action: str, pairs: Iterable[Pair], schemas: MessageSchemas, summary: str | None = None
    ) -> Json:
        made: Json = {"action": action, "channel": {"$ref": f"#/channels/{self.id}"}}
        if summary:
            made["summary"] = summary
        return {**made, "messages": self._references(pairs, schemas)}

    def _answered(self, made: Json, models: Iterable[type[BaseMessage]], schemas: MessageSchemas) -> Json:
        answers = self._references(_sent(models), schemas)
        return {**made, "reply": {"channel": made["channel"], "messages": answers}} if answers else made

    def _references(self, pairs: Iterable[Pair], schemas: MessageSchemas) -> list[Json]:
        keys = dict.fromkeys(schemas.key(*pair) for pair in pairs)
        return [{"$ref": f"#/channels/{self.id}/messages/{key}"} for key in keys]


def _said(handler: Handler) -> Json:
    """Return the title, summary, description and tags of a handler."""
    made: Json = {"title": handler.operation}
    if handler.summary:
        made["summary"] = handler.summary
    if handler.description:
        made["description"] = handler.description
    if handler.tags:
        made["tags"] = [{"name": tag} for tag in handler.tags]
    return made


def _described(credential: Credential) -> Json:
    return {"description": credential.description} if credential.description else {}


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
