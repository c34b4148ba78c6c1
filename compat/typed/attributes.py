"""Attributes of a conversation's class that are computed when they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

from compat.typed.handlers import Handlers
from compat.typed.messages import BaseMessage
from compat.typed.unions import Adapter, union_of

__all__ = ["ClassName", "IncomingAdapter", "OutgoingAdapter"]


class ClassName:
    """``cls.name``: the name of the class without "Consumer"; ``cls.snake_name``: in lower case."""

    def __init__(self, form: Callable[[str], str] = str) -> None:
        self._form = form

    def __get__(self, instance: object, owner: type) -> str:
        return self._form(owner.__name__.removesuffix("Consumer"))


class IncomingAdapter:
    """``cls.incoming_message_adapter`` and ``cls.incoming_event_adapter``; None without handlers."""

    def __init__(self, handlers: str) -> None:
        self._handlers = handlers

    def __get__(self, instance: object, owner: type) -> Adapter | None:
        handlers: Handlers = getattr(owner, self._handlers)
        return handlers.adapter


class OutgoingAdapter:
    """``cls.outgoing_message_adapter``: the validator of messages that the class may send, made at first
    use. ``built_in``: those that every class sends.
    """

    def __init__(self, built_in: Iterable[type[BaseMessage]]) -> None:
        self._built_in = built_in
        self._made: WeakKeyDictionary[type, Adapter] = WeakKeyDictionary()

    def __get__(self, instance: object, owner: Any) -> Adapter:
        adapter = self._made.get(owner)
        if adapter is None:
            adapter = union_of((*owner.sent_messages(), *self._built_in), owner.discriminator_field)
            assert adapter is not None
            self._made[owner] = adapter
        return adapter
