"""Consumers: classes whose methods handle the messages of one connection, one at a time.

They behave as those of ``channels.consumer`` (Channels 4.3): the method named after the type of a message
handles it, in order, one message at a time. An instance is an ASGI application for one connection;
``as_asgi()`` returns an application that creates an instance for each connection.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Awaitable, Callable, Collection
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, overload

from asgiref.sync import async_to_sync, markcoroutinefunction

from compat import db, integration
from compat.advice import unawaited
from compat.advice.endpoint import ASGISignature, ConsumerSignature, connection_of, makes_application
from compat.advice.hooks import check_hooks, fitted
from compat.db import aclose_old_connections, database_sync_to_async
from compat.engine import dependencies
from compat.engine.admissions import admissions
from compat.engine.connection import STOP, Connection
from compat.engine.contracts import RESUMABLE_KEY, concurrency_of
from compat.engine.dispatching import blocking_dispatch, dispatches, is_awaited
from compat.engine.loop import join
from compat.engine.own_call import OwnCall
from compat.engine.parts import bridge_of, converse, inbox_of
from compat.engine.reports import instead_of_handler
from compat.engine.socket import NoSocket, Socket
from compat.engine.threads import blocking_send, dispatch_in_threads
from compat.exceptions import InvalidChannelLayerError, StopConsumer
from compat.layers import DEFAULT_CHANNEL_LAYER, BaseChannelLayer, get_channel_layer, missing_layer
from compat.names import get_handler_name
from compat.presence import HasPresence, HasPresenceInThreads, Late
from compat.resume.consumers import Returning, Returns
from compat.security.origin import Run, check_due, checked, enforced, warn_of_browser
from compat.settings import settings
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


class ConsumerApp(Returning):
    """The ASGI application that ``as_asgi()`` returns: it creates a consumer for each connection.

    It is an object and not a function, because Starlette calls a function with a ``WebSocket``, and an object
    with the three arguments of ASGI. It has ``consumer_class``, ``consumer_initkwargs`` and the name,
    docstring and module of the class. In a Starlette route, path parameters become ``scope["url_route"]``.
    """

    __signature__ = ASGISignature()

    def __init__(self, consumer_class: type[AsyncConsumer], initkwargs: dict[str, Any]) -> None:
        self.consumer_class: type[AsyncConsumer] = consumer_class
        self.consumer_initkwargs = initkwargs
        self._has_dependencies = dependencies.declares(consumer_class)
        self.origin_told = False
        """The missing Origin check of this application has been reported."""
        self._plain_under: Any = None
        """The ``settings.snapshot`` for which it is known that no check or limit applies."""
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(self, name, getattr(consumer_class, name))
        markcoroutinefunction(self)  # as what Channels returns is one

    @overload
    async def __call__(self, websocket: WebSocket, /) -> None: ...

    @overload
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def __call__(self, scope: Any, receive: Any = None, send: Any = None) -> None:
        await self.connection(*connection_of(scope, receive, send))

    def fresh(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return an awaitable that serves a new connection; awaiting it here would cost a frame for each."""
        if "path_params" in scope and "url_route" not in scope:  # Starlette's routes
            scope["url_route"] = {"args": (), "kwargs": scope["path_params"]}
        if self._plain_under is settings.snapshot and not admissions.draining:
            warn_of_browser(self, scope)
            return self._run(scope, receive, send)
        if admissions.open_to_all():
            if not (enforced() or self._has_dependencies):
                self._plain_under = settings.snapshot
            return self._run_after_origin(scope, receive, send)
        return self._run_if_admitted(scope, receive, send)

    async def _run_if_admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with admissions.admit(scope, receive, send) as admission:
            if admission:
                if RESUMABLE_KEY in scope:
                    scope[RESUMABLE_KEY].count_by(admission)
                await self._run_after_origin(scope, receive, send)

    def _run_after_origin(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.origin_checked(self._run, scope, receive, send)

    def origin_checked(self, run: Run, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return ``run(scope, receive, send)``, after the Origin check if it is due."""
        return checked(run, scope, receive, send) if check_due(self, scope) else run(scope, receive, send)

    def _run(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._has_dependencies:
            return dependencies.run(self.consumer_class, self._make, scope, receive, send)
        if self.consumer_class.__call__ is not _shipped_call:
            made = self._make()
            own = made._compat_own_call = OwnCall()
            return own.run(made, scope, receive, send)
        made = self.consumer_class(**self.consumer_initkwargs)
        return made._compat_conversation(scope, receive, send)

    def _make(self) -> AsyncConsumer:
        """Create a consumer whose connection has passed all checks."""
        made = self.consumer_class(**self.consumer_initkwargs)
        made._compat_checked = True
        return made

    def tell_origin(self) -> None:
        self.origin_told = True

    def __repr__(self) -> str:
        return f"<ConsumerApp of {self.consumer_class.__module__}.{self.consumer_class.__qualname__}>"


class InstanceApp(ConsumerApp):
    """The application of a single consumer, for the one connection that it serves."""

    def __init__(self, consumer: AsyncConsumer) -> None:
        self.consumer = consumer
        self.consumer_class, self.consumer_initkwargs = type(consumer), {}
        self.origin_told = self.consumer_class in _told
        self._has_dependencies = False  # the code that created the consumer has resolved them
        self._plain_under = None

    def _run(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self.origin_told:
            _told.add(self.consumer_class)
        return self.consumer._compat_conversation(scope, receive, send)


class AsyncConsumer(Returns, HasPresence):
    """Base class of consumers whose handlers are ``async def``.

    During a connection, ``scope`` is its ASGI scope, and ``channel_layer`` the layer ``channel_layer_alias``
    or None. With a layer, ``channel_name`` is the name of the connection's own mailbox.
    """

    __signature__ = ConsumerSignature()

    _sync: ClassVar[bool] = False
    _compat_handler_names: ClassVar[dict[Any, str]] = {}
    _compat_short_cuts: ClassVar[dict[str, str]] = {}
    """Methods that replace our own handlers for speed; they call a handler that a subclass overrides."""
    _compat_no_handlers: ClassVar[Collection[str]] = ()
    """Methods that no message calls by its type, although they have public names."""
    channel_layer_alias: str | None = DEFAULT_CHANNEL_LAYER
    concurrency: int = 1
    """The number of messages of one connection that may be handled at once; 1 keeps their order."""
    unknown_message: Literal["raise", "log", "ignore"] | None = None
    """The reaction to a message without a handler; None: the setting ``CHANNEL_UNKNOWN_MESSAGE``."""
    idle_timeout: float | None = None
    heartbeat: float | None = None
    max_message_size: float | None = None
    max_messages_per_second: float | None = None
    """Limits for a connection of this class; None: the setting (see ``compat.engine.limits``)."""

    scope: Any
    channel_layer: Any
    channel_name: str
    base_send: Any
    _compat_socket: Socket = cast(Socket, NoSocket())
    _compat_own_send: Any = None
    """The original ``base_send``."""
    _compat_checked: bool = False
    """The connection has passed the checks of its application."""
    _compat_own_call: OwnCall | None = None
    _compat_database: bool = True
    """There may be database connections to close between messages."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._compat_handler_names = {}
        check_hooks(cls, sync=cls._sync)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run this consumer for one connection, with the limits and the Origin check of ``as_asgi()``."""
        run = self._compat_conversation if self._compat_checked else InstanceApp(self).connection
        await run(scope, receive, send)

    def _compat_conversation(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable that runs the consumer."""
        self.scope = scope
        socket = self._compat_socket = Socket(scope, send)
        self.base_send = self._compat_own_send = socket.send
        self._compat_database = db.watched() or aclose_old_connections is not db.aclose_old_connections
        receive = self._compat_tell_worker(scope, receive)
        dispatch = self.dispatch
        own = self._compat_database or getattr(dispatch, "__func__", None) is not _shipped_dispatch
        handlers = None if own else self._compat_handler_names
        conversation = converse(Connection(self, inbox_of(socket.loop), socket, dispatch, receive, handlers))
        return self._compat_closing_connections(conversation) if self._compat_database else conversation

    def _compat_tell_worker(self, scope: Scope, receive: Receive, *, threads: bool = False) -> Receive:
        """Tell the worker, if it wants to know, which messages are handled; return what to receive by."""
        progress = scope.pop("compat.progress", None)  # the scope is the application's from here on
        if progress is not None:
            self.dispatch, receive = progress.watched(self.dispatch, receive, threads)  # type: ignore[method-assign]
        return receive

    async def _compat_closing_connections(self, conversation: Awaitable[None]) -> None:
        await conversation
        if db.connections_due():  # after the last handler
            await db.aclose_old_connections()

    def _compat_find_layer(self) -> Any:
        """Set and return ``channel_layer``; None: the alias is None, or the default is not configured."""
        layer = self.channel_layer = get_channel_layer(self.channel_layer_alias)
        if layer is None and self.channel_layer_alias not in (None, DEFAULT_CHANNEL_LAYER):
            raise InvalidChannelLayerError(missing_layer(self))
        return layer

    def _compat_missing_layer(self) -> str:
        return missing_layer(self)

    @Late
    def channel_receive(self) -> Callable[[], Any]:
        """``channel_layer.receive`` for the channel of this connection; AttributeError without a layer."""
        return functools.partial(self.channel_layer.receive, self.channel_name)

    def _compat_handler(self, message: Message) -> Any:
        """Return the bound method that handles ``message``; its name is cached by class and type."""
        known = self._compat_handler_names.get(message.get("type"))
        if known is not None:
            return getattr(self, known)
        name = get_handler_name(message)
        handler = None if name in self._compat_no_handlers else getattr(self, name, None)
        if handler is None:
            if name in ("websocket_disconnect", "http_disconnect") and is_served(self.scope):
                raise StopConsumer  # upstream logs a traceback for each client of such a consumer
            return instead_of_handler(self, message)
        fit = fitted(type(self), name, handler, sync=self._sync)
        names = vars(type(self)).get("_compat_handler_names")  # None: an __init_subclass__ does not call ours
        if names is not None and fit is handler and hasattr(type(self), name):  # not of this instance alone
            names[message["type"]] = self._compat_short_cuts.get(name, name)
        return fit

    async def dispatch(self, message: Message) -> None:
        """Await what the handler of ``message`` returns, if anything; raise ValueError if there is none."""
        # This module's name is one that tests replace; they count its calls.
        if self._compat_database and (
            db.connections_due() or aclose_old_connections is not db.aclose_old_connections
        ):
            try:
                await aclose_old_connections()
            except BaseException:  # nothing keeps disconnect() from its one call
                ends = message["type"].endswith(".disconnect")
                if ends and (last := self._compat_handler(message)(message)) is not None:
                    await last
                raise
        if (handling := self._compat_handler(message)(message)) is not None and await handling is STOP:
            raise StopConsumer

    async def send(self, message: Message) -> None:
        """Send an ASGI message to the client."""
        await self.base_send(message)

    @classmethod
    @makes_application
    def as_asgi(cls, **initkwargs: Any) -> ConsumerApp:
        """Return an ASGI application that runs ``cls(**initkwargs)`` for each connection."""
        return ConsumerApp(cls, initkwargs)


unawaited.watch(AsyncConsumer, BaseChannelLayer)

_shipped_call = AsyncConsumer.__call__
_shipped_dispatch = AsyncConsumer.dispatch
_told: weakref.WeakSet[type[AsyncConsumer]] = weakref.WeakSet()
"""Classes whose instances are served without an Origin check, after a warning."""


class SyncConsumer(HasPresenceInThreads, AsyncConsumer):
    """Base class of consumers whose handlers are plain ``def`` and may block.

    Handlers run on a pool of threads (setting ``CHANNEL_THREADS``): those of one connection in order, those
    of different connections in parallel. With ``thread_sensitive = True`` on a class, or ``CHANNEL_THREADS =
    0``, they all run on asgiref's single thread, as in Channels.
    """

    _sync: ClassVar[bool] = True
    thread_sensitive: ClassVar[bool] = False
    _compat_threads: Any = None
    """Calls our ``dispatch()`` in a thread, for one of a subclass that awaits it on the event loop."""

    async def _compat_conversation(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._compat_database = db.watched()
        awaited = is_awaited(self.dispatch)
        receive = self._compat_tell_worker(scope, receive, threads=not awaited)
        socket = self._compat_socket = Socket(scope, send)
        one_thread = self._compat_on_one_thread(scope)
        plain = awaited or one_thread or concurrency_of(self) > 1
        bridge = None if plain else bridge_of(self, socket)
        if bridge is not None:
            self.base_send = bridge.emit
            connection = Connection(self, bridge.inbox, socket, bridge.call, receive)
            if await join(connection):
                await bridge.run(connection)
            return
        self.base_send = async_to_sync(socket.send) if one_thread else blocking_send(socket)
        handle = blocking_dispatch(MethodType(SyncConsumer.dispatch, self) if awaited else self.dispatch)
        threads = dispatch_in_threads(handle, one_thread, lambda: connection.cancelled)
        self._compat_threads = threads if awaited else None
        dispatch = self.dispatch if awaited else threads
        connection = Connection(self, inbox_of(socket.loop), socket, dispatch, receive)
        try:
            await converse(connection)
        finally:
            if self._compat_own_call is None:  # otherwise the connection may end later
                del connection, dispatch, threads, self._compat_threads  # they form reference cycles

    def _compat_on_one_thread(self, scope: Scope) -> bool:
        if self.thread_sensitive or settings.get("CHANNEL_THREADS") == 0:
            return True
        # The open transaction of a test case is visible only to the thread that has begun it.
        return not is_served(scope) and integration.database() is not None

    @dispatches
    def dispatch(self, message: Message) -> None:
        """Call the handler of ``message``; raise ValueError if there is none. It can be awaited, too."""
        self._compat_handler(message)(message)

    def send(self, message: Message) -> None:  # type: ignore[override]
        """Send an ASGI message to the client; it is sent while the handler continues."""
        self.base_send(message)
