"""Messages: pydantic models that are told apart by a Literal ``action``, and those that every consumer knows.

    class ChatMessage(BaseMessage):
        action: Literal["chat"] = "chat"
        payload: ChatPayload

The same kind of class is used for what clients send, for what they are sent and for events between processes.
Names and fields are those of Chanx 2.13.
"""

from __future__ import annotations

import abc
import enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict

__all__ = [
    "AuthenticationMessage",
    "AuthenticationPayload",
    "BaseMessage",
    "CompleteMessage",
    "ErrorMessage",
    "EventCompleteMessage",
    "GroupCompleteMessage",
    "PingMessage",
    "PongMessage",
    "SubscribeMessage",
    "SubscribedMessage",
    "UnsubscribeMessage",
    "UnsubscribedMessage",
    "literal_values",
]

ACTION = "action"


def literal_values(model: type[BaseModel], field: str) -> tuple[str, ...]:
    """The strings that ``field`` of ``model`` may be, or () where it is not annotated with such a Literal."""
    info = model.model_fields.get(field)
    annotation = info.annotation if info is not None else None
    if get_origin(annotation) is not Literal:
        return ()
    values = [value.value if isinstance(value, enum.Enum) else value for value in get_args(annotation)]
    return tuple(values) if all(isinstance(value, str) for value in values) else ()


class BaseMessage(BaseModel, abc.ABC):
    """Base of all messages. A subclass declares ``action`` as a Literal of strings, and its ``payload``.

    Raises TypeError when a subclass is made whose ``action`` is anything else. A base class for several
    messages that has no action of its own names ``abc.ABC`` among its bases.
    """

    action: Any
    payload: Any

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if abc.ABC in cls.__bases__ or literal_values(cls, ACTION):
            return
        found = cls.model_fields[ACTION].annotation
        example = cls.__name__.removesuffix("Message").lower()
        raise TypeError(
            f"{cls.__module__}.{cls.__qualname__} needs an action that is a Literal of strings, such as "
            f'action: Literal["{example}"] = "{example}"; found {found}. '
            "(A base class for other messages names abc.ABC among its bases.)"
        )


class PingMessage(BaseMessage):
    """Are you there?"""

    action: Literal["ping"] = "ping"
    payload: None = None


class PongMessage(BaseMessage):
    """The answer to a ping."""

    action: Literal["pong"] = "pong"
    payload: None = None


class ErrorMessage(BaseMessage):
    """What was wrong with a message.

    ``payload`` is a list of ``{"type", "loc", "msg"}`` for a message that could not be read, and
    ``{"detail", "error_id"}`` for one whose handler failed; the id is in the server's log.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "action": "error",
                    "payload": [
                        {"type": "missing", "loc": ["chat", "payload", "message"], "msg": "Field required"}
                    ],
                }
            ]
        }
    )

    action: Literal["error"] = "error"
    payload: Any


class AuthenticationPayload(BaseModel):
    """How an authentication ended, in terms of HTTP."""

    status_code: int
    status_text: str = ""
    data: Any = None


class AuthenticationMessage(BaseMessage):
    """Sent by an authenticator before anything else."""

    action: Literal["authentication"] = "authentication"
    payload: AuthenticationPayload


class CompleteMessage(BaseMessage):
    """With ``send_completion``: the handler of a client's message is done."""

    action: Literal["complete"] = "complete"
    payload: None = None


class GroupCompleteMessage(BaseMessage):
    """With ``send_completion``: a broadcast has been passed on to this client."""

    action: Literal["group_complete"] = "group_complete"
    payload: None = None


class EventCompleteMessage(BaseMessage):
    """With ``send_completion``: the handler of an event is done."""

    action: Literal["event_complete"] = "event_complete"
    payload: None = None


class SubscribeMessage(BaseMessage):
    """A client asks for a topic."""

    action: Literal["subscribe"] = "subscribe"
    payload: None = None


class SubscribedMessage(BaseMessage):
    """The client has the topic."""

    action: Literal["subscribed"] = "subscribed"
    payload: None = None


class UnsubscribeMessage(BaseMessage):
    """A client gives a topic up."""

    action: Literal["unsubscribe"] = "unsubscribe"
    payload: None = None


class UnsubscribedMessage(BaseMessage):
    """The client no longer has the topic."""

    action: Literal["unsubscribed"] = "unsubscribed"
    payload: None = None
