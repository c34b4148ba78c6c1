"""One turn of a worker for a sync consumer: it handles one message, and others that may follow at once."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from typing import Any

from compat import db
from compat.clock import steady
from compat.engine.contracts import SyncHandlers
from compat.engine.dispatching import blocking_dispatch
from compat.engine.fast.framing import MOST_AT_ONCE
from compat.engine.fast.made_once import Judgement, judge
from compat.engine.fast.pool import TICK_S, Pool
from compat.engine.fast.sync_inbox import SyncInbox
from compat.engine.fast.thread_locals import enter
from compat.engine.fast.unsent import Unsent
from compat.engine.fast.workers import Worker
from compat.engine.socket import Socket
from compat.engine.threads import closing_old_connections
from compat.types import Message

__all__ = ["MAX_UNSENT", "Handling"]

MAX_UNSENT = 64
"""The number of unsent frames at which ``send()`` blocks the handler."""

MAX_TURN_S = 0.00025
"""Seconds after which the next message waits for another turn, as it does after ``framing.MOST_AT_ONCE``."""

MAX_GATHERED_S = 0.002
"""Seconds for which a worker stays with a client whose frames go to a room, while the room's members wait."""


class Judged:
    """Remembers whether the last handler of a sync consumer only sends."""

    __slots__ = ("judgement", "kind")

    def __init__(self) -> None:
        self.kind: object = None
        """The type of its message."""
        self.judgement: Judgement | None = None

    def only_sends(self, consumer: Any, bridge: object, message: Message) -> bool:
        """Return True if the handler of ``message`` only sends, and sends to ``bridge``."""
        kind = message.get("type")
        if kind != self.kind:
            self.kind, self.judgement = kind, None
            if isinstance(kind, str) and not db.watched():  # an overridden dispatch() may take any
                name = consumer._compat_handler_names.get(kind)
                self.judgement = None if name is None else judge(consumer, name)
        if self.judgement is None or getattr(consumer.base_send, "__self__", None) is not bridge:
            return False
        return self.judgement.reached.isdisjoint(vars(consumer))


class Handling(Unsent):
    """Base of ``Bridge``."""

    __slots__ = (
        *("closing", "consumer", "context", "handle", "inbox", "judged", "late", "nested"),
        *("pool", "thread"),
    )

    inbox: SyncInbox

    def __init__(self, consumer: SyncHandlers, socket: Socket, pool: Pool) -> None:
        super().__init__(socket)
        self.consumer = consumer
        self.pool = pool
        self.context = contextvars.copy_context()
        self.handle: Callable[[Message], None]
        self.thread: int = 0
        """The identifier of the thread that ran the last handler."""
        self.nested: list[Any] = []
        """The tasks that ``async_to_sync`` in a handler runs on the loop (asgiref's task context)."""
        self.judged = Judged()
        self.closing = False
        self.late = 0
        """How many of the layer's messages were handled when the consumer closed, or after that: the client
        gets them again.
        """

    def stopped(self) -> bool:
        """Return True if no further message will be handled."""
        raise NotImplementedError

    def handle_next(self, worker: Worker) -> None:
        """Handle a message, and others that may follow in the same turn; called in a worker thread.

        After a handler that only sends the next message follows, and after a handler of a client's frame that
        has used the loop the client's next frame.
        """
        if len(self.out) >= MAX_UNSENT or self.closing or (message := self._take()) is None:
            return
        self.thread = enter(self.pool.loop_for_threads, self.thread, self.context, self.nested)
        pool, inbox, began = self.pool, self.inbox, steady()
        until = began + MAX_TURN_S
        for others in range(MOST_AT_ONCE - 1, -1, -1):  # how many more may follow
            if pool.slow_kinds and self.kind() in pool.slow_kinds:
                self._run_slow(worker, message)
                return
            entered, messages = pool.entered, inbox.scheduler.messages()
            self.context.run(self.handle, message)
            worker.go_on()
            if not others:
                return
            if inbox.turn:  # that was a frame
                if inbox.frame is None or pool.entered == entered or inbox.scheduler.messages() == messages:
                    return
                if steady() - began > MAX_GATHERED_S or not pool.await_turn():
                    return
                self.thread = enter(pool.loop_for_threads, self.thread, self.context, self.nested)
                until = steady() + MAX_TURN_S
            elif not inbox.events and inbox.frame is None:
                return
            elif steady() > until or not self.judged.only_sends(self.consumer, self, message):
                return
            if worker.slow or self.stopped() or len(self.out) >= MAX_UNSENT:
                return
            following = self._take()
            if following is None:
                return
            message = following

    def _take(self) -> Message | None:
        inbox = self.inbox
        if not self.socket.closed:
            return inbox.take()
        self.late += 1  # before it is taken, because the loop may ask for the progress at any moment
        message = inbox.take()
        if message is None or inbox.turn:
            self.late -= 1
        return message

    def _run_slow(self, worker: Worker, message: Message) -> None:
        self.pool.hand_over(worker)
        began = time.perf_counter()
        self.context.run(self.handle, message)
        if time.perf_counter() - began < TICK_S:
            self.pool.slow_kinds.discard(self.kind())

    def kind(self) -> tuple[type, Any] | None:
        """Return the class and message type of the handler that runs; None if the connection has ended."""
        consumer, inbox = getattr(self, "consumer", None), getattr(self, "inbox", None)
        message = None if consumer is None or inbox is None else inbox.current
        kind = None if message is None else message.get("type")
        return (type(consumer), kind) if isinstance(kind, str) else None

    def handle_alone(self, message: Message) -> None:
        """Handle a message outside the queue; called in a thread while no other handler runs."""
        self.thread = enter(self.pool.loop_for_threads, self.thread, self.context, self.nested)
        self.context.run(closing_old_connections, blocking_dispatch(self.consumer.dispatch), message)
