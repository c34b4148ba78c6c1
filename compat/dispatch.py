"""The one loop: socket and layer in, one handler at a time.

``converse`` runs an async consumer from the first message to the last. Client frames come off the socket,
one ahead at most (``compat.frames``); the layer pushes its messages into the same inbox; this task takes
them out and awaits their handlers, so everything a consumer does happens in one task and one context.

``Ending`` is what both kinds of consumers do when that is over, whatever ended it: the client is told, the
consumer's disconnect handler has run exactly once, its groups are left, and an error has one log record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import types
from collections.abc import Awaitable, Callable, Generator, Mapping
from types import CoroutineType
from typing import Any, ClassVar, Protocol

from compat import bursts
from compat.bursts import MAX_HANDLER_S, QUICK
from compat.clock import steady
from compat.draining import drain
from compat.exceptions import InvalidChannelLayerError, StopConsumer
from compat.frames import FrameReader, read_frames
from compat.hints import hint, noted
from compat.inbox import NOTHING, Inbox
from compat.layers import channel_layers
from compat.limits import Heartbeat, guarded, limit_of, limited
from compat.metrics import connections
from compat.refusal import listed, shown
from compat.types import Message, Receive, Scope, Send, is_served
from compat.wakeups import turn

__all__ = [
    "STOP",
    "Ending",
    "NoSocket",
    "Socket",
    "Subscription",
    "converse",
    "describe",
    "join",
    "missing_layer",
    "pushes",
]

log = logging.getLogger("compat.consumer")

CLOSE_TIMEOUT_S = 2.0
NORMAL, GOING_AWAY, INTERNAL_ERROR, TRY_AGAIN_LATER = 1000, 1001, 1011, 1013
LAYER_METHODS = frozenset(
    (
        "send",
        "receive",
        "new_channel",
        "flush",
        "group_add",
        "group_discard",
        "group_send",
        "capacity",
        "expiry",
    )
)


BETWEEN: Message = {"type": "the wait for a message"}
"""The current one while there is none, so that an idle consumer does not keep its last."""

STOP: Any = object()
"""What a handler of ours returns where it would raise StopConsumer: that is not worth an exception."""

Dispatch = Callable[[Message], Awaitable[None]]


class Socket:
    """The way out to the client, and what may still be sent on it."""

    __slots__ = ("closed", "ended", "loop", "opened", "protocol", "raw_send", "served", "shut", "websocket")

    def __init__(self, scope: Scope, send: Send) -> None:
        self.raw_send = send
        self.served = is_served(scope)
        self.websocket = scope.get("type") == "websocket"
        self.opened = False
        self.closed = False
        self.ended = False
        """The consumer is gone: nobody answers any more."""
        self.loop = asyncio.get_running_loop()
        self.shut = False
        """Closed over the consumer's head: what it has queued is not to be sent any more."""
        self.protocol: Any = None
        """The server's, where frames may be gathered for it (see ``compat.bursts``)."""

    def admit(self, message: Message) -> bool:
        """Note what ``message`` does to the connection; False when it comes too late to be sent.

        A frame after the close is not an error of the consumer: group messages may be on their way while
        a connection ends. In tests everything passes, as with upstream.
        """
        kind = message["type"]
        if kind == "websocket.send":
            return not self.closed or not self.served
        if kind == "websocket.accept":
            self.opened = True
        elif kind == "websocket.close" or kind == "websocket.http.response.start":
            late = self.closed and self.served
            self.closed = True
            return not late
        return True

    async def send(self, message: Message) -> None:
        """Send an ASGI message to the client; dropped when the client is gone already."""
        if (self.closed or message["type"] != "websocket.send") and not self.admit(message):
            return
        try:
            await self.raw_send(message)
        except OSError as error:
            self.lost(error)

    def lost(self, error: OSError) -> None:
        """After a send that failed: servers raise OSError for a client that has left.

        Its disconnect is on the way, so nothing more is sent; anywhere else the error is raised.
        """
        if not (self.served and self.websocket):
            raise error
        self.closed = True

    async def close(self, code: int) -> None:
        """Close with ``code``, or refuse the handshake (HTTP 403); nothing when it is closed already."""
        if self.websocket and not self.closed:
            self.shut = True
            await self.send({"type": "websocket.close", "code": code})


