"""Write the frames of a burst in one system call.

A server writes each frame separately, and the system call is a large part of the cost of a delivery. A
consumer with several waiting messages sends several frames in a row. While it does, a ``Burst`` replaces the
transport in the server's protocol, collects the bytes, and writes them at once. It ends when no message
waits, at the loop's next turn if a handler waits, or after 2 ms.

A handler that computes or blocks holds the loop, and no burst can end meanwhile. So frames are batched only
for consumer classes whose handlers have been quick (``Pace``), and all bursts end before a handler of a class
runs that is not known to be quick.

This relies on uvicorn's protocols: they write only to their attribute ``transport``, and wait only for their
attribute ``writable`` before they do. With other servers, or without one, frames are not batched.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Protocol

from compat.clock import steady
from compat.engine.contracts import Resumed
from compat.engine.events import BETWEEN
from compat.types import Message, Receive, Send

__all__ = [
    "MAX_BYTES",
    "MAX_HANDLER_S",
    "QUICK",
    "Burst",
    "Bursts",
    "OneWrite",
    "Pace",
    "Recorder",
    "end_anyhow",
    "protocol_of",
    "readiness_of",
]

log = logging.getLogger("compat.consumer")

MAX_BYTES = 2**16
"""The size in bytes at which a burst is written: asyncio's high-water mark for a transport."""

MAX_S = 0.002
"""Seconds that a burst may last."""

MAX_HANDLER_S = 0.01
"""Seconds that a handler may hold the loop; after a slower one, the frames of its class are not batched."""

QUICK = 100
"""How many quick handlers in a row a class needs before its frames are batched (again)."""


def protocol_of(receive: Receive, send: Send) -> Any:
    """Return the server's protocol behind ``receive`` or ``send``; None if frames cannot be batched for it.

    Middleware usually wraps only one of the two. If the client may come back, the result is the ``Resumed``
    connection, whose ``protocol`` is that of its present socket.
    """
    for method in (receive, send):
        owner = getattr(method, "__self__", None)
        if isinstance(owner, Resumed):
            return owner
        if isinstance(owner, asyncio.BaseProtocol):
            transport = getattr(owner, "transport", None)
            return owner if hasattr(transport, "write") and hasattr(transport, "is_closing") else None
    return None


def readiness_of(protocol: Any, send: Send) -> asyncio.Event | None:
    """Return an event that is set while ``send`` of the server's protocol takes a frame without a wait.

    None: it is not known when it does, or ``send`` is wrapped.
    """
    writable = getattr(protocol, "writable", None)
    known = isinstance(writable, asyncio.Event) and getattr(send, "__self__", None) is protocol
    return writable if known else None


class OneWrite:
    """Writes all frames of a ``with`` block at once, at its end; ``protocol`` as of ``Bursts.protocol_of``.

    The block must not wait for anything but the server's ``send()``. ``failed``: called with an error of that
    write, which is otherwise raised.
    """

    __slots__ = ("burst", "failed")

    def __init__(self, protocol: Any, failed: Callable[[Exception], None] | None = None) -> None:
        begins = protocol is not None and type(protocol.transport) is not Burst
        self.burst = Burst(protocol, None, 0.0, None) if begins else None
        self.failed = failed

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self.burst is None:
            return
        try:
            self.burst.end()
        except Exception as error:
            if self.failed is None:
                raise
            self.failed(error)


class Pace:
    """Counts the quick handlers of a consumer class since its last slow one."""

    __slots__ = ("quick",)

    def __init__(self) -> None:
        self.quick = 0

    def ran(self, *, slow: bool) -> None:
        """Count a handler; a slow one sets the count to 0."""
        self.quick = 0 if slow else self.quick + 1


class Inbox(Protocol):
    """The attribute of a connection's inbox that a burst reads."""

    current: Message | None
    """``BETWEEN`` while no handler runs."""


