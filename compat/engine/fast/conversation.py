"""The engine's loop, without a new object or an exception for each message.

It does the same as ``engine.loop.converse``, but is a generator. So it can wait for the socket's own future,
and run the rest of the server's ``receive()``. A consumer with several waiting messages writes its frames
together (``write_batching``).

This relies on the same internals as ``reading``, and on asyncio's tasks accepting any generator that
``types.coroutine`` has marked.
"""

from __future__ import annotations

import asyncio
import types
import weakref
from collections.abc import Generator
from types import CoroutineType
from typing import Any

from compat.clock import steady
from compat.engine.connection import STOP, Connection
from compat.engine.contracts import concurrency_of
from compat.engine.fast import framing
from compat.engine.fast.at_once import AtOnce
from compat.engine.fast.forgetting import forget_handshake
from compat.engine.fast.made_once import judge
from compat.engine.fast.reading import FLOOD, NO_STEPS, FastInbox, is_small, narrow, read
from compat.engine.fast.sending import is_servers_own
from compat.engine.fast.unframing import unframe
from compat.engine.fast.write_batching import MAX_HANDLER_S, QUICK, Pace, end_anyhow
from compat.engine.loop import join
from compat.engine.side_by_side import converse_side_by_side
from compat.engine.stepping import awaiting
from compat.exceptions import StopConsumer
from compat.tracing import TRACE_KEY
from compat.types import Message

__all__ = ["converse"]

_paces: weakref.WeakKeyDictionary[type, Pace] = weakref.WeakKeyDictionary()


def _at_once(connection: Connection, message: Message, name: str | None, pace: Pace) -> AtOnce | None:
    """Return an AtOnce for messages of the type of ``message``, if their handler ``name`` only sends."""
    tracing, send = connection.tracing, connection.socket.raw_send
    if name is None or (tracing is not None and tracing.sampled):
        return None
    judgement = judge(connection.consumer, name)
    if judgement is None or not is_servers_own(send):
        return None
    queued = isinstance(getattr(send, "__self__", None), asyncio.Queue)
    return AtOnce(connection, message["type"], name, pace, judgement, queued=queued)


@types.coroutine
def converse(connection: Connection) -> Generator[Any, Any, None]:
    """Run a consumer until it stops, its client leaves, a handler raises, or the task is cancelled."""
    joining: Any = join(connection)
    if not (yield from joining):
        return
    del joining  # a coroutine that has returned still occupies the memory of its frame
    consumer: Any = connection.consumer
    if concurrency_of(consumer) > 1:
        side_by_side: Any = converse_side_by_side(connection)
        yield from side_by_side
        return
    untyped: Any = connection  # because its coroutines are iterated with ``yield from``
    inbox, dispatch, handlers = connection.inbox, connection.dispatch, connection.handlers
    assert isinstance(inbox, FastInbox)
    pace = _paces.get(type(consumer)) or _paces.setdefault(type(consumer), Pace())
    bursts = inbox.scheduler.bursts
    measured, began = 0, 0.0  # of the handler that runs, if it is timed; 0: it is not
    in_a_row = 0  # small frames of the client
    judged: str | None = None
    handling: Any = None
    burst = None
    handshake_kept = True
    message: Message | None = None
    try:
        protocol = bursts.protocol_of(connection.receive, connection.socket.raw_send)
        connection.begin(read, protocol)
        if "framing" in inbox.scheduler.parts:
            framing.attach(connection.socket)
            unframe(connection.socket.framed)
            if framing.passes_frames(connection):
                inbox.pass_by(consumer)
        reader: Any = inbox.reader or NO_STEPS
        timing, tracing = connection.timing, connection.tracing
        while True:
            ready = inbox.frame is not None or (bool(inbox.events) and not inbox.turn)
            if not ready:
                awaited = reader.awaited
                ready = awaited is not None and awaited.done()
                if ready and awaited is inbox.scheduler.done:  # a frame may wait in the socket
                    frame = reader.step()
                    ready = frame is not None
                    if ready:
                        inbox.put_frame(frame)
                if inbox.events and not ready:  # what came while a frame was handled waits for a round
                    ready = inbox.failure is not None
                    if not ready:
                        inbox.scheduler.call(inbox, inbox.is_half_full())
            if ready:
                if message is not None:
                    if inbox.turn:  # it was the client's
                        in_a_row = in_a_row + 1 if is_small(message) else 0
                        if in_a_row == FLOOD:
                            in_a_row = 0
                            narrow(protocol)
                    inbox.pause()
                    yield
                message = inbox.take()
            else:
                message, in_a_row = None, 0
            while message is None:
                if burst is not None:
                    burst.end()
                    burst = None
                handshake_kept = handshake_kept and not forget_handshake(connection.socket.framed)
                handling = None  # as above
                awaited = reader.awaited
                if awaited is None or inbox.failure is not None:
                    connection.limit_stay()
                    yield from inbox.waiting()  # type: ignore[misc]  # a future
                    message = inbox.take()
                    continue
                inbox.wait_for(awaited)
                awaited._asyncio_future_blocking = True  # a task requires this of a yielded future
                yield awaited
                if inbox.begun is not None:
                    message = inbox.current
                elif reader.by_queue and not inbox.events and awaited.done():
                    message = yield from reader.coroutine
                    reader.returned(message)
                else:
                    message = inbox.take()
            if inbox.events or bursts.open:  # a burst is possible, or another one is under way
                if bursts.pace is not pace:
                    bursts.handled_by(pace)
                if pace.quick < QUICK:
                    bursts.end()
                    began = steady()
                    measured = bursts.measure()
                elif inbox.events and not inbox.turn and protocol is not None:
                    if burst is None or burst.protocol is None:
                        burst = bursts.begin(protocol, inbox, steady(), pace)
            name = None if handlers is None else handlers.get(message.get("type"))
            if name is not judged and not inbox.turn:
                judged = name
                if reader is not NO_STEPS:
                    inbox.handle_by(_at_once(connection, message, name, pace))
            if inbox.begun is not None:
                handling = awaiting(inbox.begun)  # it is measured there
                inbox.go_on_with(None)
            else:
                handling = dispatch(message) if name is None else getattr(consumer, name)(message)
                if handling.__class__ is not CoroutineType:
                    handling = awaiting(handling)
                if timing is not None:
                    handling = timing.timed(handling, message)
            if tracing is not None and (tracing.sampled or TRACE_KEY in message):
                handling = tracing.traced(handling, message)
            if inbox.ended and connection.scope is not None:
                handling = untyped.shielded(handling)
            try:
                stop = (yield from handling) is STOP
            except Exception as error:
                if not connection.goes_on_after(error):
                    raise
                continue
            if stop:
                if inbox.ended:
                    break
                raise StopConsumer
            if measured:
                # If other handlers have begun meanwhile, this one waited, so its time says nothing.
                slow = steady() - began > MAX_HANDLER_S and bursts.measured == measured
                pace.ran(slow=slow)
                measured = 0
    except BaseException as error:
        if connection.let_go_if_dropped(error):
            raise
        if burst is not None:
            end_anyhow(burst)
        yield from untyped.end(error)
    else:
        yield from untyped.end(None)
