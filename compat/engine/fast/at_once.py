"""Handle messages in the callback that would wake their consumer's task, if the handler only sends.

A room's message would wake each member's task: one step of the task, down through the coroutines of the
server, the routers and the consumer, and back. A handler that only sends (``sending``) cannot tell in which
task it runs, if the message's values are plain: formatting others may run code that asks for the task or its
context. So its coroutine is run here, to its end. If it waits, because the client does not read, or raises,
the task is woken and continues it.
"""

from __future__ import annotations

from itertools import islice
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from compat import logs
from compat.clock import steady
from compat.engine.events import Copies
from compat.engine.fast.framing import framed_of, write_made
from compat.engine.fast.made_once import Judgement, is_plain, is_watched, made_first, methods_of, only_frame
from compat.engine.fast.write_batching import MAX_BYTES, MAX_HANDLER_S, QUICK, OneWrite, Pace, Recorder
from compat.engine.stepping import OVER, awaiting
from compat.tracing import TRACE_KEY
from compat.types import Message

if TYPE_CHECKING:
    from compat.engine.connection import Connection
    from compat.engine.fast.reading import FastInbox
    from compat.engine.socket import Socket

__all__ = ["AtOnce"]

MOST, MAX_S = 64, 0.0005
"""How many messages are handled at once, and for how many seconds at most."""


class AtOnce:
    """Handles messages of one type for a consumer whose task waits.

    ``queued``: what is sent goes into a queue, as in tests, and not to a server.
    """

    __slots__ = (
        *("cls", "consumer", "kind", "methods", "name", "pace", "queued", "reached"),
        *("same", "timing", "traced"),
    )

    def __init__(
        self,
        connection: Connection,
        kind: object,
        name: str,
        pace: Pace,
        judgement: Judgement,
        *,
        queued: bool,
    ) -> None:
        self.consumer: Any = connection.consumer
        self.timing = connection.timing
        self.traced = connection.tracing is not None
        """A message that carries a trace is left to the task."""
        self.kind = kind
        """The type of the messages."""
        self.name = name
        """Their handler, which ``only_sends``."""
        self.pace = pace
        self.queued = queued
        self.cls = type(self.consumer)
        self.reached = judgement.reached
        self.methods = judgement.methods
        """Everything that the handler calls, as it was when it was judged."""
        self.same = judgement.same and not queued and self.timing is None  # each timed handler has to run
        """It sends the same for each consumer of the class."""

    def handles(self, inbox: FastInbox) -> bool:
        """Handle the messages in ``inbox``; return False if the consumer's task has to take over.

        ``inbox.begun`` is then the rest of a handler that waits or has raised, or None.
        """
        consumer = self.consumer
        socket = consumer._compat_socket
        framed = socket.framed or framed_of(socket)
        # If the server makes the frames, its send() may need a task, for example for a timeout.
        if (framed is None and not self.queued) or consumer.base_send is not consumer._compat_own_send:
            return False
        if type(consumer) is not self.cls or not self.reached.isdisjoint(vars(consumer)):
            return False
        try:
            if self.same and self._sends_made(inbox, socket):
                return True
            if methods_of(self.cls, self.name) != self.methods:  # it may do anything now
                inbox.handle_by(None)
                return False
            before = logs.enter(consumer, inbox.channel)
            try:
                return self._handles(inbox, framed)
            finally:
                logs.leave(before)
        except BaseException as error:  # noqa: BLE001 - the task raises it
            inbox.scheduler.stepper.begin()
            inbox.go_on_with(_raise(error, inbox.begun))
            return False

    def _sends_made(self, inbox: FastInbox, socket: Socket) -> bool:
        """Send the frames that others have made of the first messages; return False if messages are left."""
        events = inbox.events if len(inbox.events) <= MOST else islice(inbox.events, MOST)
        frames = made_first(events, self.kind, self.cls, steady())
        if not frames or socket.closed:
            return False
        written = write_made(socket, frames, MAX_BYTES if inbox.scheduler.bursts.used else 0)
        if inbox.take_events(written):
            return True
        if written < len(frames) or written < MOST:
            return False
        inbox.taken()
        return True

    def _handles(self, inbox: FastInbox, framed: Any) -> bool:
        bursts, pace = inbox.scheduler.bursts, self.pace
        if bursts.open:
            if pace.quick < QUICK:
                bursts.end()
            bursts.handled_by(pace)
        began = steady()
        if len(inbox.events) == 1:
            now = self._handle(inbox, began)
        elif pace.quick < QUICK or not bursts.used:
            now = self._handle_several(inbox, began)
        else:
            with OneWrite(framed, self.consumer._compat_socket.unwritten):
                now = self._handle_several(inbox, began)
        if not now:
            return False
        pace.ran(slow=now - began > MAX_HANDLER_S)
        inbox.taken()
        return True

    def _handle_several(self, inbox: FastInbox, began: float) -> float:
        now = began
        for _ in range(MOST):
            now = self._handle(inbox, now)
            if not now or not inbox.events or now - began > MAX_S:
                break
        return now

    def _handle(self, inbox: FastInbox, now: float) -> float:
        """Handle the next message, and return the time after that; 0 if the task has to handle it."""
        shared: Message
        copies: Any
        _, shared, copies = inbox.events[0]
        if (self.traced and TRACE_KEY in shared) or not _has_plain_values(shared, copies):
            return 0.0
        message = inbox.take_event(self.kind, now)
        if message is None:
            return 0.0
        stepper = inbox.scheduler.stepper
        recorder = self._recorder(copies)
        handling = getattr(self.consumer, self.name)(message)
        if handling.__class__ is not CoroutineType:
            handling = awaiting(handling)
        if self.timing is not None:
            handling = self.timing.timed(handling, message)
        if recorder is None:
            waits_for = stepper.step(handling)
        else:
            resumed = self.consumer._compat_socket.resumed
            before = 0 if resumed is None else resumed.journal.end
            with recorder:
                waits_for = stepper.step(handling)
            if waits_for is OVER:
                # For a client that may come back a frame may be kept and not written.
                whole = resumed is None or resumed.journal.end == before + 1
                frame = only_frame(recorder.frames) if whole else None
                copies.keep(self.cls, frame)
                if frame is not None:
                    inbox.scheduler.long_frames.add(copies, self.cls, frame, now)
        if waits_for is not OVER:
            inbox.go_on_with(stepper.rest(waits_for))
            return 0.0
        return steady()

    def _recorder(self, copies: object) -> Recorder | None:
        """Return a recorder of the frames that are sent now, if other consumers may send the same ones."""
        socket, cls = self.consumer._compat_socket, self.cls
        if not self.same or not isinstance(copies, Copies) or cls in copies.made or socket.closed:
            return None
        if is_watched():
            return None
        framed = framed_of(socket)  # the last handler may have left the next frames to the link
        return None if framed is None else Recorder(framed)


def _has_plain_values(message: Message, copies: object) -> bool:
    if not isinstance(copies, Copies):
        return is_plain(message)
    if copies.plain is None:
        copies.plain = is_plain(message)
    return copies.plain


async def _raise(error: BaseException, begun: Any) -> None:
    """Raise ``error``, after the rest of a handler that has ``begun``, if there is one."""
    if begun is not None:
        await begun
    raise error
