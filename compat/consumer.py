"""Consumers: classes whose methods handle the messages of one connection, one at a time.

The contract is that of ``channels.consumer`` (Channels 4.3): a message goes to the method named after its
type, in order, and never two at once for one consumer. An instance is itself an ASGI application for one
connection; ``as_asgi()`` makes an application that makes an instance per connection.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast, overload

from asgiref.sync import async_to_sync

from compat import db, dependencies, integration, unawaited
from compat.bursts import Pace
from compat.db import aclose_old_connections, database_sync_to_async
from compat.dispatch import STOP, Ending, converse, describe, join, missing_layer
from compat.endpoint import ASGISignature, ConsumerSignature, connection_of, makes_application
from compat.exceptions import ImproperlyConfigured, InvalidChannelLayerError, StopConsumer
from compat.handlers import check_handler, check_hooks
from compat.inbox import Inbox
from compat.layers import DEFAULT_CHANNEL_LAYER, get_channel_layer
from compat.limits import admissions
from compat.names import get_handler_name
from compat.pool import executor
from compat.security.coverage import check_due, checked, settled
from compat.settings import settings
from compat.sockets import NoSocket, Socket
from compat.threads import SyncConnection
from compat.types import Message, Receive, Scope, Send, is_served

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = [
    "AsyncConsumer",
    "ConsumerApp",
    "SyncConsumer",
    "aclose_old_connections",
    "async_to_sync",
    "database_sync_to_async",
    "get_channel_layer",
    "get_handler_name",
]

log = logging.getLogger("compat.consumer")
unawaited.watch()

C = TypeVar("C", bound="AsyncConsumer")


class ConsumerApp:
    """The ASGI application that ``as_asgi()`` returns: a new consumer for each connection.

    An object and not a function, because Starlette hands a function a ``WebSocket`` and an object the three
    arguments of ASGI. It carries ``consumer_class``, ``consumer_initkwargs`` and the class's own name,
    docstring and module. Inside a Starlette route it fills ``scope["url_route"]`` from the path parameters.
    """

    __signature__ = ASGISignature()

    def __init__(self, consumer_class: type[AsyncConsumer], initkwargs: dict[str, Any]) -> None:
        self.consumer_class = consumer_class
        self.consumer_initkwargs = initkwargs
        self._has_dependencies = dependencies.declares(consumer_class)
        self.origin_told = False
        """Whether it has been said that no Origin check stands in front of this one."""
        self._plain_under: Any = None
        """The settings under which nothing stands in front of a consumer (``settings.kept_values``)."""
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(self, name, getattr(consumer_class, name))

    @overload
    async def __call__(self, websocket: WebSocket, /) -> None: ...

    @overload
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def __call__(self, scope: Any, receive: Any = None, send: Any = None) -> None:
        await self.connection(*connection_of(scope, receive, send))

    # These return what to await and await nothing, so that no frame of theirs is kept per connection.

    def connection(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """What a call of the application awaits, for routers that await it themselves."""
        if "url_route" not in scope and "path" in scope:  # a worker's scope has no path
            scope["url_route"] = {"args": (), "kwargs": dict(scope.get("path_params") or {})}
        if self._plain_under is settings.kept_values and not admissions.draining:
            return self._run(scope, receive, send)
        if admissions.open_to_all():
            if settled(self) and not self._has_dependencies:
                self._plain_under = settings.kept_values
            return self._entered(scope, receive, send)
        return self._admitted(scope, receive, send)

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with admissions.admit(scope, receive, send) as admitted:
            if admitted:
                await self._entered(scope, receive, send)

    def _entered(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if check_due(self, scope):
            return checked(self._run, scope, receive, send)
        return self._run(scope, receive, send)

    def _run(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._has_dependencies:
            return dependencies.run(self.consumer_class, self._make, scope, receive, send)
        if self.consumer_class.__call__ is not _shipped_call:
            return self._make()(scope, receive, send)
        made = self.consumer_class(**self.consumer_initkwargs)
        return made._conversation(scope, receive, send)

    def _make(self) -> AsyncConsumer:
        """A consumer that may be called: what stands in front of it has let the connection through."""
        made = self.consumer_class(**self.consumer_initkwargs)
        made._entered = True
        return made

    def __repr__(self) -> str:
        return f"<ConsumerApp of {self.consumer_class.__module__}.{self.consumer_class.__qualname__}>"


class InstanceApp(ConsumerApp):
    """The application that a consumer is by itself, for the one connection that it can serve.

    What is said of a class, that no Origin check stands in front of it, is said once.
    """

    def __init__(self, consumer: AsyncConsumer) -> None:
        self.consumer = consumer
        self.consumer_class, self.consumer_initkwargs = type(consumer), {}
        self.origin_told = self.consumer_class in _told
        self._has_dependencies = False  # whoever made the consumer has seen to them
        self._plain_under = None

    def _run(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self.origin_told:
            _told.add(self.consumer_class)
        return self.consumer._conversation(scope, receive, send)


class AsyncConsumer:
    """Base of consumers whose handlers are ``async def``.

    While a connection runs, ``scope`` is its ASGI scope, ``channel_layer`` the layer under
    ``channel_layer_alias`` or None, and with a layer ``channel_name`` is the connection's own mailbox.
    """

    __signature__ = ConsumerSignature()

    _sync: ClassVar[bool] = False
    _pace: ClassVar[Pace] = Pace()
    _handler_names: ClassVar[dict[Any, str]] = {}
    _short_cuts: ClassVar[dict[str, str]] = {}
    """Methods of ours that are called instead of a handler, and call it where it is not ours."""
    channel_layer_alias: str = DEFAULT_CHANNEL_LAYER
    concurrency: int = 1
    """How many messages of one connection may be handled at once. 1 keeps their order, as Channels does."""
    unknown_message: Literal["raise", "log", "ignore"] | None = None
    """What a message without a handler does; None: setting ``CHANNEL_UNKNOWN_MESSAGE`` ("raise")."""
    idle_timeout: float | None = None
    heartbeat: float | None = None
    max_message_size: float | None = None
    max_messages_per_second: float | None = None
    """Limits of a connection of this class; None: the setting (see ``compat.limits``)."""

    scope: Any
    channel_layer: Any
    channel_name: str
    base_send: Any
    _socket: Socket = cast(Socket, NoSocket())
    _own_send: Any = None
    """What ``base_send`` was before anybody replaced it."""
    _entered: bool = False
    """Whether its application has let the connection through already."""
    _database: bool = True
    """Whether there may be connections to a database that are to be closed between messages."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._handler_names, cls._pace = {}, Pace()
        check_hooks(cls, sync=cls._sync)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run this consumer for one connection, behind the limits and the Origin check of ``as_asgi()``."""
        if self._entered:
            await self._conversation(scope, receive, send)
        else:
            await InstanceApp(self).connection(scope, receive, send)

    def _conversation(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """What a call of the consumer awaits."""
        self.scope = scope
        socket = self._socket = Socket(scope, send)
        self.base_send = self._own_send = socket.send
        inbox = Inbox(socket.loop)
        self._database = db.watched()
        dispatch = self.dispatch
        own = self._database or getattr(dispatch, "__func__", None) is not _shipped_dispatch
        ending = Ending(self, inbox, socket, dispatch, None if own else self._handler_names)
        conversation: Any = converse(ending, receive)
        return self._closing_connections(conversation) if self._database else conversation

    async def _closing_connections(self, conversation: Awaitable[None]) -> None:
        await conversation
        if db.connections_due():  # of the last handler
            await db.aclose_old_connections()

    def _find_layer(self) -> Any:
        """Set ``channel_layer`` and return it: None where there is none by the name of ``default``."""
        layer = self.channel_layer = get_channel_layer(self.channel_layer_alias)
        if layer is None and self.channel_layer_alias != DEFAULT_CHANNEL_LAYER:
            raise InvalidChannelLayerError(missing_layer(self))
        return layer

    @functools.cached_property
    def channel_receive(self) -> Callable[[], Any]:
        """``channel_layer.receive`` of this connection's channel; AttributeError without a layer."""
        return functools.partial(self.channel_layer.receive, self.channel_name)

    def _handler(self, message: Message) -> Any:
        """The bound method that handles ``message``; its name is found once per class and type."""
        known = self._handler_names.get(message.get("type"))
        if known is not None:
            return getattr(self, known)
        name = get_handler_name(message)
        handler = getattr(self, name, None)
        if handler is None:
            if name in ("websocket_disconnect", "http_disconnect") and is_served(self.scope):
                raise StopConsumer  # a consumer that does not care; upstream logs a traceback for each client
            return self._unknown(message)
        check_handler(type(self), name, handler, sync=self._sync)
        self._handler_names[message["type"]] = self._short_cuts.get(name, name)
        return handler

    def _unknown(self, message: Message) -> Any:
        policy = self.unknown_message or settings.get("CHANNEL_UNKNOWN_MESSAGE")
        text = f"No handler for message type {message['type']}"
        if policy == "raise":
            raise ValueError(text)
        if policy not in ("log", "ignore"):
            raise ImproperlyConfigured(
                f"CHANNEL_UNKNOWN_MESSAGE must be 'raise', 'log' or 'ignore'; found {policy!r}"
            )
        if policy == "log":
            log.warning("%s: %s; ignored", describe(self), text)
        return _pass if self._sync else _apass

    async def dispatch(self, message: Message) -> None:
        """Await the handler of ``message``; raises ValueError when there is none."""
        if self._database and db.connections_due():
            await db.aclose_old_connections()
        if await self._handler(message)(message) is STOP:
            raise StopConsumer

    async def send(self, message: Message) -> None:
        """Send an ASGI message to the client."""
        await self.base_send(message)

    @classmethod
    @makes_application
    def as_asgi(cls, **initkwargs: Any) -> ConsumerApp:
        """An ASGI application that runs ``cls(**initkwargs)`` for each connection."""
        return ConsumerApp(cls, initkwargs)