class NoSocket:
    """In place of a ``Socket``: nobody has run the consumer, and a test calls its methods by hand.

    What they send goes to the ``base_send`` that the test has given it.
    """

    websocket = opened = closed = served = ended = shut = False


class Consumer(Protocol):
    """What this module needs of a consumer."""

    scope: Scope
    channel_layer_alias: str
    channel_layer: Any
    channel_name: str
    concurrency: int
    _pace: ClassVar[bursts.Pace]

    def _find_layer(self) -> Any: ...


class Subscription:
    """A consumer's channel, attached to its inbox for as long as it runs."""

    __slots__ = ("channel", "inbox", "layer", "pump")

    def __init__(self, layer: Any, channel: str, inbox: Inbox) -> None:
        self.layer = layer
        self.channel = channel
        self.inbox = inbox
        self.pump: asyncio.Task[None] | None = None
        inbox.channel = channel
        if pushes(layer):
            layer.attach(channel, inbox)
        else:
            self.pump = inbox.loop.create_task(self._pump())

    async def _pump(self) -> None:
        """Feed the inbox from a layer that can only be asked; one message ahead of the handler at most."""
        try:
            while True:
                await self.inbox.put(await self.layer.receive(self.channel))
        except Exception as error:  # noqa: BLE001 - the layer is anybody's; the consumer gets its error
            self.inbox.fail(error)

    async def end(self) -> None:
        """Let go of the channel; leaves the groups where the layer knows them."""
        if self.pump is not None:
            self.pump.cancel()
            await asyncio.wait((self.pump,))
        if hasattr(type(self.layer), "detach"):
            await self.layer.detach(self.channel)


def pushes(layer: Any) -> bool:
    """True for a ``PushLayer``, by duck type, unless a subclass of one has a ``receive()`` of its own.

    That one was written to see every message (to decrypt, count or filter it), so it is asked for each.
    """
    cls = type(layer)
    known = _pushing.get(cls)
    if known is None:
        known = _pushing[cls] = _instances_push(cls)
    return known


_pushing: dict[type, bool] = {}
"""Classes of layers, of which a process has few."""


def _instances_push(cls: type) -> bool:
    for base in cls.__mro__:
        if "attach" in vars(base):
            return hasattr(cls, "detach")
        if "receive" in vars(base):
            return False
    return False


@types.coroutine
def join(ending: Ending) -> Generator[Any, Any, bool]:
    """Subscribe to a channel of the consumer's own, before its first message; False: it is refused."""
    end: Any = ending  # whose coroutines are iterated here
    try:
        layer = ending.consumer._find_layer()
        if layer is not None:
            channel = yield from iterable(layer.new_channel())
            ending.subscribe(layer, channel)
    except Exception as error:  # noqa: BLE001 - a wrong alias, a server that is away: any layer, any driver
        yield from end.after(error)
        return False
    return True


