"""Write the frames that one consumer makes in a row in one piece.

A server writes each frame to its socket by itself, and that system call is a large part of what a delivery
costs. A consumer that has several messages waiting makes several frames in a row; while it does, a ``Burst``
stands in the server's protocol for the transport, and hands on at once what has been written. It ends when no
message waits, at the loop's next turn when a handler waits for something, or after 2 ms.

While a handler computes, or blocks, nobody can end a burst. So frames are gathered only for classes of
consumers whose handlers have not done that (``Pace``), and what is gathered leaves before a handler of
another class runs.

This relies on the protocols of uvicorn: they write to an attribute ``transport``, and to nothing else. With
any other server, or without one, nothing is gathered.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from compat.clock import steady
from compat.engine.inbox import BETWEEN
from compat.types import Message, Receive, Send

__all__ = ["MAX_HANDLER_S", "QUICK", "Burst", "Bursts", "Pace", "protocol_of"]

MAX_BYTES = 2**16
"""asyncio's high-water mark: what a client that reads nothing may leave in a transport."""

MAX_S = 0.002
"""How long a frame may wait for handlers that compute."""

MAX_HANDLER_S = 0.01
"""For how many seconds a handler may hold the loop before frames of its class are not gathered ..."""

QUICK = 100
"""... until so many of its handlers in a row have been quicker; at first, too."""


def protocol_of(receive: Receive, send: Send) -> Any:
    """The server's protocol behind the ASGI callables of a connection; None when it is not one to gather for.

    Middleware wraps one of them or the other, seldom both.
    """
    for method in (receive, send):
        owner = getattr(method, "__self__", None)
        if isinstance(owner, asyncio.BaseProtocol):
            transport = getattr(owner, "transport", None)
            return owner if hasattr(transport, "write") and hasattr(transport, "is_closing") else None
    return None


class Pace:
    """How many handlers of a class of consumers have been quick since one was not."""

    __slots__ = ("quick",)

    def __init__(self) -> None:
        self.quick = 0

    def ran(self, *, slow: bool) -> None:
        """Count a handler."""
        self.quick = 0 if slow else self.quick + 1


class Inbox(Protocol):
    """What a burst needs to know of the connection that it is for."""

    current: Message | None
    """``BETWEEN`` while the consumer's task gives way between two handlers."""


class Bursts:
    """Those of one event loop. Where ``used`` is False there are none."""

    __slots__ = ("loop", "measured", "open", "pace", "turned", "used")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, used: bool = True) -> None:
        self.loop = loop
        self.used = used
        self.open: list[Burst] = []
        """Those that were under way at the loop's last turn, or have begun since."""
        self.pace = Pace()
        """Of the class whose handler has begun last."""
        self.measured = 0
        """Handlers of classes that are not known to be quick, which have begun."""
        self.turned = 0.0
        """When the loop had its last turn, in seconds of ``clock.steady()``."""

    def protocol_of(self, receive: Receive, send: Send) -> Any:
        """Return the server's protocol, where frames are to be gathered for it; else None."""
        return protocol_of(receive, send) if self.used else None

    def begin(self, protocol: Any, inbox: Inbox, now: float, pace: Pace | None = None) -> Burst | None:
        """Gather what is written to ``protocol``; None while another burst is under way there.

        ``pace`` is that of the handlers that write.
        """
        if type(protocol.transport) is Burst:
            return None
        burst = Burst(protocol, inbox, now + MAX_S, pace)
        if not self.open:
            self.turned = now
            self.loop.call_soon(self._turn)
        self.open.append(burst)
        return burst

    def handled_by(self, pace: Pace) -> None:
        """A handler of the class that ``pace`` belongs to is about to run."""
        self.pace = pace

    def measure(self) -> int:
        """Return the number of the handler that is about to run, of a class that is not known to be quick."""
        self.measured += 1
        return self.measured

    def end(self) -> None:
        """End them all."""
        for burst in self.open:
            burst.end()

    def _turn(self) -> None:
        """End those whose handler waits for something, and those that have lasted long enough."""
        now, still = steady(), []
        if now - self.turned > MAX_HANDLER_S:  # a handler has held the loop
            self.pace.ran(slow=True)
            for burst in self.open:
                if burst.pace is not None:
                    burst.pace.ran(slow=True)
        self.turned = now
        for burst in self.open:
            if burst.inbox.current is BETWEEN and burst.until > now:
                still.append(burst)
            else:
                burst.end()
        self.open = still
        if still:
            self.loop.call_soon(self._turn)


class Burst:
    """In place of a protocol's transport: keeps what is written, until it ends.

    Anything else that is asked of the transport ends it first, so what was written before a close or before a
    ping of the server's own leaves before it.
    """

    __slots__ = ("held", "inbox", "pace", "protocol", "size", "transport", "until")

    def __init__(self, protocol: Any, inbox: Inbox, until: float, pace: Pace | None) -> None:
        self.protocol = protocol
        self.inbox = inbox
        self.transport = protocol.transport
        self.held: list[bytes] = []
        self.size = 0
        self.until = until
        """When it has lasted long enough, in seconds of ``clock.steady()``."""
        self.pace = pace
        protocol.transport = self

    def write(self, data: bytes) -> None:
        """Keep ``data`` for the end."""
        self.held.append(data)
        self.size += len(data)
        if self.size >= MAX_BYTES:
            self._write_held()

    def is_closing(self) -> bool:
        """As the transport's."""
        return bool(self.transport.is_closing())

    def end(self) -> None:
        """Write what is kept, in one piece; may be called again."""
        if self.protocol is not None:
            self.protocol.transport = self.transport
            self.protocol = None
            self._write_held()

    def _write_held(self) -> None:
        held, self.held, self.size = self.held, [], 0
        if held and not self.transport.is_closing():
            self.transport.write(b"".join(held))

    def __getattr__(self, name: str) -> Any:
        self.end()
        return getattr(self.transport, name)
