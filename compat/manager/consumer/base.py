"""``BaseConsumer``: the object of one connection, whose methods handle its messages one after another."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from compat.engine.refusal import shown
from compat.manager.answers import log_if_serious
from compat.manager.connections.manager import ConnectionManager
from compat.manager.connections.outbox import Outbox
from compat.manager.connections.state import Connection
from compat.manager.current import get_manager
from compat.manager.exceptions import BaseError, MessageError, ValidationError, create_error_context
from compat.manager.frames import Frame, content_of, frame_of, text_frame
from compat.manager.json_types import plain
from compat.manager.middleware.base import UNREADABLE, Entered, Step, tell_refused
from compat.manager.middleware.validation import too_large
from compat.manager.typed import ConnectionState, Message, MessagePriority

__all__ = ["BaseConsumer"]

log = logging.getLogger("compat.manager")

PONG = "pong"


class BaseConsumer:
    """Base of an application's consumers; a subclass has those of ``connect``, ``receive`` and
    ``on_disconnect`` that it needs.

    ``manager``: the manager of the connection; by default ``get_manager()``. ``middleware_stack``: the
    middleware that messages pass before ``receive``. An endpoint makes a consumer for each connection, awaits
    ``connect()``, passes frames to ``handle_message()``, and ends with ``disconnect()``.

    ``answers_errors``: if True, ``handle_message`` answers errors that do not end the connection and does not
    raise them, so an endpoint with its ``try`` around the loop goes on. If False, it raises all errors.
    """

    answers_errors: bool = True

    def __init__(
        self,
        connection: Connection,
        manager: ConnectionManager | None = None,
        middleware_stack: Step | None = None,
    ) -> None:
        self.connection = connection
        self.manager = get_manager() if manager is None else manager
        self.middleware_stack = middleware_stack
        self._ended = False
        self._hooks_ran: set[Callable[..., Any]] = set()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        hook = cls.__dict__.get("disconnect")
        if hook is not None:  # in fastapi-channels' README, subclasses override disconnect()
            setattr(cls, "disconnect", _ending(hook))  # noqa: B010 - a method, to type checkers

    # Hooks

    async def connect(self) -> None:
        """Called when the connection has been accepted."""
        return

    async def receive(self, message: Message) -> None:
        """Called with each message of the client that has passed the middleware; by default it is ignored."""
        log.debug("%s has no receive(): ignored a message %s", type(self).__name__, shown(message.type))

    async def on_disconnect(self, code: int) -> None:
        """Called when the connection ends, with its close code; it is still in its groups then.

        If the manager has ended it (``disconnect``, ``disconnect_user``), it has left them before.
        """
        return

    # The connection

    @property
    def timestamp(self) -> float:
        """The current time, in seconds of the wall clock."""
        return time.time()

    async def disconnect(self, code: int = 1000) -> None:
        """Run ``on_disconnect``, leave groups and registry, and close the connection; only the first time."""
        if self._ended:
            return
        self._ended = True
        try:
            await self.on_disconnect(code)
        finally:
            await self.manager.disconnect(self.connection, code=code)

    async def send(self, message: Message) -> None:
        """Send a ``Message``: its ``binary_data`` if it has some, else all its fields as JSON."""
        await self._send(plain(message.to_dict()))

    async def send_json(self, data: Any) -> None:
        """Send a dict or a list as JSON.

        This and the other ``send`` methods return when the frame and all frames before it have been passed to
        the server. They raise WebSocketDisconnect if sending fails, and do nothing after the connection has
        ended.
        """
        await self._send(plain(data))

    async def send_text(self, data: str) -> None:
        """Send a text frame."""
        await self._write(text_frame(data))

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        await self._write(Frame(None, data, len(data)))

    async def send_error(
        self,
        text: str,
        error_code: str = "MESSAGE_ERROR",
        details: dict[str, Any] | None = None,
        retryable: bool = False,
    ) -> None:
        """Send an error frame with the message ``text``."""
        error = MessageError(
            text, error_code=error_code, details=details, retryable=retryable, context=self._context()
        )
        await self.handle_error(error)

    async def handle_error(self, error: BaseError, as_text: bool = False) -> None:
        """Send ``error`` to the client as a structured frame, or only its message if ``as_text``.

        Serious errors are logged with their cause.
        """
        self.manager.statistics.count_error()
        log_if_serious(error, user=self.connection.user_id, connection=self.connection.channel_name)
        if as_text:
            await self.send_text(error.message)
        else:
            await self.send_json(error.to_response().to_dict())

    async def _send(self, content: Any) -> None:
        await self._write(frame_of(content, self.manager.serializer))

    async def _write(self, frame: Frame) -> None:
        connection = self.connection
        outbox = connection.outbox
        if isinstance(outbox, Outbox):
            if connection.state is ConnectionState.CONNECTED and connection.close_code is None:
                await outbox.send(frame)
            return
        # A connection without a manager, for example in a test.
        if frame.text is not None:
            await connection.websocket.send_text(frame.text)
        else:
            await connection.websocket.send_bytes(frame.data)
        connection.told(frame.size)
        connection.update_activity()

    # Groups

    async def join_group(self, group: str) -> None:
        """Add this connection to ``group``."""
        await self.manager.join_group(self.connection, group)

    async def leave_group(self, group: str) -> None:
        """Remove this connection from ``group``."""
        await self.manager.leave_group(self.connection, group)

    async def send_to_group(self, group: str, message: dict[str, Any] | Message) -> None:
        """Send to every member of ``group``, including this connection if it is one."""
        await self.manager.send_group(group, message)

    async def send_to_others(self, group: str, message: dict[str, Any] | Message) -> None:
        """Send to every member of ``group`` except this connection."""
        await self.manager.send_group_except(group, message, self.connection)

    # Messages of the client

    async def handle_message(self, json_str: str | None = None, binary: bytes | None = None) -> None:
        """Handle one frame, given as exactly one of ``json_str`` and ``binary``.

        Both or neither are a mistake of the endpoint: ValidationError INVALID_MESSAGE_PARAMS. Mistakes of the
        client are answered with an error frame: INVALID_JSON, INVALID_MESSAGE_FORMAT (not an object, or a
        field of the wrong type), MISSING_MESSAGE_TYPE, VALIDATION_FAILED (too large), and any BaseError of
        the middleware and of ``receive``. Errors that end the connection are raised instead.

        A pong goes no further; rate limits count it unless it answers a ping.
        """
        if (json_str is None) == (binary is None):
            raise ValidationError(
                "handle_message() takes exactly one of json_str and binary",
                error_code="INVALID_MESSAGE_PARAMS",
                context=self._context(),
            )
        try:
            try:
                message = self._from_bytes(binary) if binary is not None else self._from_json(json_str or "")
            except ValidationError:
                await self._refused(binary if json_str is None else json_str)
                raise
            if message is not None:
                await self._process(message)
            elif not self.connection.update_heartbeat():
                await self._refused(json_str, PONG)
        except BaseError as error:
            if error.should_disconnect() or not self.answers_errors:
                raise
            await self.handle_error(error)

    async def _refused(self, frame: str | bytes | None, kind: str = UNREADABLE) -> None:
        """Tell the middleware about a frame that is no message, so that rate limits count it."""
        refused = Message(type=kind, data=None, size=len(frame or ""))
        await tell_refused(self.middleware_stack, refused, self.connection, self)

    async def _process(self, message: Message) -> None:
        """Run the middleware, then ``receive``, then ``finished`` of the middleware that it has come to."""
        stack = self.middleware_stack
        if stack is None:
            await self.receive(message)
            return
        error: BaseException | None = None
        began = time.perf_counter()
        with Entered() as entered:
            try:
                passed = await stack(message, self.connection, self)
                if passed is not None:
                    await self.receive(passed)
            except BaseException as raised:
                error = raised
                raise
            finally:
                await entered.finish(message, self.connection, self, time.perf_counter() - began, error)

    def _from_bytes(self, data: bytes) -> Message:
        self._check_size(len(data))
        return Message(
            type="binary",
            data=None,
            sender_id=self.connection.channel_name,
            binary_data=data,
            size=len(data),
        )

    def _from_json(self, text: str) -> Message | None:
        """Return the message in a text frame; None for a pong."""
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        self._check_size(size)
        try:
            content = content_of(text)
        except ValueError as error:
            raise self._invalid("INVALID_JSON", "Invalid JSON", parse_error=str(error)) from error
        if not isinstance(content, dict):
            raise self._invalid(
                "INVALID_MESSAGE_FORMAT",
                "A message is a JSON object with a 'type'",
                received_type=type(content).__name__,
            )
        if "type" not in content:
            keys = [key[:50] for key in sorted(content)[:20]]
            raise self._invalid("MISSING_MESSAGE_TYPE", "A message needs a 'type'", payload_keys=keys)
        kind = content["type"]
        if kind == PONG:
            return None
        if not isinstance(kind, str):
            raise self._invalid("INVALID_MESSAGE_FORMAT", "'type' must be a string", field="type")
        return Message(
            type=kind,
            data=content.get("data"),
            sender_id=self.connection.channel_name,
            metadata=self._optional(content, "metadata", dict),
            ttl_seconds=self._optional(content, "ttl_seconds", int, float),
            priority=MessagePriority.of(content.get("priority")),
            size=size,
        )

    def _optional(self, content: dict[str, Any], name: str, *kinds: type) -> Any:
        value = content.get(name)
        if value is None or (isinstance(value, kinds) and not isinstance(value, bool)):
            return value
        raise self._invalid("INVALID_MESSAGE_FORMAT", f"{name!r} must be {_KINDS[kinds]}", field=name)

    def _check_size(self, size: int) -> None:
        limit = self.manager.config.WS_MAX_MESSAGE_SIZE
        if size > limit:
            raise too_large(size, limit, self.connection, None)

    def _invalid(self, error_code: str, text: str, **details: Any) -> ValidationError:
        return ValidationError(text, error_code=error_code, context=self._context(), details=details)

    def _context(self) -> Any:
        return create_error_context(
            user_id=self.connection.user_id or None,
            connection_id=self.connection.channel_name,
            component="consumer",
        )


_KINDS: dict[tuple[type, ...], str] = {(dict,): "an object", (int, float): "a number"}


def _ending(
    hook: Callable[..., Awaitable[None]],
) -> Callable[..., Awaitable[None]]:
    """Wrap a subclass's ``disconnect`` so that it runs once, and the connection is closed after it."""

    @functools.wraps(hook)
    async def disconnect(self: BaseConsumer, code: int = 1000, *args: Any, **kwargs: Any) -> None:
        if hook in self._hooks_ran or self._ended:
            return
        self._hooks_ran.add(hook)
        try:
            await hook(self, code, *args, **kwargs)
        finally:
            if not self._ended:
                self._ended = True
                await self.manager.disconnect(self.connection, code=code)

    return disconnect
