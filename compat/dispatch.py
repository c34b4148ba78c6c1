"""The one loop: socket and layer in, one handler at a time.

``converse`` runs an async consumer from the first message to the last. Client frames come off the socket,
one ahead at most (``compat.frames``); the layer pushes its messages into the same inbox; this task takes
them out and awaits their handlers, so everything a consumer does happens in one task and one context.

``Ending`` is what both kinds of consumers do when that is over, whatever ended it and whatever fails
meanwhile, in this order: an error is logged, the client is told, the disconnect handler runs exactly once,
the groups are left. A client that does not read is waited for no longer than ``CLOSE_TIMEOUT_S``, a layer
that does not answer no longer than ``LAYER_TIMEOUT_S``. Handlers, the disconnect's too, are not bounded.
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
from compat.exceptions import ClientDisconnected, InvalidChannelLayerError, StopConsumer
from compat.frames import FrameReader, Interruptible, holds_closes_back, read_frames
from compat.hints import hint, noted
from compat.inbox import NOTHING, Inbox
from compat.layers import channel_layers
from compat.limits import Heartbeat, guarded, limit_of, limited
from compat.logs import surviving
from compat.metrics import connections
from compat.outage import TRY_AGAIN_LATER, is_outage, refuse_for_outage, report_outage
from compat.refusal import connection_lost, listed, shown
from compat.shielding import anyio_scope, shield, whole
from compat.sockets import Socket, says_gone
from compat.types import Message, Receive, Scope
from compat.wakeups import turn

__all__ = [
    "STOP",
    "Ending",
    "Subscription",
    "converse",
    "describe",
    "join",
    "missing_layer",
    "pushes",
]

log = logging.getLogger("compat.consumer")

CLOSE_TIMEOUT_S = 2.0
"""How long a close may take: a client that reads nothing reads no close either."""

LAYER_TIMEOUT_S = 5.0
"""How long a layer may take to leave the groups before that is left to the background."""

DISCONNECT_TIMEOUT_S = 2.0
"""How long after a send that has said that the client has left its disconnect may come from the server."""

HANDLERS_TIMEOUT_S = 0.5
"""How long handlers side by side may go on after the client's disconnect before they are cancelled."""

NORMAL, GOING_AWAY, NO_CODE, INTERNAL_ERROR = 1000, 1001, 1006, 1011
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
        """Let go of the channel, and of its groups where the layer knows them. A cancellation has to wait.

        Raises TimeoutError when that goes on in the background.
        """
        if self.pump is not None:
            self.pump.cancel()
            await asyncio.wait((self.pump,), timeout=LAYER_TIMEOUT_S)
        layer = self.layer
        if getattr(layer, "detaches_at_once", False):
            await layer.detach(self.channel)
        elif hasattr(type(layer), "detach"):
            leaving = await whole(layer.detach(self.channel), LAYER_TIMEOUT_S)
            if not leaving.done():
                raise TimeoutError(f"the layer has not answered within {LAYER_TIMEOUT_S:g} s")


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
        yield from end.refused(error)
        return False
    return True


@types.coroutine
def converse(ending: Ending, receive: Receive) -> Generator[Any, Any, None]:
    """Run a consumer until it stops, its client leaves, a handler raises, or the task is cancelled.

    Between two of its handlers the event loop has a turn: others' sockets and timers, and the tasks that the
    first one has made. To be awaited. It is a generator so that it can wait for the socket's future itself,
    and finish what the server has begun, without an object or an exception per message.
    """
    ending.receive = receive
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
    burst = None
    wakeups, pace = inbox.wakeups, consumer._pace
    gathered, number, began = wakeups.bursts, 0, 0.0
    message: Message | None = None
    try:
        ending.begin(receive)
        protocol = ending.socket.protocol
        reader: Any = inbox.reader  # a StepReader, wherever inbox.awaited is not None
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
                gathered.pace = pace
                if pace.quick < QUICK:
                    gathered.end()
                    began = steady()
                    number = gathered.measured = gathered.measured + 1
                elif inbox.events and protocol is not None and (burst is None or burst.protocol is None):
                    burst = gathered.begin(protocol, inbox, steady(), pace)
            name = None if handlers is None else handlers.get(message.get("type"))
            handling = dispatch(message) if name is None else getattr(consumer, name)(message)
            if handling.__class__ is not CoroutineType:
                handling = _awaited(handling)
            if inbox.ended and ending.scope is not None:
                handling = end.shielded(handling)
            try:
                stop = (yield from handling) is STOP
            except Exception as error:
                if not ending.parted(error):
                    raise
                continue
            if stop:
                if inbox.ended:
                    break
                raise StopConsumer
            if number:
                # Others have begun meanwhile where it has waited for something.
                if steady() - began > MAX_HANDLER_S and gathered.measured == number:
                    pace.quick = 0
                else:
                    pace.quick += 1
                number = 0
    except GeneratorExit:  # nobody runs this any more
        ending.let_go()
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a handler raises
        if burst is not None:
            burst.end()
        inbox.between = False
        yield from end.end(error)
    else:
        yield from end.end(None)


