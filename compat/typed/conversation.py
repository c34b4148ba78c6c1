"""A conversation: it passes messages to handlers, and sends their answers and errors.

Consumers and their topics are conversations. Messages are handled in order, one at a time. An error in a
message is answered, and the connection stays open.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, cast

from pydantic import ValidationError

from compat.engine.socket import is_disconnect
from compat.exceptions import AcceptConnection, DenyConnection, RequestAborted, StopConsumer
from compat.typed.attributes import ClassName, IncomingAdapter, OutgoingAdapter
from compat.typed.camel import to_snake
from compat.typed.config import config
from compat.typed.envelope import stamp
from compat.typed.forms import Forms
from compat.typed.handlers import Handlers, merged_messages
from compat.typed.messages import (
    BaseMessage,
    CompleteMessage,
    ErrorMessage,
    EventCompleteMessage,
    GroupCompleteMessage,
)
from compat.typed.unions import Adapter, tag_of, tags_of
from compat.typed.wire import Wire, error_payload, not_json, text_of, unhandled

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    ReceiveEvent = TypeVar("ReceiveEvent", bound=BaseMessage, default=BaseMessage)
else:
    from typing import TypeVar

    ReceiveEvent = TypeVar("ReceiveEvent", bound=BaseMessage)

__all__ = ["COMPLETE_ACTIONS", "Conversation", "ReceiveEvent", "is_failure"]

log = logging.getLogger("compat.typed")

COMPLETE_ACTIONS = frozenset(("complete", "event_complete", "group_complete"))
BUILT_IN = (CompleteMessage, GroupCompleteMessage, EventCompleteMessage, ErrorMessage)
PASSED_BY = ("receive_event", "handle_result", "send_message")
"""Methods that an event to be passed on does not reach if its text is sent as it is."""
CONTROL = (StopConsumer, AcceptConnection, DenyConnection, RequestAborted)
"""Exceptions with which a handler controls its connection; they are not failures."""


def is_failure(error: Exception) -> bool:
    """Return False if the client has left, or if a handler controls its connection by ``error``."""
    return not (isinstance(error, CONTROL) or is_disconnect(error))


class Conversation(Generic[ReceiveEvent]):
    """The handlers of a class, and what becomes of a message that is for one of them.

    An option that is None has the value of ``compat.typed.config.config``, read when a client connects.
    """

    _compat_begun: asyncio.Future[None] | None = None
    """Done when a client that is being accepted later may be heard, and may hear its groups."""

    send_completion: bool | None = None
    """Send a completion message after each handled message, event or broadcast, which is useful in tests."""
    send_message_immediately: bool | None = None
    """Yield to other connections after each sent message."""
    log_websocket_message: bool | None = None
    """Log the action of each received or sent message, at INFO."""
    log_ignored_actions: Collection[str] | None = None
    """Actions that are not logged."""
    camelize: bool | None = None
    """Fields are camelCase on the wire; received fields may have either form."""
    discriminator_field: ClassVar[str] = "action"
    """The name of ``action`` on the wire."""
    passthrough_events: ClassVar[Sequence[type[BaseMessage]]] = ()
    """Events that are sent to the client unchanged."""
    emits: ClassVar[Sequence[type[BaseMessage]]] = ()
    """Messages that the class sends besides the answers of handlers, for the documentation."""
    passthrough_method_prefix: ClassVar[str] = "handle_passthrough_"
    """The prefix of a method for each of ``passthrough_events``, which returns the event; the rest is the
    class of the event in lower case. A method of that name in the class is called in its place."""

    name: str = cast(Any, ClassName())
    """The name of the class without "Consumer"."""
    snake_name: str = cast(Any, ClassName(to_snake))
    """``name`` in lower case with underscores."""

    _compat_messages: ClassVar[Handlers]
    _compat_events: ClassVar[Handlers]
    _compat_passing: ClassVar[Mapping[type[BaseMessage], str]] = {}
    """The class's own methods for events to be passed on."""
    _compat_unopened: ClassVar[frozenset[str]] = frozenset()
    """The tags of events whose text may be sent as it is."""
    _compat_emits: ClassVar[tuple[type[BaseMessage], ...]] = ()
    _compat_forms: ClassVar[Forms]
    _compat_sends_plainly: bool = True
    """False if a subclass overrides a method that receives the sent JSON objects."""

    incoming_message_adapter: ClassVar[Adapter | None] = cast(Any, IncomingAdapter("_compat_messages"))
    """The validator of messages from clients; None without handlers."""
    incoming_event_adapter: ClassVar[Adapter | None] = cast(Any, IncomingAdapter("_compat_events"))
    """The validator of events; None without handlers."""
    outgoing_message_adapter: ClassVar[Adapter] = cast(Any, OutgoingAdapter(BUILT_IN))
    _compat_wire: Wire

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        passed_on = merged_messages(cls, "passthrough_events")
        cls._compat_emits = merged_messages(cls, "emits")
        cls._compat_messages = Handlers(cls, "message", cls.discriminator_field)
        cls._compat_events = Handlers(cls, "event", cls.discriminator_field, passed_on)
        passing = {
            model: cls.passthrough_method_prefix + to_snake(model.__name__)
            for model in cls._compat_events.passed_on
        }
        for method in passing.values():
            if not hasattr(cls, method):
                setattr(cls, method, _pass_on)
        own = {model: method for model, method in passing.items() if getattr(cls, method) is not _pass_on}
        plain = all(getattr(cls, method) is getattr(Conversation, method) for method in PASSED_BY)
        cls._compat_passing = own
        cls._compat_unopened = frozenset(
            tag
            for model in passing
            if plain and model not in own
            for tag in tags_of(model, cls.discriminator_field)
        )
        taken = (*cls._compat_messages.models, *cls._compat_events.models)
        cls._compat_forms = Forms((*cls.sent_messages(), *taken), cls.discriminator_field)
        if cls.should_camelize is not Conversation.should_camelize:
            raise TypeError(
                f"{cls.__module__}.{cls.__qualname__} overrides should_camelize, which has no effect: a "
                "message to a group is encoded once for all members. Set camelize = True on the class"
            )

    @classmethod
    def sent_messages(cls) -> tuple[type[BaseMessage], ...]:
        """Return the messages that the class declares to send: answers, passed-on events, ``emits``."""
        outputs = [one for each in (cls._compat_messages, cls._compat_events) for one in each.output_types()]
        return tuple(dict.fromkeys((*outputs, *cls._compat_emits)))

    @classmethod
    def wire(cls) -> Wire:
        """Return the form of this class's messages."""
        camelize = config.camelize if cls.camelize is None else cls.camelize
        return Wire(bool(camelize), cls.discriminator_field)

    @classmethod
    def _compat_encoded(cls, event: BaseMessage) -> dict[str, str]:
        """Return ``event`` for the layer: its tag, and its text with Python's names of fields."""
        wire = Wire(False, cls.discriminator_field)
        return {"action": tag_of(event, wire.discriminator), "text": wire.encode(event)}

    def _compat_settle_options(self) -> None:
        """Set options that are None from ``config``, when the client connects."""
        self.send_completion = self.should_send_completion
        self.camelize = self.should_camelize
        for name in ("send_message_immediately", "log_websocket_message", "log_ignored_actions"):
            if getattr(self, name) is None:
                setattr(self, name, getattr(config, name))
        self._compat_wire = Wire(bool(self.camelize), self.discriminator_field)

    @property
    def should_send_completion(self) -> bool:
        """Return the option ``send_completion`` of the class, or else that of ``config``."""
        return bool(config.send_completion if self.send_completion is None else self.send_completion)

    @property
    def should_camelize(self) -> bool:
        """The option ``camelize`` of the class, else that of ``config``."""
        return bool(config.camelize if self.camelize is None else self.camelize)

    @property
    def all_log_ignored_actions(self) -> set[str]:
        """The actions that are not logged: ``log_ignored_actions``, and those of completion messages."""
        ignored = self.log_ignored_actions
        return {*COMPLETE_ACTIONS, *(config.log_ignored_actions if ignored is None else ignored)}

    # In

    async def _compat_handle_text(self, text: str | bytes) -> None:
        """Validate a frame and call its handler; errors are answered."""
        adapter = self._compat_messages.adapter
        try:
            if adapter is None:
                raise unhandled(text, self.discriminator_field)
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
        """Validate the message ``content`` (JSON values) of a client, and call its handler."""
        if self.camelize:
            content = self._compat_messages.in_python(content)
        try:
            text = text_of(content)
        except ValueError as error:  # an overridden decoder may return values that JSON does not allow
            await self.handle_validation_error(not_json(str(error), None))
        else:
            await self._compat_handle_text(text)

    async def receive_message(self, message: BaseMessage) -> None:
        """Pass a valid message to its handler, and the result to ``handle_result()``."""
        if self.log_websocket_message:
            self._compat_log("received", message.action)
        try:
            result = await getattr(self, self._compat_messages.method_for(message))(message)
            if result is not None:
                await self.handle_result(result)
        except Exception as error:
            if not is_failure(error):
                raise
            await self.handle_message_handler_error(error, message.action, message)

    async def receive_event(self, event: BaseMessage) -> None:
        """Pass a valid event to its handler, and send the result to the client."""
        name = self._compat_events.methods.get(type(event)) or self._compat_passing.get(type(event))
        try:
            result = event if name is None else await getattr(self, name)(event)
            if result is not None:
                await self.handle_result(result)
        except Exception as error:
            if not is_failure(error):
                raise
            await self.handle_event_handler_error(error, event.action, event)
        if self.send_completion:
            await self.send_message(EventCompleteMessage())

    async def _compat_handle_event(self, action: str, text: str) -> None:
        """Handle an event from the layer, which is JSON text."""
        if action in self._compat_unopened and self._compat_sends_as_is():
            await self._compat_send_text(text, action)
            return
        adapter = self._compat_events.adapter
        try:
            if adapter is None or action not in self._compat_events.tags:
                known = ", ".join(map(repr, self._compat_events.tags)) or "none"
                log.warning(
                    "%s received an event %r without a handler; it handles: %s",
                    self._compat_described(),
                    action,
                    known,
                )
                return
            event = adapter.validate_json(text)
        except ValidationError as error:
            log.warning("%s received an invalid event %r: %s", self._compat_described(), action, error)
        else:
            await self.receive_event(event)

    # Out

    async def handle_result(self, result: BaseMessage) -> None:
        """Send the result of a handler. Raises TypeError if it is not a message."""
        if not isinstance(result, BaseMessage):
            raise TypeError(
                f"a handler must return a message or None, not {type(result).__name__} {result!r}"
            )
        await self.send_message(result)

    async def send_message(self, message: BaseMessage, *, validate: bool = False) -> None:
        """Send ``message`` to this client.

        During the handling of a message with a ``ref``, the ref is added. ``validate``: first check that the
        class declares to send the message; raises pydantic's ValidationError.
        """
        if validate:
            plain = Wire(False, self.discriminator_field).dump(message)
            type(self).outgoing_message_adapter.validate_python(plain)
        if self._compat_sends_plainly:
            text = self._compat_wire.encode(message, self._compat_stamp())
            await self._compat_send_text(text, message.action)
        else:
            await self.send_json(self._compat_wire._replace(camelize=False).dump(message))
            await self._compat_sent(message.action)

    async def send_json(self, content: Any, close: bool | int = False) -> None:
        """Send JSON values."""
        raise NotImplementedError("send_json() belongs to a consumer or a topic")

    def _compat_described(self) -> str:
        """Return this conversation as text for logs."""
        return type(self).__qualname__

    def _compat_stamp(self) -> dict[str, Any] | None:
        return stamp()

    def _compat_sends_as_is(self) -> bool:
        """Return True if JSON text from another process can be sent to this client unchanged."""
        return self._compat_sends_plainly and not self.camelize and not self.send_completion

    async def _compat_send_text(self, text: str, action: str) -> None:
        raise NotImplementedError

    async def _compat_sent(self, action: str) -> None:
        """Log the sent message and yield to other connections, if the options say so."""
        if self.log_websocket_message:
            self._compat_log("sent", action)
        if self.send_message_immediately:
            await asyncio.sleep(0)

    def _compat_log(self, what: str, action: str) -> None:
        if action not in self.all_log_ignored_actions:
            log.info("%s %s %s", self._compat_described(), what, action)

    # Errors

    async def handle_validation_error(self, error: ValidationError) -> None:
        """Answer an invalid message with its errors. Override to answer otherwise."""
        await self.send_message(ErrorMessage(payload=error_payload(error)))

    async def handle_json_processing_error(self, error: Exception) -> None:
        """Answer and log an error during the validation that the message did not cause."""
        await self._compat_answer_failure("the message could not be processed", error)

    async def handle_message_handler_error(self, error: Exception, action: str, message: BaseMessage) -> None:
        """Answer a failure of a handler with an id, and log the exception with that id."""
        await self._compat_answer_failure(f"the handler of {action!r} failed", error)

    async def handle_event_handler_error(self, error: Exception, action: str, event: BaseMessage) -> None:
        """Log a failure of an event's handler; the client, which did not send the event, gets no answer."""
        log.error("%s: the handler of event %r failed", self._compat_described(), action, exc_info=error)

    async def _compat_answer_failure(self, detail: str, error: Exception) -> None:
        error_id = uuid.uuid4().hex[:12]
        log.error("%s: %s [error_id %s]", self._compat_described(), detail, error_id, exc_info=error)
        await self.send_message(ErrorMessage(payload={"detail": detail, "error_id": error_id}))


async def _pass_on(self: Conversation[Any], event: BaseMessage) -> BaseMessage:
    """Return the event, so that it is sent to the client."""
    return event
