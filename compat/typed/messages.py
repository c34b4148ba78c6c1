"""Messages: pydantic models with a Literal ``action``, and the messages of the protocol.

    class ChatMessage(BaseMessage):
        action: Literal["chat"] = "chat"
        payload: ChatPayload

Clients and consumers send messages, and events between processes are messages. Names and fields are those of
Chanx 2.13.
"""

from __future__ import annotations

import abc
import enum
from typing import Any, ClassVar, Literal, get_args, get_origin
from weakref import WeakSet

from pydantic import BaseModel, ConfigDict

from compat.typed.envelope import own_received, own_sent

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
    "messages_of",
]

ACTION = "action"
_by_action: dict[str, WeakSet[type[BaseMessage]]] = {}


def messages_of(action: str) -> frozenset[type[BaseMessage]]:
    """Return the message classes of this process that have ``action``."""
    return frozenset(_by_action.get(action, ()))


def literal_values(model: type[BaseModel], field: str) -> tuple[str, ...]:
    """Return the strings that ``field`` of ``model`` may have, or () if its annotation is not such a
    Literal. Members of a ``str`` enum are strings.
    """
    info = model.model_fields.get(field)
    annotation = info.annotation if info is not None else None
    if get_origin(annotation) is not Literal:
        return ()
    values = get_args(annotation)
    if not all(isinstance(value, str) for value in values):
        return ()  # JSON has no members of other enums, so pydantic would take no message
    return tuple(value.value if isinstance(value, enum.Enum) else value for value in values)


class BaseMessage(BaseModel, abc.ABC):
    """Base class of all messages. A subclass declares ``action`` as a Literal of strings, and its
    ``payload``.

    The definition of a subclass with another ``action`` raises TypeError. A base class for several messages,
    without an action, has ``abc.ABC`` among its bases.
    """

    action: Any
    payload: Any

    _compat_dumps_itself: ClassVar[bool] = False
    """The class overrides ``model_dump()``, which decides what others see of its messages."""
    _compat_writes_itself: ClassVar[bool] = False
    """It overrides ``model_dump_json()`` alone."""
    _compat_own_received: ClassVar[frozenset[str]] = frozenset()
    """Names of the envelope that are fields of the message, if it is received; next: if it is sent."""
    _compat_own_sent: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls._compat_dumps_itself = cls.model_dump is not BaseModel.model_dump
        writes = cls.model_dump_json is not BaseModel.model_dump_json
        cls._compat_writes_itself = writes and not cls._compat_dumps_itself
        cls._compat_own_received, cls._compat_own_sent = own_received(cls), own_sent(cls)
        actions = literal_values(cls, ACTION)
        for action in actions:
            _by_action.setdefault(action, WeakSet()).add(cls)
        if abc.ABC in cls.__bases__ or actions:
            return
        found = cls.model_fields[ACTION].annotation
        example = cls.__name__.removesuffix("Message").lower()
        raise TypeError(
            f"{cls.__module__}.{cls.__qualname__} needs an action that is a Literal of strings, such as "
            f'action: Literal["{example}"] = "{example}"; found {found}. '
            "(A base class for other messages has abc.ABC among its bases.)"
        )


class PingMessage(BaseMessage):
    """Asks the server for a ``PongMessage``."""

    action: Literal["ping"] = "ping"
    payload: None = None


class PongMessage(BaseMessage):
    """The answer to a ping."""

    action: Literal["pong"] = "pong"
    payload: None = None


class ErrorMessage(BaseMessage):
    """The errors of a message.

    ``payload`` is a list of ``{"type", "loc", "msg"}`` for an invalid message, and ``{"detail", "error_id"}``
    for a message whose handler failed; the id is in the server's log.
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
    payload: Any = None


class AuthenticationPayload(BaseModel):
    """The result of an authentication as an HTTP status."""

    status_code: int
    status_text: str = ""
    data: Any = None


class AuthenticationMessage(BaseMessage):
    """The first message of a connection, sent by its authenticator."""

    action: Literal["authentication"] = "authentication"
    payload: AuthenticationPayload


class CompleteMessage(BaseMessage):
    """With ``send_completion``: a message of the client has been handled."""

    action: Literal["complete"] = "complete"
    payload: None = None


class GroupCompleteMessage(BaseMessage):
    """With ``send_completion``: a broadcast has been sent to this client."""

    action: Literal["group_complete"] = "group_complete"
    payload: None = None


class EventCompleteMessage(BaseMessage):
    """With ``send_completion``: an event has been handled."""

    action: Literal["event_complete"] = "event_complete"
    payload: None = None


class SubscribeMessage(BaseMessage):
    """Subscribes to a topic."""

    action: Literal["subscribe"] = "subscribe"
    payload: None = None


class SubscribedMessage(BaseMessage):
    """The client has subscribed to the topic."""

    action: Literal["subscribed"] = "subscribed"
    payload: None = None


class UnsubscribeMessage(BaseMessage):
    """Unsubscribes from a topic."""

    action: Literal["unsubscribe"] = "unsubscribe"
    payload: None = None


class UnsubscribedMessage(BaseMessage):
    """The client has unsubscribed from the topic."""

    action: Literal["unsubscribed"] = "unsubscribed"
    payload: None = None
