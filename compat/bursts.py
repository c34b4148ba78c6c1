"""The frames of a burst in one write.

A server writes each frame to its socket by itself, and that system call is most of what a delivery costs. A
consumer that has several messages waiting makes several frames in a row; while it does, a ``Burst`` stands
in the server's protocol for the transport, and hands on at once what has been written. Nothing is delayed
beyond the row: it ends when no message waits, when a handler waits for something else, or after 2 ms.

Known are the protocols of uvicorn, which have an attribute ``transport`` and nothing else that writes. With
any other server, or without one, nothing is gathered.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from compat.types import Receive, Send

__all__ = ["Burst", "begin", "protocol_of"]

MAX_BYTES = 2**16
"""asyncio's high-water mark: what a client that reads nothing may leave in a transport."""

MAX_S = 0.002
"""How long a frame may wait for handlers that compute."""


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


def begin(protocol: Any, loop: asyncio.AbstractEventLoop, last: Burst | None = None) -> Burst | None:
    """End ``last`` and begin another one; None when somebody else's is under way for this protocol."""
    if last is not None:
        last.end()
    return None if type(protocol.transport) is Burst else Burst(protocol, loop)


class Burst:
    """In place of a protocol's transport: keeps what is written, until it ends.

    Anything else that is asked of the transport ends it first, so what was written before a close or before a
    ping of the server's own leaves before it.
    """

    __slots__ = ("held", "protocol", "size", "transport", "until")

    def __init__(self, protocol: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.protocol = protocol
        self.transport = protocol.transport
        self.held: list[bytes] = []
        self.size = 0
        self.until = monotonic() + MAX_S
        """When it has lasted long enough, in seconds of ``time.monotonic()``; 0 when it has ended."""
        protocol.transport = self
        loop.call_soon(self.end)  # should a handler wait, nobody else would end it

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
            self.until = 0.0
            self._write_held()

    def _write_held(self) -> None:
        held, self.held, self.size = self.held, [], 0
        if held and not self.transport.is_closing():
            self.transport.write(b"".join(held))

    def __getattr__(self, name: str) -> Any:
        self.end()
        return getattr(self.transport, name)