class Bursts:
    """The bursts of one event loop; there are none if ``used`` is False."""

    __slots__ = ("loop", "measured", "open", "pace", "turned", "used")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, used: bool = True) -> None:
        self.loop = loop
        self.used = used
        self.open: list[Burst] = []
        """The bursts that were under way at the loop's last turn, or have begun since."""
        self.pace = Pace()
        """The pace of the class whose handler started last."""
        self.measured = 0
        """How many handlers have started whose class is not known to be quick."""
        self.turned = 0.0
        """The time of the loop's last turn, in seconds of ``clock.steady()``."""

    def protocol_of(self, receive: Receive, send: Send) -> Any:
        """Return the server's protocol if frames are batched for it, else None."""
        return protocol_of(receive, send) if self.used else None

    def begin(self, protocol: Any, inbox: Inbox, now: float, pace: Pace | None = None) -> Burst | None:
        """Begin a burst on ``protocol`` and return it; return None if one is under way there.

        ``now`` is in seconds of ``clock.steady()``. ``pace`` is that of the handlers that write, if known.
        """
        if isinstance(protocol, Resumed):
            protocol = protocol.protocol
        if protocol is None or type(protocol.transport) is Burst:
            return None
        burst = Burst(protocol, inbox, now + MAX_S, pace)
        if not self.open:
            self.turned = now
            self.loop.call_soon(self._turn)
        self.open.append(burst)
        return burst

    def handled_by(self, pace: Pace) -> None:
        """Record that a handler of the class with this ``pace`` is about to run."""
        self.pace = pace

    def measure(self) -> int:
        """Return a number for the handler that is about to run, whose class is not known to be quick."""
        self.measured += 1
        return self.measured

    def end(self) -> None:
        """End all bursts."""
        for burst in self.open:
            end_anyhow(burst)

    def _turn(self) -> None:
        """End the bursts whose handler waits, and those that have lasted ``MAX_S``."""
        now, still = steady(), []
        if now - self.turned > MAX_HANDLER_S:  # a handler has held the loop
            self.pace.ran(slow=True)
            for burst in self.open:
                if burst.pace is not None:
                    burst.pace.ran(slow=True)
        self.turned = now
        for burst in self.open:
            if burst.inbox is None or burst.inbox.current is not BETWEEN or burst.until <= now:
                end_anyhow(burst)
            if burst.protocol is not None:
                still.append(burst)
        self.open = still
        if still:
            self.loop.call_soon(self._turn)


class Burst:
    """Replaces a protocol's transport, and keeps the written bytes until the burst ends.

    Any other use of the transport ends the burst first, so that the frames leave before a close or before the
    server's own ping.
    """

    __slots__ = ("held", "inbox", "pace", "protocol", "size", "transport", "until")

    def __init__(self, protocol: Any, inbox: Inbox | None, until: float, pace: Pace | None) -> None:
        self.protocol = protocol
        self.inbox = inbox
        self.transport = protocol.transport
        self.held: list[bytes] = []
        self.size = 0
        self.until = until
        """The time at which the burst must end, in seconds of ``clock.steady()``."""
        self.pace = pace
        protocol.transport = self

    def write(self, data: bytes) -> None:
        """Keep ``data`` until the end of the burst, or until ``MAX_BYTES`` have been written."""
        self.held.append(data)
        self.size += len(data)
        if self.size >= MAX_BYTES:
            self._write_held()

    def pause_reading(self) -> None:
        """Pass on; what is read has no order with what is written."""
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Pass on, as ``pause_reading``."""
        self.transport.resume_reading()

    def is_closing(self) -> bool:
        """Return True if the transport is closing."""
        return bool(self.transport.is_closing())

    def end(self) -> None:
        """Restore the transport and write the kept bytes at once; a second call does nothing."""
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


def end_anyhow(burst: Burst) -> None:
    """End a burst; log an error, which concerns only its client, and close that client's transport."""
    try:
        burst.end()
    except Exception as error:  # noqa: BLE001 - any transport
        log.debug("frames could not be written: %r", error)
        with contextlib.suppress(Exception):
            burst.transport.close()  # its server says that the client has left


class Recorder:
    """Replaces a protocol's transport in a ``with`` block, and notes what is written."""

    __slots__ = ("frames", "protocol", "transport")

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.transport = protocol.transport
        self.frames: list[bytes] = []
        """The written bytes; an empty item stands for a failed write, or another use of the transport."""

    def __enter__(self) -> None:
        self.protocol.transport = self

    def __exit__(self, *_: object) -> None:
        if self.protocol.transport is self:
            self.protocol.transport = self.transport

    def write(self, data: bytes) -> None:
        """Write ``data``, and note it unless that fails."""
        self.frames.append(b"")
        self.transport.write(data)
        self.frames[-1] = data

    def __getattr__(self, name: str) -> Any:
        self.frames.append(b"")
        return getattr(self.transport, name)
