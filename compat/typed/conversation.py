"""A conversation: messages in, each to the method that handles its type; answers and errors out.

It is what a consumer and a topic of a consumer have in common. Messages are handled one at a time and in
order. Whatever is wrong with one of them is answered, and the socket stays open.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, cast

from pydantic import ValidationError

from compat.exceptions import AcceptConnection, DenyConnection, RequestAborted, StopConsumer
from compat.typed.camel import to_snake
from compat.typed.config import config
from compat.typed.envelope import stamp
from compat.typed.handlers import Handlers, merged_messages
from compat.typed.messages import (
    BaseMessage,
    CompleteMessage,
    ErrorMessage,
    EventCompleteMessage,
    GroupCompleteMessage,
)
from compat.typed.unions import Adapter, union_of
from compat.typed.wire import Wire, error_payload, not_json, text_of

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    ReceiveEvent = TypeVar("ReceiveEvent", bound=BaseMessage, default=BaseMessage)
else:
    from typing import TypeVar

    ReceiveEvent = TypeVar("ReceiveEvent", bound=BaseMessage)

__all__ = ["COMPLETE_ACTIONS", "Conversation", "ReceiveEvent"]

log = logging.getLogger("compat.typed")

COMPLETE_ACTIONS = frozenset(("complete", "event_complete", "group_complete"))
BUILT_IN = (CompleteMessage, GroupCompleteMessage, EventCompleteMessage, ErrorMessage)
CONTROL = (StopConsumer, AcceptConnection, DenyConnection, RequestAborted)
"""What a handler raises to steer its connection, not because it failed."""


class _Name:
    """``cls.name``: the class's without "Consumer"; ``cls.snake_name`` in small letters."""

    def __init__(self, form: Callable[[str], str] = str) -> None:
        self._form = form

    def __get__(self, instance: object, owner: type) -> str:
        return self._form(owner.__name__.removesuffix("Consumer"))


class _IncomingAdapter:
    """``cls.incoming_message_adapter`` and its like for events: None where the class takes none of them."""

    def __init__(self, handlers: str) -> None:
        self._handlers = handlers

    def __get__(self, instance: object, owner: type[Conversation[Any]]) -> Adapter | None:
        handlers: Handlers = getattr(owner, self._handlers)
        return handlers.adapter


class _OutgoingAdapter:
    """``cls.outgoing_message_adapter``: validates what the class may send; made when first asked for."""

    def __get__(self, instance: object, owner: type[Conversation[Any]]) -> Adapter:
        adapter = owner.__dict__.get("_typed_outgoing")
        if adapter is None:
            adapter = owner._typed_outgoing = union_of(
                (*owner.sent_messages(), *BUILT_IN), owner.discriminator_field
            )
            assert adapter is not None
        return adapter