_shipped_call = AsyncConsumer.__call__
_shipped_dispatch = AsyncConsumer.dispatch
_told: weakref.WeakSet[type[AsyncConsumer]] = weakref.WeakSet()
"""Classes whose instances serve without an Origin check, which has been said."""


class SyncConsumer(AsyncConsumer):
    """Base of consumers whose handlers are plain ``def`` and may block.

    Handlers run on a pool of threads (setting ``CHANNEL_THREADS``): each connection's in order, those of
    different connections side by side. ``thread_sensitive = True`` on a class, or ``CHANNEL_THREADS = 0``,
    runs them all on asgiref's one thread, as Channels does.
    """

    _sync: ClassVar[bool] = True
    thread_sensitive: ClassVar[bool] = False

    async def _conversation(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._database = db.watched()
        socket = self._socket = Socket(scope, send)
        one_thread = self._on_one_thread(scope)
        if one_thread or self.concurrency > 1:
            self.base_send = async_to_sync(socket.send)
            inbox = Inbox(socket.loop)
            handle = (
                database_sync_to_async(self.dispatch)
                if one_thread
                else database_sync_to_async(self.dispatch, thread_sensitive=False, executor=executor())
            )

            async def dispatch(message: Message) -> None:
                if not ending.cancelled:
                    await handle(message)
                else:  # asgiref leaves an executor that has ended in the context of a cancelled call
                    await contextvars.Context().run(asyncio.ensure_future, handle(message))

            ending = Ending(self, inbox, socket, dispatch)
            await converse(ending, receive)
            return
        connection = SyncConnection(self, socket)
        self.base_send = connection.emit
        ending = Ending(self, connection.inbox, socket, connection.call)
        ending.receive = receive
        if await join(ending):
            await connection.run(ending, receive)

    def _on_one_thread(self, scope: Scope) -> bool:
        if self.thread_sensitive or settings.get("CHANNEL_THREADS") == 0:
            return True
        # A test case's open transaction is seen only by the thread that began it.
        return not is_served(scope) and integration.database() is not None

    def dispatch(self, message: Message) -> None:  # type: ignore[override]
        """Call the handler of ``message``; raises ValueError when there is none."""
        self._handler(message)(message)

    def send(self, message: Message) -> None:  # type: ignore[override]
        """Send an ASGI message to the client; it leaves while the handler goes on."""
        self.base_send(message)


async def _apass(message: Message) -> None:
    """The handler of a message that nobody handles."""


def _pass(message: Message) -> None:
    """The same for a sync consumer."""