@types.coroutine
def converse(ending: Ending, receive: Receive) -> Generator[Any, Any, None]:
    """Run a consumer until it stops, its client leaves, a handler raises, or the task is cancelled.

    Between two of its handlers the event loop has a turn: others' sockets and timers, and the tasks that the
    first one has made. To be awaited. It is a generator so that it can wait for the socket's future itself,
    and finish what the server has begun, without an object or an exception per message.
    """
    joining: Any = join(ending)
    if not (yield from joining):
        return
    del joining  # one that has returned has the size of its frame
    if ending.consumer.concurrency > 1:
        yield from iterable(converse_side_by_side(ending, receive))
        return
    end: Any = ending  # whose coroutines are iterated here
    consumer, inbox, dispatch, handlers = ending.consumer, ending.inbox, ending.dispatch, ending.handlers
    handling: Any = None
    ending.begin(receive)
    protocol, burst = ending.socket.protocol, None
    reader: Any = inbox.reader  # a StepReader, wherever inbox.awaited is not None
    wakeups, pace = inbox.wakeups, consumer._pace
    gathered, number, began = wakeups.bursts, 0, 0.0
    message: Message | None = None
    try:
        while True:
            awaited = inbox.awaited
            if awaited is wakeups.done and inbox.frame is None and not inbox.events:
                inbox.frame = reader.step()  # nothing waits but, perhaps, at the socket
                awaited = inbox.awaited
            if inbox.events or inbox.frame is not None or (awaited is not None and awaited.done()):
                if message is not None:
                    inbox.between = True
                    yield
                    inbox.between = False
                message = inbox.take()
            else:
                message = None
            while message is None:
                if burst is not None:
                    burst.end()
                    burst = None
                if ending.current is not None:
                    ending.current = BETWEEN
                handling = None  # as above
                awaited = inbox.awaited
                if awaited is None or inbox.failure is not None:
                    yield from inbox.waiting()  # type: ignore[misc]  # a future
                    message = inbox.take()
                    continue
                inbox.events = NOTHING
                inbox.waiter = awaited
                awaited._asyncio_future_blocking = True  # as a task wants it
                yield awaited
                if reader.by_queue and not inbox.events and awaited.done():
                    inbox.waiter = None
                    message = yield from reader.coroutine
                    reader.returned(message)
                else:
                    message = inbox.take()
            ending.current = message
            if inbox.events or gathered.open:  # frames are to be gathered, or others have been
                began = steady()
                number = gathered.handled = gathered.handled + 1
                if pace.quick < QUICK:
                    gathered.end()
                elif burst is not None and burst.until < began:
                    burst.end()
                    burst = None
                if burst is None and protocol is not None and inbox.events and pace.quick >= QUICK:
                    burst = gathered.begin(protocol, inbox, began)
            name = None if handlers is None else handlers.get(message.get("type"))
            handling = dispatch(message) if name is None else getattr(consumer, name)(message)
            if handling.__class__ is not CoroutineType:
                handling = _awaited(handling)
            if (yield from handling) is STOP:
                if inbox.ended:
                    break
                raise StopConsumer
            if number:
                # Others have begun meanwhile where it has waited for something.
                if steady() - began > MAX_HANDLER_S and gathered.handled == number:
                    pace.quick = 0
                else:
                    pace.quick += 1
                number = 0
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever a handler raises
        if burst is not None:
            burst.end()
        inbox.between = False
        yield from end.because_of(error)
    finally:
        yield from end.finish()


def iterable(something: Awaitable[Any]) -> Any:
    """``something``, or a coroutine that awaits it: a generator can iterate nothing else."""
    return something if something.__class__ is CoroutineType else _awaited(something)


async def _awaited(something: Awaitable[Any]) -> Any:
    return await something


async def converse_side_by_side(ending: Ending, receive: Receive) -> None:
    """Like ``converse``, with up to ``concurrency`` handlers at once, each in a task of its own.

    The first message (the connect) and the disconnect are handled by themselves. What still runs after the
    disconnect, or after an error, is cancelled.
    """
    inbox, dispatch, limit = ending.inbox, ending.dispatch, ending.consumer.concurrency
    running: set[asyncio.Task[None]] = set()
    ending.begin(receive)
    try:
        try:
            ending.current = await inbox.get()
            await dispatch(ending.current)
            while True:
                await turn()
                message = await inbox.get()
                if inbox.failure is not None:
                    raise inbox.failure
                ending.current = message
                if inbox.ended:
                    await dispatch(message)
                    continue
                running.add(inbox.loop.create_task(_handled(dispatch, message, inbox)))
                if len(running) >= limit:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in running if task.done()]:
                    running.discard(task)
                    task.result()
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever a handler raises
        await ending.because_of(error)
    finally:
        await ending.finish()


async def _handled(dispatch: Dispatch, message: Message, inbox: Inbox) -> None:
    try:
        await dispatch(message)
    except Exception as error:
        inbox.fail(error)  # the one who waits for messages is told at once
        raise


