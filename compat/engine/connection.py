"""A consumer's connection: how it begins, and why it ends (``engine.ending`` takes the steps of the end)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from compat import logs
from compat.advice.hints import noted
from compat.codes import SERVICE_RESTART
from compat.engine import register
from compat.engine.contracts import RESUMABLE_KEY, Consumer, Resumed, Work
from compat.engine.cursors import Progress
from compat.engine.draining import drain
from compat.engine.ending import outcome_of, take_steps
from compat.engine.events import BETWEEN
from compat.engine.inbox import Inbox
from compat.engine.limits import Heartbeat, guarded, limit_of, limited
from compat.engine.outage import is_outage, refuse_for_outage
from compat.engine.reader import Interruptible, SocketReader, holds_closes_back
from compat.engine.reports import explained, hint_for, kind_of, named, report, warn
from compat.engine.shielding import anyio_scope, is_a_handlers_own, shield, whole
from compat.engine.socket import Socket, says_gone
from compat.engine.subscription import Subscription, keeps_people
from compat.exceptions import ClientDisconnected, StopConsumer
from compat.metrics import connections
from compat.timings import Timing, timing_of
from compat.tracing import TRACE_KEY, Tracing, leave_trace, tracing_of
from compat.types import Message, Receive

__all__ = ["CLOSE_TIMEOUT_S", "STOP", "Connection"]

log = logging.getLogger("compat.consumer")

CLOSE_TIMEOUT_S = 2.0
"""Seconds that a close may take: a client that does not read would delay it without end."""
DISCONNECT_TIMEOUT_S = 2.0
"""Seconds that the server's disconnect may take after a failed send has shown that the client has left."""
STAY_S = 10.0
"""Seconds that a consumer may stay after its client has left; with daphne it is as many."""

STOP: Any = object()
"""Returned by our disconnect handlers instead of raising StopConsumer, because an exception costs more."""

Dispatch = Callable[[Message], Awaitable[Any]]
Read = Callable[[Receive, Inbox], SocketReader]