class Conversation(Generic[ReceiveEvent]):
    """The handlers of a class, and what becomes of a message that is for one of them.

    What is None here is as ``compat.typed.config.config`` has it, from the moment a client connects.
    """

    send_completion: bool | None = None
    """Say when the handler of a message, an event or a broadcast is done (tests find that useful)."""
    send_message_immediately: bool | None = None
    """Let other connections have their turn after each message that is sent."""
    log_websocket_message: bool | None = None
    """Log the action of each message that is received or sent, at INFO."""
    log_ignored_actions: Collection[str] | None = None
    """Actions that are not logged."""
    camelize: bool | None = None
    """Fields are camelCase on the wire; received ones may be in either form."""
    discriminator_field: ClassVar[str] = "action"
    """The name that ``action`` has on the wire."""
    passthrough_events: ClassVar[Sequence[type[BaseMessage]]] = ()
    """Events that go to the client as they are."""
    emits: ClassVar[Sequence[type[BaseMessage]]] = ()
    """For the documentation: what is sent that no handler answers with."""
    passthrough_method_prefix: ClassVar[str] = "handle_passthrough_"
    """Begins the name of a method for each of ``passthrough_events``, which returns the event as it is; the
    rest is the event's class in small letters. To do more with an event, give it an ``@event_handler``."""

    name: str = cast(Any, _Name())
    """The class's name without "Consumer"."""
    snake_name: str = cast(Any, _Name(to_snake))
    """``name`` in small letters with underscores."""

    _typed_messages: ClassVar[Handlers]
    _typed_events: ClassVar[Handlers]
    _typed_emits: ClassVar[tuple[type[BaseMessage], ...]] = ()
    _typed_outgoing: ClassVar[Adapter | None] = None
    _sends_plainly: bool = True
    """False where a subclass wants to see every JSON object that is sent."""

    incoming_message_adapter: ClassVar[Adapter | None] = cast(Any, _IncomingAdapter("_typed_messages"))
    """Validates what clients send; None where there are no handlers."""
    incoming_event_adapter: ClassVar[Adapter | None] = cast(Any, _IncomingAdapter("_typed_events"))
    """Validates events; None where there are no handlers."""
    outgoing_message_adapter: ClassVar[Adapter] = _OutgoingAdapter()  # type: ignore[assignment]
    _typed_wire: Wire

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        passed_on = merged_messages(cls, "passthrough_events")
        cls._typed_emits = merged_messages(cls, "emits")
        cls._typed_messages = Handlers(cls, "message", cls.discriminator_field)
        cls._typed_events = Handlers(cls, "event", cls.discriminator_field, passed_on)
        cls._typed_outgoing = None
        for model in cls._typed_events.passed_on:
            method = cls.passthrough_method_prefix + to_snake(model.__name__)
            if not hasattr(cls, method):
                setattr(cls, method, _pass_on)
        if cls.should_camelize is not Conversation.should_camelize:
            raise TypeError(
                f"{cls.__module__}.{cls.__qualname__} overrides should_camelize, which decides nothing. "
                "A message to a group is written once for all its members. Set camelize = True on the class"
            )

    @classmethod
    def sent_messages(cls) -> tuple[type[BaseMessage], ...]:
        """What clients may be sent, as far as the class says so: answers, passed-on events, ``emits``."""
        outputs = (*cls._typed_messages.output_types(), *cls._typed_events.output_types(), *cls._typed_emits)
        return tuple(dict.fromkeys(outputs))

    @classmethod
    def wire(cls) -> Wire:
        """The form of this class's messages."""
        camelize = config.camelize if cls.camelize is None else cls.camelize
        return Wire(bool(camelize), cls.discriminator_field)

    def _settle_options(self) -> None:
        """Take what the class leaves open from ``config``; once, when the client connects."""
        self.send_completion = self.should_send_completion
        self.camelize = self.should_camelize
        for name in ("send_message_immediately", "log_websocket_message", "log_ignored_actions"):
            if getattr(self, name) is None:
                setattr(self, name, getattr(config, name))
        self._typed_wire = Wire(bool(self.camelize), self.discriminator_field)

    @property
    def should_send_completion(self) -> bool:
        """Whether completion messages are sent: as the class says, else as ``config`` does."""
        return bool(config.send_completion if self.send_completion is None else self.send_completion)

    @property
    def should_camelize(self) -> bool:
        """Whether fields are camelCase on the wire: as the class says, else as ``config`` does."""
        return bool(config.camelize if self.camelize is None else self.camelize)

    @property
    def all_log_ignored_actions(self) -> set[str]:
        """The actions that are not logged: ``log_ignored_actions``, and those of completion messages."""
        ignored = self.log_ignored_actions
        return {*COMPLETE_ACTIONS, *(config.log_ignored_actions if ignored is None else ignored)}

    # In

    async def _handle_text(self, text: str | bytes) -> None:
        """Validate a frame and have it handled; its errors are answered."""
        adapter = self._typed_messages.adapter
        try:
            if adapter is None:
                raise TypeError(f"{type(self).__qualname__} has no handlers: it only sends")
            message = adapter.validate_json(text)
        except ValidationError as error:
            await self.handle_validation_error(error)
        except Exception as error:  # noqa: BLE001 - a validator of the user's may raise anything
            await self.handle_json_processing_error(error)
        else:
            await self.receive_message(message)
        if self.send_completion:
            await self.send_message(CompleteMessage())

    async def handle_json(self, content: Any, **kwargs: Any) -> None:
        """``content`` is a client's message, as JSON values: validate it and have it handled."""
        if self.camelize:
            content = self._typed_messages.in_python(content)
        try:
            text = text_of(content)
        except ValueError as error:  # a decoder of the user's lets pass what is no JSON, such as half a pair
            await self.handle_validation_error(not_json(str(error), None))
        else:
            await self._handle_text(text)

    async def receive_message(self, message: BaseMessage) -> None:
        """Hand a valid message to its handler, and what that returns to ``handle_result()``."""
        if self.log_websocket_message:
            self._log("received", message.action)
        method = getattr(self, self._typed_messages.method_for(message))
        try:
            result = await method(message)
            if result is not None:
                await self.handle_result(result)
        except CONTROL:
            raise
        except Exception as error:  # noqa: BLE001 - the user's handler may raise anything
            await self.handle_message_handler_error(error, message.action, message)

    async def receive_event(self, event: BaseMessage) -> None:
        """Hand a valid event to its handler; what that returns is sent to the client."""
        name = self._typed_events.methods.get(type(event))
        try:
            result = event if name is None else await getattr(self, name)(event)
            if result is not None:
                await self.handle_result(result)
        except CONTROL:
            raise
        except Exception as error:  # noqa: BLE001 - the user's handler may raise anything
            await self.handle_event_handler_error(error, event.action, event)
        if self.send_completion:
            await self.send_message(EventCompleteMessage())

    async def _handle_event(self, action: str, text: str) -> None:
        """An event came over the layer, as JSON text."""
        if self._sends_as_is() and action in self._typed_events.passed_on_tags:
            await self._send_text(text, action)
            return
        adapter = self._typed_events.adapter
        try:
            if adapter is None or action not in self._typed_events.tags:
                known = ", ".join(map(repr, self._typed_events.tags)) or "none"
                log.warning(
                    "%s got an event %r for which it has no handler; it handles: %s",
                    self._described(),
                    action,
                    known,
                )
                return
            event = adapter.validate_json(text)
        except ValidationError as error:
            log.warning("%s got an event %r that is not valid: %s", self._described(), action, error)
        else:
            await self.receive_event(event)

    # Out

    async def handle_result(self, result: BaseMessage) -> None:
        """Send what a handler returned. Raises TypeError for what is no message."""
        if not isinstance(result, BaseMessage):
            raise TypeError(f"a handler returns a message or None; found {type(result).__name__} {result!r}")
        await self.send_message(result)

    async def send_message(self, message: BaseMessage, *, validate: bool = False) -> None:
        """Send ``message`` to this client.

        While a message with a ``ref`` is being handled the ref goes with it. ``validate`` holds it against
        what the class says it sends first; raises pydantic's ValidationError.
        """
        if validate:
            type(self).outgoing_message_adapter.validate_python(
                Wire(False, self.discriminator_field).dump(message)
            )
        if self._sends_plainly:
            await self._send_text(self._typed_wire.encode(message, self._stamp()), message.action)
        else:
            await self.send_json(self._typed_wire.dump(message) | (self._stamp() or {}))
            await self._sent(message.action)

    async def send_json(self, content: Any, close: bool | int = False) -> None:
        """Send JSON values as they are."""
        raise NotImplementedError("send_json() belongs to a consumer or a topic")

    def _described(self) -> str:
        """This conversation, for log lines."""
        return type(self).__qualname__

    def _stamp(self) -> dict[str, Any] | None:
        return stamp()

    def _sends_as_is(self) -> bool:
        """Whether JSON text that somebody else made can go to this client unchanged."""
        return self._sends_plainly and not self.camelize

    async def _send_text(self, text: str, action: str) -> None:
        raise NotImplementedError

    async def _sent(self, action: str) -> None:
        """After each message."""
        if self.log_websocket_message:
            self._log("sent", action)
        if self.send_message_immediately:
            await asyncio.sleep(0)

    def _log(self, what: str, action: str) -> None:
        if action not in self.all_log_ignored_actions:
            log.info("%s %s %s", self._described(), what, action)

    # Errors

    async def handle_validation_error(self, error: ValidationError) -> None:
        """A message was not valid: answer with what was wrong. Override to answer otherwise."""
        await self.send_message(ErrorMessage(payload=error_payload(error)))

    async def handle_json_processing_error(self, error: Exception) -> None:
        """A message could not be looked at for a reason that is not its own: answer, and log."""
        await self._answer_failure("the message could not be processed", error)

    async def handle_message_handler_error(self, error: Exception, action: str, message: BaseMessage) -> None:
        """A handler failed: answer with an id, and log the exception under it."""
        await self._answer_failure(f"the handler of {action!r} failed", error)

    async def handle_event_handler_error(self, error: Exception, action: str, event: BaseMessage) -> None:
        """The handler of an event failed: log it. No client asked for it, so none is told."""
        log.error("%s: the handler of event %r failed", self._described(), action, exc_info=error)

    async def _answer_failure(self, detail: str, error: Exception) -> None:
        error_id = uuid.uuid4().hex[:12]
        log.error("%s: %s [error_id %s]", self._described(), detail, error_id, exc_info=error)
        await self.send_message(ErrorMessage(payload={"detail": detail, "error_id": error_id}))


async def _pass_on(self: Conversation[Any], event: BaseMessage) -> BaseMessage:
    """The event goes to the client as it is."""
    return event