def iterable(something: Awaitable[Any]) -> Any:
    """``something``, or a coroutine that awaits it: a generator can iterate nothing else."""
    return something if something.__class__ is CoroutineType else _awaited(something)


async def _awaited(something: Awaitable[Any]) -> Any:
    return await something


class SideBySide:
    """The handlers of one consumer that run at the same time, each in a task of its own."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending
        self.running: set[asyncio.Task[None]] = set()

    async def start(self, message: Message) -> None:
        """Begin to handle ``message``; returns when one more may begin. Raises what a handler has raised."""
        running = self.running
        running.add(self.ending.inbox.loop.create_task(self._handled(message)))
        if len(running) >= self.ending.consumer.concurrency:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in [task for task in running if task.done()]:
            running.discard(task)
            task.result()

    async def _handled(self, message: Message) -> None:
        ending = self.ending
        try:
            await ending.dispatch(message)
        except Exception as error:
            if not ending.parted(error):
                ending.inbox.fail(error)  # the one who waits for messages is told at once
                raise

    async def flush(self) -> None:
        """Nothing is queued."""

    async def idle(self, timeout_s: float = 0.0) -> None:
        """Return when none runs any more; they are cancelled after ``timeout_s`` seconds."""
        running = self.running
        if running and timeout_s:
            await asyncio.wait(running, timeout=timeout_s)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


async def converse_side_by_side(ending: Ending, receive: Receive) -> None:
    """Like ``converse``, with up to ``concurrency`` handlers at once.

    The first message (the connect) and the disconnect are handled by themselves. What still runs when the
    client leaves has ``HANDLERS_TIMEOUT_S``; then, and after an error, it is cancelled.
    """
    inbox, dispatch = ending.inbox, ending.dispatch
    handlers = ending.work = SideBySide(ending)
    error: BaseException | None = None
    try:
        ending.begin(receive)
        message: Message = await inbox.get()
        while True:
            if ending.current is None or inbox.ended:
                ending.current = message
                await handlers.idle(HANDLERS_TIMEOUT_S)
                with shield() if inbox.ended else contextlib.nullcontext():
                    try:
                        await dispatch(message)
                    except Exception as raised:
                        if not ending.parted(raised):
                            raise
            else:
                ending.current = message
                await handlers.start(message)
            await turn()
            message = await inbox.get()
            if inbox.failure is not None:
                raise inbox.failure
    except BaseException as raised:  # noqa: BLE001 - whatever a handler raises
        error = raised
    if isinstance(error, StopConsumer) and inbox.failure is not None:
        error = inbox.failure  # of a handler that still ran when the client left
    await ending.end(error)


class Work(Protocol):
    """What may still go on when a consumer's task has come to the end of its messages."""

    async def flush(self) -> None:
        """Send what handlers have queued, for ``CLOSE_TIMEOUT_S`` at most."""

    async def idle(self) -> None:
        """Return when no handler runs any more."""