class Ending:
    """How a consumer ends: told to the client, disconnect once, groups left, one log record.

    ``dispatch`` is how the disconnect handler is run where the client's own disconnect did not run it.
    ``handlers`` are the names of methods, by type of message, that may be called in place of ``dispatch``.
    """

    __slots__ = (
        "cancelled",
        "consumer",
        "current",
        "dispatch",
        "handlers",
        "heartbeat",
        "inbox",
        "reader",
        "socket",
        "subscription",
    )

    def __init__(
        self,
        consumer: Consumer,
        inbox: Inbox,
        socket: Socket,
        dispatch: Dispatch,
        handlers: Mapping[Any, str] | None = None,
    ) -> None:
        self.consumer = consumer
        self.inbox = inbox
        self.socket = socket
        self.dispatch = dispatch
        self.handlers = handlers
        self.subscription: Subscription | None = None
        self.reader: FrameReader | None = None
        self.heartbeat: Heartbeat | None = None
        self.cancelled = False
        self.current: Message | None = None
        """The message whose handler ran last; None before the first."""

    def subscribe(self, layer: Any, channel: str) -> None:
        """Have what is sent to ``channel`` put into the inbox, until ``finish()``."""
        self.consumer.channel_name = channel
        self.subscription = Subscription(layer, channel, self.inbox)

    def begin(self, receive: Receive) -> None:
        """The consumer's task begins: read its socket, and let others know that it is there."""
        socket, inbox = self.socket, self.inbox
        socket.protocol = bursts.protocol_of(receive, socket.raw_send)
        if limited(self.consumer):
            receive = self._limit(receive)
        self.reader = read_frames(receive, inbox)
        inbox.task = asyncio.current_task(inbox.loop)
        if socket.websocket and socket.served:
            drain.enter(self)
        connections.current += 1
        connections.total += 1

    def _limit(self, receive: Receive) -> Receive:
        """``receive`` behind the limits of the connection; begins its heartbeat."""
        interval = limit_of(self.consumer, "heartbeat", "CHANNEL_HEARTBEAT")
        if interval is not None and self.socket.websocket:
            self.heartbeat = Heartbeat(self.inbox, interval)
        return guarded(self.consumer, receive, self.socket.close)

    async def close(self, code: int) -> None:
        """Close the client's socket, from outside of the consumer's task."""
        await self.socket.close(code)

    def cancel(self) -> None:
        """Cancel the consumer's task, from outside of it."""
        if self.inbox.task is not None:
            self.inbox.task.cancel()

    async def because_of(self, error: BaseException) -> None:
        """End the consumer as is right for ``error``, which is raised again where it is not for this end."""
        if isinstance(error, StopConsumer):
            if not self.inbox.ended:
                await self.quietly()
        elif isinstance(error, Exception) or _is_a_handlers_own(error):
            await self.after(error)
        else:
            self.cancelled = True
            if not await self.closed_for_overflow():
                if self.socket.served:
                    await self.told(GOING_AWAY)
                    await self.disconnect(GOING_AWAY)
                raise error

    async def finish(self) -> None:
        """Nothing of the consumer is left, however it ended."""
        connections.current -= 1
        drain.leave(self)
        if self.heartbeat is not None:
            self.heartbeat.stop()
        if self.reader is not None:
            await self.reader.stop()
        self.socket.ended = True
        if self.subscription is not None:
            try:
                await self.subscription.end()
            except Exception as error:  # noqa: BLE001 - any layer, any driver
                # One that cannot be reached is reported, not raised.
                log.warning("%s: could not leave its groups: %s", self.name(), error)
        self.inbox.close()

    async def quietly(self) -> None:
        """After StopConsumer: close what is open, and run the disconnect handler, which has not run."""
        if self.socket.served:
            await self.socket.close(NORMAL)
        try:
            await self.disconnect(NORMAL)
        except Exception as error:  # noqa: BLE001 - the user's handler may raise anything
            self.report(error)

    async def after(self, error: BaseException) -> None:
        """After an exception: refuse or close with 1011, run the disconnect handler, report once."""
        error = self.explained(error)
        if self.socket.served and not self.inbox.ended:
            await self.socket.close(INTERNAL_ERROR)
        try:
            await self.disconnect(INTERNAL_ERROR)
        except Exception as second:  # noqa: BLE001 - the user's handler may raise anything
            second.__context__ = error
            self.report(error, second)
        except asyncio.CancelledError:
            self.report(error)  # a task that is cancelled meanwhile still says what ended it
            raise
        else:
            self.report(error)

    async def closed_for_overflow(self) -> bool:
        """True when the full inbox cancelled the task; the client has been closed with 1013."""
        if not self.inbox.overflowed:
            return False
        uncancel = getattr(asyncio.current_task(), "uncancel", None)  # Python 3.11
        if uncancel is not None:
            uncancel()
        log.warning("%s: closed with 1013, its inbox is full (on_overflow='close')", self.name())
        await self.told(TRY_AGAIN_LATER)
        await self.disconnect(TRY_AGAIN_LATER)
        return True

    async def told(self, code: int) -> None:
        """Close what is open; a client that reads nothing reads no close either, and is not waited for."""
        if not self.inbox.ended:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.socket.close(code), CLOSE_TIMEOUT_S)

    async def disconnect(self, code: int) -> None:
        """Run the consumer's own disconnect handler, unless it has run or nothing has begun."""
        begun = self.socket.websocket and self.current is not None
        if not begun or self.inbox.ended or not hasattr(self.consumer, "websocket_disconnect"):
            return
        self.inbox.ended = True
        try:
            await self.dispatch({"type": "websocket.disconnect", "code": code})
        except StopConsumer:
            pass

    def report(self, error: BaseException, second: Exception | None = None) -> None:
        """One record per end behind a server, which is told nothing more; in a test the error itself.

        ``second`` is what the disconnect handler raised after ``error``. When it says the same thing (the
        group that could not be joined cannot be left either) it is not worth a second traceback.
        """
        said = hint(self.consumer, error, self.current)
        if not (self.socket.served and self.socket.websocket):
            raise noted(error, said)
        text, shown = f"{type(error).__name__}: {error}", error
        if second is not None and (type(second), str(second)) != (type(error), str(error)):
            text, shown = (
                f"{text}; then its disconnect handler failed: {type(second).__name__}: {second}",
                second,
            )
        where = "its start" if self.current is None else _kind(self.current)
        text = f"{text}. {said}" if said else text
        log.error("%s failed in %s: %s", self.name(), where, text, exc_info=shown)

    def name(self) -> str:
        """Consumer, path and channel, for log lines."""
        return f"{describe(self.consumer)} (channel {self.inbox.channel or 'none'})"

    def explained(self, error: BaseException) -> BaseException:
        """``error``, or one that says what it means when a missing layer was used."""
        missing = isinstance(error, AttributeError) and error.obj is None and error.name in LAYER_METHODS
        if not missing or self.consumer.channel_layer is not None:
            return error
        explained = InvalidChannelLayerError(missing_layer(self.consumer))
        explained.__cause__ = error
        return explained


def _is_a_handlers_own(error: BaseException) -> bool:
    """Whether a handler has awaited something that was cancelled, its own task not (Python 3.11 can tell)."""
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return isinstance(error, asyncio.CancelledError) and cancelling is not None and not cancelling()


def _kind(message: Message) -> str:
    """What a message is, for log lines: its type, or that it has none, with what it has."""
    if message.get("type"):
        return str(message["type"])
    return f"a message without 'type' (its keys: {listed(map(str, message))})"


def describe(consumer: Consumer) -> str:
    """A consumer and the path it serves, for log lines."""
    cls = type(consumer)
    return f"{cls.__module__}.{cls.__qualname__} at {shown(consumer.scope.get('path', '-'))}"


def missing_layer(consumer: Consumer) -> str:
    """The sentence for a consumer whose layer alias is not configured."""
    configured = ", ".join(channel_layers) or "none"
    return (
        f"{type(consumer).__name__} uses channel layer {consumer.channel_layer_alias!r}, which is not "
        f"configured. Configured: {configured}. Add it to CHANNEL_LAYERS, or set channel_layer_alias "
        "on the class."
    )
