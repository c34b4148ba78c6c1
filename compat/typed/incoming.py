"""What a consumer sends, as its client reads it: frames in, messages out. Used by the client and in tests."""

from __future__ import annotations

from typing import Any, cast

from pydantic import ValidationError

from compat.typed.camel import reader
from compat.typed.conversation import BUILT_IN, Conversation
from compat.typed.messages import BaseMessage, SubscribedMessage, UnsubscribedMessage
from compat.typed.unions import Adapter, tags_of, union_of
from compat.typed.wire import text_of

__all__ = ["Incoming"]


class Incoming:
    """Makes messages of what a conversation sends, in the form (``wire``) in which it sends them."""

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
        self.readers = (
            {tag: reader(model) for model in models for tag in tags_of(model, wire.discriminator)}
            if wire.camelize
            else {}
        )

    def message(self, content: dict[str, Any]) -> BaseMessage:
        """Raises ValueError for what the conversation does not say that it sends."""
        translate = self.readers.get(str(content.get(self.wire.discriminator)))
        try:
            return self.adapter.validate_json(text_of(content if translate is None else translate(content)))
        except ValidationError as error:
            raise ValueError(
                f"{self.name} does not say that it sends {content}: {error.errors()[0]['msg']}. Name the "
                "message's class in output_type=… of the handler that sends it, or in emits"
            ) from error
