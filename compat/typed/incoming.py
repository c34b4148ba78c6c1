"""Decoding of a consumer's frames as messages, for the client and for tests."""

from __future__ import annotations

from typing import Any, cast

from pydantic import ValidationError

from compat.typed.camel import reader
from compat.typed.conversation import BUILT_IN, Conversation
from compat.typed.envelope import strip_envelope
from compat.typed.messages import BaseMessage, SubscribedMessage, UnsubscribedMessage
from compat.typed.unions import Adapter, tagged, union_of
from compat.typed.wire import text_of

__all__ = ["Incoming"]


class Incoming:
    """Decodes the frames of a conversation as messages; ``wire`` is their form."""

    def __init__(self, conversation: type[Conversation[Any]]) -> None:
        self.wire = wire = conversation.wire()
        authenticator = getattr(conversation, "authenticator_class", None)
        models = (
            *conversation.sent_messages(),
            *getattr(authenticator, "emits", ()),
            *BUILT_IN,
            SubscribedMessage,
            UnsubscribedMessage,
        )
        self.name = conversation.__name__
        self.adapter = cast(Adapter, union_of(models, wire.discriminator))
        self.readers = tagged(models, wire.discriminator, reader) if wire.camelize else {}
        self.own_names = tagged(models, wire.discriminator, lambda model: model._compat_own_sent)

    def message_in(self, frame: dict[str, Any]) -> BaseMessage:
        """Return the message of a frame that may have an envelope; for the rest see ``message()``."""
        own = self.own_names.get(str(frame.get(self.wire.discriminator)), ())
        return self.message(strip_envelope(frame, own))

    def message(self, content: dict[str, Any]) -> BaseMessage:
        """Return the message of a frame; raise ValueError if the conversation does not declare it."""
        translate = self.readers.get(str(content.get(self.wire.discriminator)))
        try:
            return self.adapter.validate_json(text_of(content if translate is None else translate(content)))
        except ValidationError as error:
            raise ValueError(
                f"{self.name} does not declare that it sends {content}: {error.errors()[0]['msg']}. Add the "
                "class of the message to output_type=… of the handler that sends it, or to emits"
            ) from error