class Connection:
    """One consumer's connection, from its first message to its end.

    ``dispatch`` awaits the handler of a message. ``receive`` is the server's ASGI callable. ``handlers`` maps
    message types to the names of methods that may be called instead of ``dispatch``; None: always dispatch.
    """

    __slots__ = (
        *("cancelled", "consumer", "dispatch", "failure", "handlers", "heartbeat", "inbox", "overdue"),
        *("reader", "receive", "resumed", "scope", "socket", "stay", "subscription", "timing", "tracing"),
        "work",
    )

    def __init__(
        self,
        consumer: Consumer,
        inbox: Inbox,
        socket: Socket,
        dispatch: Dispatch,
        receive: Receive,
        handlers: Mapping[Any, str] | None = None,
    ) -> None:
        self.consumer = consumer
        self.inbox = inbox
        self.socket = socket
        self.dispatch = dispatch
        self.receive = receive
        self.handlers = handlers
        self.subscription: Subscription | None = None
        self.reader: SocketReader | None = None
        self.heartbeat: Heartbeat | None = None
        self.work: Work | None = None
        self.timing: Timing | None = None
        """Measures the handlers of this connection; most are not measured."""
        self.tracing: Tracing | None = None
        self.failure: BaseException | None = None
        """The exception of a handler, once it has been logged."""
        self.cancelled = False
        self.scope = anyio_scope()
        """The anyio cancel scope in which the consumer runs, or None."""
        self.resumed: Resumed | None = consumer.scope.get(RESUMABLE_KEY)
        """What stands for the socket if the client may come back, else None."""
        self.overdue: asyncio.TimerHandle | None = None
        """Fires if the server does not deliver the disconnect of a client that has left."""
        self.stay: asyncio.TimerHandle | None = None
        """Fires if the consumer has not stopped some time after its client has left."""

    def subscribe(self, layer: Any, channel: str) -> None:
        """Put the messages of ``channel`` into the inbox, until the connection ends."""
        self.consumer._compat_set_channel(channel)
        self.subscription = Subscription(layer, channel, self.inbox)
        if keeps_people(layer):
            layer.attend(channel, self.consumer.scope, hears=hasattr(self.consumer, "presence_diff"))

    def begin(self, read: Read, protocol: Any = None, work: Work | None = None) -> None:
        """Start to read the socket with ``read``, in the consumer's task, and register the connection.

        ``protocol`` is the server's if frames are batched for it, else None. ``work`` is what handlers may
        still do or send after the task has taken its last message.
        """
        socket, receive = self.socket, self.receive
        layer = None if self.subscription is None else self.subscription.layer
        self.work = work
        socket.enter(self, protocol)
        if self.resumed is not None:
            self._connect_resumed(self.resumed, layer)
        elif socket.websocket and socket.served and holds_closes_back():
            apart = Interruptible(receive, socket.raw_send)
            receive = apart.receive
            socket.send_by(apart.send)
        if socket.websocket and limited(self.consumer):
            receive = self._limit(receive)
        self.timing = timing_of(type(self.consumer), self.inbox, layer)
        self.tracing = tracing_of(self.consumer)
        self.reader = read(receive, self.inbox)
        connections.begin()
        register.enter(self.inbox.channel, self.consumer)
        logs.enter(self.consumer, self.inbox.channel)
        self.inbox.begin()
        if socket.websocket and socket.served:
            drain.enter(self, socket.loop)

    def _limit(self, receive: Receive) -> Receive:
        """Return ``receive`` with the connection's limits applied, and start its heartbeat."""
        interval = limit_of(self.consumer, "heartbeat", "CHANNEL_HEARTBEAT")
        if interval is not None and hasattr(self.consumer, "compat_heartbeat"):
            self.heartbeat = Heartbeat(self.inbox, interval, self.is_parked)
        return guarded(self.consumer, receive, self.close)

    # For a client that may come back

    def _connect_resumed(self, resumed: Resumed, layer: Any) -> None:
        """Tell ``resumed`` whom to notify, and what it may read of the inbox and the layer."""
        resumed.tell_by(self.notice, drained=self.socket.served)
        if getattr(layer, "rules", None):
            resumed.follow(self.inbox, self.progress)
        if keeps_people(layer):
            resumed.show_people(layer, self.inbox, self.consumer)

    def is_parked(self) -> bool:
        """Return True while the client is away, and may come back."""
        return self.resumed is not None and self.resumed.parked

    def notice(self, kind: str) -> None:
        """Put a message of type ``kind`` into the inbox if the consumer has a handler for it.

        ``kind``: "compat.parked" when the client is away, "compat.resumed" when it is back.
        """
        inbox = self.inbox
        if hasattr(self.consumer, kind.replace(".", "_")) and not (inbox.ended or inbox.overflowed):
            inbox.replay(((float("inf"), {"type": kind}, None),), more=False)
        subscription = self.subscription
        if subscription is not None and getattr(subscription.layer, "tracks", False) is True:
            subscription.layer.away(subscription.channel, kind == "compat.parked")

    def progress(self) -> Progress:
        """See ``contracts.Work``."""
        if self.work is not None:
            return self.work.progress()
        busy = self.inbox.current is not BETWEEN
        return Progress(int(busy and not self.inbox.turn), busy=busy)  # ``turn``: it is a client's message

    # For the socket (``compat.engine.socket.Phase``)

    def between_ends(self) -> bool:
        """Return True while neither ``connect()`` nor ``disconnect()`` runs."""
        current = self.inbox.current
        return not (current is None or current.get("type") == "websocket.connect" or self.inbox.ended)

    def client_left(self) -> bool:
        """Return True once the server has delivered the client's disconnect."""
        return self.inbox.ended or (self.reader is not None and self.reader.last is not None)

    # While it runs

    async def close(self, code: int) -> None:
        """Close the client's socket within ``CLOSE_TIMEOUT_S``; errors are logged at DEBUG, not raised.

        Before a close with 1012, by which the server stops, a client that may come back is told where it is.
        """
        try:
            if code == SERVICE_RESTART and self.resumed is not None:
                await self.resumed.rest()
            if work := self.work:
                work.write_rest()
            closing = await whole(self.socket.close(code), CLOSE_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - any server, and any middleware around its send
            log.debug("%s: could not be closed with %d: %s", self.name(), code, error)
        else:
            closing.cancel()

    def cancel(self) -> None:
        """Cancel the consumer's task; call it from another task."""
        if self.inbox.task is not None:
            self.inbox.task.cancel()

    def goes_on_after(self, error: BaseException) -> bool:
        """Return True if a handler's ``error`` only means that the client has left.

        The consumer then handles the frames that the client sent before it left, and its disconnect. If the
        server does not deliver that in ``DISCONNECT_TIMEOUT_S``, the connection ends.
        """
        if self.inbox.ended or not (self.socket.gone and says_gone(error)):
            return False
        if self.overdue is None:
            self.overdue = self.inbox.loop.call_later(DISCONNECT_TIMEOUT_S, self._overdue)
        return True

    def _overdue(self) -> None:
        if not self.inbox.ended:
            self.inbox.fail(ClientDisconnected("the server has not said that the client has left"))

    def limit_stay(self) -> None:
        """Begin ``STAY_S`` if the client has left; call it before the consumer waits for another message."""
        if self.stay is None and self.client_left() and self.socket.served:
            self.stay = self.inbox.loop.call_later(STAY_S, self._outstayed)

    def _outstayed(self) -> None:
        if self.progress().busy:  # a message came meanwhile; handlers have no time limit
            self.stay = self.inbox.loop.call_later(STAY_S, self._outstayed)
            return
        name = "websocket_disconnect" if self.socket.websocket else "http_disconnect"
        warn(self, f"ended, {STAY_S:g} s after its client has left; {name}() has to raise StopConsumer")
        self.inbox.fail(StopConsumer())

    async def handle(self, message: Message) -> None:
        """Await the handler of ``message``; raise StopConsumer if it ends the consumer."""
        handling = self.observed(self.dispatch(message), message)
        if self.inbox.ended and self.scope is not None:
            handling = self.shielded(handling)
        try:
            if await handling is STOP:
                raise StopConsumer
        except Exception as error:
            if not self.goes_on_after(error):
                raise

    def observed(self, handling: Awaitable[Any], message: Message) -> Awaitable[Any]:
        """Return ``handling``, the handler of ``message``; it is timed and traced if this connection is."""
        if self.timing is not None:
            handling = self.timing.timed(handling, message)
        if self.tracing is not None and (self.tracing.sampled or TRACE_KEY in message):
            handling = self.tracing.traced(handling, message)
        return handling

    async def shielded(self, handling: Awaitable[Any]) -> Any:
        """Run the disconnect handler so that no outer anyio cancel scope interrupts it."""
        if anyio_scope() is not self.scope:  # connect() has entered a scope, which has to be left first
            return await handling
        with shield():
            return await handling

    # The end

    async def refuse(self, error: BaseException) -> None:
        """End a consumer that could not start; its handshake has not been received yet."""
        answers = self.consumer.scope["type"] in ("http", "websocket")
        if self.socket.served and answers and is_outage(error):
            await refuse_for_outage(self.consumer.scope, self.receive, self.socket.raw_send, error)
        else:
            await self.end(error)

    async def end(self, error: BaseException | None) -> None:
        """End the consumer because of ``error``; None means that the client's disconnect has been handled.

        Raises ``error`` if it is a cancellation or SystemExit, or if errors are not logged (in a test).
        """
        own = self.consumer._compat_own_call
        if error is not None and own is not None and own.holds(self, error):
            raise error
        cancelled = isinstance(error, asyncio.CancelledError) and not is_a_handlers_own(error)
        code, failure, raised = outcome_of(self, error, cancelled=cancelled)
        self.cancelled = cancelled
        steps = take_steps(self, code, failure)
        second: BaseException | None = None
        try:
            if cancelled:
                second = (await whole(steps)).result()
            elif self.scope is None or anyio_scope() is not self.scope:
                second = await steps
            else:
                with shield():
                    second = await steps
        except asyncio.CancelledError:
            if failure is None or self.is_logged():
                raise
        finally:
            self.work = None
        if raised is not None:
            raise raised
        failure = second if failure is None else failure
        if failure is not None and not self.is_logged():
            raise noted(failure, hint_for(self.consumer, failure, self.inbox.current))

    def let_go(self) -> None:
        """Stop the timers, and leave the drain and the count of connections; nothing is sent any more."""
        drain.leave(self)
        for timer in (self.heartbeat, self.overdue, self.stay):
            if timer is not None:
                timer.cancel()
        if self.reader is not None:
            connections.end()
        leave_trace(self.tracing)
        self.socket.leave()

    def let_go_if_dropped(self, error: BaseException) -> bool:
        """Let go, and return True, if ``error`` says that the event loop has dropped the consumer's task."""
        if not isinstance(error, GeneratorExit) or asyncio.current_task(self.inbox.loop) is self.inbox.task:
            return False  # a task that runs has a handler that raises this
        self.let_go()
        register.leave(self.inbox.channel)
        return True

    # The log

    def announced(self, error: BaseException) -> BaseException:
        """Log a handler's ``error``, if errors are logged, and return it, explained if possible.

        Only the first call logs; later ones return the same error.
        """
        if self.failure is None:
            self.failure = explained(self.consumer, error)
            if self.is_logged():
                current = self.inbox.current
                self.report(self.failure, "its start" if current is None else kind_of(current))
        return self.failure

    def is_logged(self) -> bool:
        """Return True if errors are logged; otherwise they are raised to the server or to the test."""
        return self.socket.served and self.socket.websocket

    def report(self, error: BaseException, where: str, level: int = logging.ERROR) -> None:
        report(self, error, where, level)

    def name(self) -> str:
        """Return the consumer's class, path and channel, for log lines."""
        return named(self.consumer, self.inbox.channel)
