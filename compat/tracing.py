"""The seam for traces: what a connection asks of them, and the key by which a message carries one.

``compat.otel`` fills it. While nothing does, a connection asks nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from compat.clock import steady
from compat.metrics import Throttle
from compat.types import Message

__all__ = [
    "TRACE_KEY",
    "Allowance",
    "Tracing",
    "carried_on",
    "leave_trace",
    "trace_by",
    "tracing_of",
    "without_trace",
]

log = logging.getLogger("compat.otel")

TRACE_KEY = "__trace__"
"""The key of a message that holds the ``traceparent`` of its send (W3C Trace Context)."""


class Tracing(Protocol):
    """The traces of one connection."""

    sampled: bool
    """All of its handlers are traced; otherwise only those of messages that carry a trace."""

    def enter(self) -> None:
        """Make the connection's span the current one, in the current context."""
        ...

    def leave(self) -> None:
        """End what has not ended; the connection has."""
        ...

    def traced(self, handling: Awaitable[Any], message: Message) -> Awaitable[Any]:
        """Return ``handling``, which handles ``message``, in a span if it is to have one."""
        ...

    def around(self, handle: Callable[[Message], None]) -> Callable[[Message], None]:
        """Return ``handle`` in a span for each message that is traced; for handlers that run in threads."""
        ...


class Allowance:
    """So many spans in each second; those that are left out are counted and reported. None: no limit."""

    def __init__(self, per_second: int | None) -> None:
        self.per_second = per_second
        self._second = self._left = self._left_out = 0
        self._throttle = Throttle()

    def take(self) -> bool:
        """Return True if another span may be made in this second."""
        if self.per_second is None:
            return True
        second = int(steady())
        if second != self._second:
            self._second, self._left = second, self.per_second
        self._left -= 1
        if self._left >= 0:
            return True
        self._left_out += 1
        if self._left < -1:  # the first in each second reports those before it, too
            return False
        count, self._left_out = self._throttle.due("spans", self._left_out), 0
        if count:
            log.warning(
                "%d spans were left out: this process makes at most %d in a second. Sample fewer traces, or "
                "raise spans_per_second of otel.instrument()",
                count,
                self.per_second,
            )
        return False


Begin = Callable[[Any], Tracing]
"""Takes a consumer whose connection begins."""

_begin: Begin | None = None


def trace_by(begin: Begin | None) -> None:
    """Trace the connections that begin from now on by ``begin``; None: no longer."""
    global _begin
    _begin = begin


def tracing_of(consumer: Any) -> Tracing | None:
    """Return the traces of a connection that begins in the current context; None if there are none."""
    if _begin is None:
        return None
    tracing = _begin(consumer)
    tracing.enter()
    return tracing


def leave_trace(tracing: Tracing | None) -> None:
    """Leave the traces of a connection that has ended."""
    if tracing is not None:
        tracing.leave()


def carried_on(message: Message) -> None:
    """Take the trace out of a message that another process has sent, unless traces are wanted here."""
    if _begin is None:
        message.pop(TRACE_KEY, None)


def without_trace(message: Message) -> Message:
    """Return ``message``, or a copy without its trace."""
    return (
        {key: value for key, value in message.items() if key != TRACE_KEY}
        if TRACE_KEY in message
        else message
    )