class Ending:
    """How a consumer ends: told to the log and to the client, disconnect once, groups left.

    ``dispatch`` is how the disconnect handler is run where the client's own disconnect did not run it.
    ``handlers`` are the names of methods, by type of message, that may be called in place of ``dispatch``.
    """

    __slots__ = (
        "cancelled",
        "consumer",
        "current",
        "dispatch",
        "failure",
        "handlers",
        "heartbeat",
        "inbox",
        "overdue",
        "reader",
        "receive",
        "scope",
        "socket",
        "subscription",
        "turned_away",
        "work",
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
        self.receive: Any = None
        """The server's, for the end of a handshake that was refused."""
        self.turned_away = False
        """The handshake was answered with 503."""
        self.heartbeat: Heartbeat | None = None
        self.work: Work | None = None
        self.failure: BaseException | None = None
        """What a handler has raised, once the log has been told."""
        self.cancelled = False
        self.scope = anyio_scope()
        """The anyio scope in which the consumer runs; None where there is none."""
        self.overdue: asyncio.TimerHandle | None = None
        """Ends the wait for the disconnect of a client that has left."""
        self.current: Message | None = None
        """The message whose handler ran last; None before the first."""

    def subscribe(self, layer: Any, channel: str) -> None:
        """Have what is sent to ``channel`` put into the inbox, until the end."""
        self.consumer.channel_name = channel
        self.subscription = Subscription(layer, channel, self.inbox)

    def begin(self, receive: Receive) -> None:
        """The consumer's task begins: read its socket, and let others know that it is there."""
        socket, inbox = self.socket, self.inbox
        socket.phase = self
        socket.protocol = bursts.protocol_of(receive, socket.raw_send)
        if socket.websocket and socket.served and holds_closes_back():
            apart = Interruptible(receive, socket.raw_send)
            receive, socket.raw_send = apart.receive, apart.send
        if limited(self.consumer):
            receive = self._limit(receive)
        self.reader = read_frames(receive, inbox)
        connections.current += 1
        connections.total += 1
        inbox.task = asyncio.current_task(inbox.loop)
        if socket.websocket and socket.served:
            drain.enter(self)

    def _limit(self, receive: Receive) -> Receive:
        """``receive`` behind the limits of the connection; begins its heartbeat."""
        interval = limit_of(self.consumer, "heartbeat", "CHANNEL_HEARTBEAT")
        if interval is not None and self.socket.websocket:
            self.heartbeat = Heartbeat(self.inbox, interval)
        return guarded(self.consumer, receive, self.close)

    # What a socket asks (see ``compat.sockets.Phase``)

    def between_ends(self) -> bool:
        """Whether neither ``connect()`` nor ``disconnect()`` runs."""
        current = self.current
        return not (current is None or current.get("type") == "websocket.connect" or self.inbox.ended)

    def client_left(self) -> bool:
        """Whether the server has said so, by the client's disconnect."""
        return self.inbox.ended or (self.reader is not None and self.reader.last is not None)

    # While it runs

    async def close(self, code: int) -> None:
        """Close the client's socket, for ``CLOSE_TIMEOUT_S`` at most; errors of that are not raised."""
        try:
            closing = await whole(self.socket.close(code), CLOSE_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - any server, and any middleware around its send
            log.debug("%s: could not be closed with %d: %s", self.name(), code, error)
        else:
            closing.cancel()

    def cancel(self) -> None:
        """Cancel the consumer's task, from outside of it."""
        if self.inbox.task is not None:
            self.inbox.task.cancel()

    def parted(self, error: Exception) -> bool:
        """Whether ``error`` of a handler says only that the client has left, which ends no consumer.

        What has come from the client before is handled yet, and its disconnect, which is on the way.
        """
        if self.inbox.ended or not (self.socket.gone and says_gone(error)):
            return False
        if self.overdue is None:
            self.overdue = self.inbox.loop.call_later(DISCONNECT_TIMEOUT_S, self._overdue)
        return True

    def _overdue(self) -> None:
        if not self.inbox.ended:
            self.inbox.fail(ClientDisconnected("the server has not said that the client has left"))

    async def shielded(self, handling: Awaitable[Any]) -> Any:
        """Run the disconnect handler so that no anyio scope further out cuts it short."""
        if anyio_scope() is not self.scope:  # connect() has entered one of its own, which is to be left first
            return await handling
        with shield():
            return await handling

    # The end

    async def refused(self, error: BaseException) -> None:
        """End a consumer that could not begin, before its handshake has been received."""
        if self._reports() and is_outage(error):
            await refuse_for_outage(self.consumer.scope, self.receive, self.socket.raw_send, error)
        else:
            await self.end(error)

    async def end(self, error: BaseException | None) -> None:
        """End the consumer because of ``error``; None: the client's own disconnect has been handled.

        Raises ``error`` where it is to be raised: a cancellation, or in a test.
        """
        inbox, served = self.inbox, self.socket.served
        cancelled = isinstance(error, asyncio.CancelledError) and not _is_a_handlers_own(error)
        code: int | None = None
        failure: BaseException | None = None
        raised: BaseException | None = None
        if error is None or isinstance(error, StopConsumer):
            code = None if error is None or inbox.ended else NORMAL
        elif self.socket.gone and says_gone(error) and not inbox.ended:
            code = NO_CODE
        elif cancelled and inbox.overflowed and not inbox.ended:
            code = TRY_AGAIN_LATER
            uncancel()
            self.socket.shut = True
            self._say("closed with 1013, its inbox is full (on_overflow='close')")
        elif cancelled:
            code, raised = self._code_of_client(GOING_AWAY if served else None), error
        elif isinstance(error, (Exception, asyncio.CancelledError)):
            code = TRY_AGAIN_LATER if served and is_outage(error) else INTERNAL_ERROR
            failure = self.announced(error)
        else:  # SystemExit and the like
            code, raised = INTERNAL_ERROR, error
        self.cancelled = cancelled
        steps = self._steps(code, failure)
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
            if failure is None or self._reports():
                raise
        if raised is not None:
            raise raised
        failure = second if failure is None else failure
        if failure is not None and not self._reports():
            raise noted(failure, self._hint(failure))

    async def _steps(self, code: int | None, failure: BaseException | None) -> BaseException | None:
        """What is due at an end, in its order, each step whatever the one before has raised.

        ``code`` is None where the disconnect has been handled. Returns what the disconnect handler raised.
        """
        second: BaseException | None = None
        interrupted: asyncio.CancelledError | None = None
        for step in (self._tell, self._disconnect) if code is not None or self.work is not None else ():
            try:
                await step(code)
            except asyncio.CancelledError as error:
                interrupted = error
            except Exception as error:  # noqa: BLE001 - the user's handler may raise anything
                second = error
        if second is not None and self._reports():
            # One that follows another is most often its consequence: connect() has been cut short.
            self._report(second, "websocket.disconnect", logging.ERROR if failure is None else logging.INFO)
        self.let_go()
        try:
            if self.reader is not None:
                await self.reader.stop()
            if self.turned_away:
                await connection_lost(self.receive)
        except asyncio.CancelledError as error:
            interrupted = error
        try:
            if self.subscription is not None:
                await self.subscription.end()
        except asyncio.CancelledError as error:
            interrupted = error
        except Exception as error:  # noqa: BLE001 - any layer, any driver
            # One that cannot be reached is reported, not raised.
            self._say(f"could not leave its groups: {error}")
        self.inbox.close()
        if interrupted is not None:
            raise interrupted
        return second

    async def _tell(self, code: int | None) -> None:
        """Send what is queued, and the close; a client that reads nothing is not waited for."""
        if self.work is not None:
            await self.work.flush()
        if code is not None and not self.inbox.ended and (self.socket.served or code == TRY_AGAIN_LATER):
            self.turned_away = code == TRY_AGAIN_LATER and self.socket.served and self.socket.refusable()
            await self.close(code)

    async def _disconnect(self, code: int | None) -> None:
        """Run the consumer's own disconnect handler, unless it has run or nothing has begun."""
        if self.work is not None:
            await self.work.idle()
        begun = self.socket.websocket and self.current is not None
        due = begun and code is not None and not self.inbox.ended
        if not due or not hasattr(self.consumer, "websocket_disconnect"):
            return
        self.inbox.ended = True
        try:
            await self.dispatch({"type": "websocket.disconnect", "code": code})
        except StopConsumer:
            pass

    def let_go(self) -> None:
        """Nothing comes from the client or goes to it any more."""
        socket = self.socket
        drain.leave(self)
        for timer in (self.heartbeat, self.overdue):
            if timer is not None:
                timer.cancel()
        if self.reader is not None:
            connections.current -= 1
        socket.ended, socket.phase = True, None
        socket.closed = socket.closed or socket.served

    def _code_of_client(self, code: int | None) -> int | None:
        """The code of the client's disconnect, if that has come and is not handled yet; else ``code``."""
        last = self.reader.last if self.reader is not None and not self.inbox.ended else None
        return code if last is None else int(last.get("code", NO_CODE))

    # The log, of which a handler may fail: that does not keep the consumer from its end

    def announced(self, error: BaseException) -> BaseException:
        """``error`` of a handler as it is explained, once it is in the log, if it belongs there."""
        if self.failure is None:
            self.failure = self.explained(error)
            if self._reports():
                self._report(self.failure, "its start" if self.current is None else _kind(self.current))
        return self.failure

    def _reports(self) -> bool:
        """Whether errors go to the log. The server, or a test, is given those of other consumers."""
        return self.socket.served and self.socket.websocket

    def _report(self, error: BaseException, where: str, level: int = logging.ERROR) -> None:
        """One record of an end behind a server, which is told nothing more; none for an outage's each."""
        if is_outage(error):
            with surviving():
                report_outage(error)
            return
        try:
            text = f"{type(error).__name__}: {error}"
        except Exception:  # noqa: BLE001 - an exception of the user's own
            text = type(error).__name__
        said = self._hint(error)
        text = f"{text}. {said}" if said else text
        with surviving():
            log.log(level, "%s failed in %s: %s", self.name(), where, text, exc_info=error)

    def _say(self, text: str) -> None:
        with surviving():
            log.warning("%s: %s", self.name(), text)

    def _hint(self, error: BaseException) -> str:
        with surviving():
            return hint(self.consumer, error, self.current)
        return ""

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


def uncancel() -> None:
    """The cancellation of the current task is answered (Python 3.11 counts them)."""
    answered = getattr(asyncio.current_task(), "uncancel", None)
    if answered is not None:
        answered()


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
