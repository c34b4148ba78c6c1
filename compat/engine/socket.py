"""Send to the client: which messages may still be sent, and what an error of ``send()`` means.

If the client has left, uvicorn raises an error in ``send()``; hypercorn and daphne drop the message, and
report it only by the disconnect of ``receive()``. Any other error of ``send()`` comes from middleware, or
from a server that rejects the message, and is raised.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any, Protocol

from compat.codes import NORMAL, SERVICE_RESTART, TRY_AGAIN_LATER, may_be_sent
from compat.engine.outage import turn_away
from compat.engine.refusal import can_respond
from compat.exceptions import ClientDisconnected
from compat.metrics import connections
from compat.types import Message, Scope, Send, is_served

__all__ = ["NoSocket", "Socket", "check_close", "closes_otherwise", "handled", "is_disconnect", "says_gone"]

handled: ContextVar[Message | None] = ContextVar("handled", default=None)
"""The message whose handler this is, of a consumer with several at once (``engine.side_by_side``)."""

MAX_REASON_BYTES = 123
"""A control frame holds 125 bytes, and the close code takes two of them (RFC 6455, 5.5)."""

PRIVATE_CODES = 3000
"""Added to the codes 1001 to 1999 if the server rejects them: 1011 becomes 4011."""

GONE = (ClientDisconnected, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
GONE_NAMES = frozenset(("ClientDisconnected", "WebSocketDisconnect"))
"""uvicorn's error, an OSError, and the exception of Starlette's ``WebSocket.send`` for any OSError."""

CLOSED_BY_SERVER = "after sending 'websocket.close'"
"""uvicorn's error text for a frame after a close, including its own close for a missing pong."""

CLOSED_TRANSPORT = "the handler is closed"
"""uvloop's error text for a write to a connection that has ended without a word of the server."""


def says_gone(error: BaseException) -> bool:
    """Return True if the ``error`` of a send says that the client has left.

    Not every OSError does: a middleware's TimeoutError is one too, and so is a failed database connection.
    """
    closed = isinstance(error, RuntimeError) and CLOSED_TRANSPORT in str(error)
    return closed or isinstance(error, GONE) or is_disconnect(error)


def says_over(error: BaseException) -> bool:
    """Return True if the ``error`` of a send says that the client has left, or the server has closed."""
    return says_gone(error) or CLOSED_BY_SERVER in str(error)


def is_disconnect(error: BaseException) -> bool:
    """Return True for an exception whose class, known by its name, only means that the client has left."""
    return type(error).__name__ in GONE_NAMES


def check_close(message: Message) -> None:
    """Make ``message``, the close of an open connection, fit into a close frame.

    A longer reason is cut to 123 bytes of UTF-8. Raises ValueError for a code that may not be sent.
    """
    code = message.get("code", NORMAL)
    if code is None:
        del message["code"]
    elif not may_be_sent(code):
        raise ValueError(
            f"close code {code!r} cannot be sent to a client; use 1000 (normal), 1001 to 1003, 1007 to 1014, "
            "or a code of your own from 3000 to 4999"
        )
    reason = message.get("reason")
    if reason:
        encoded = str(reason).encode("utf-8", "replace")
        message["reason"] = encoded[:MAX_REASON_BYTES].decode("utf-8", "ignore")


async def closes_otherwise(send: Send, message: Message) -> bool:
    """Close with another code, because the server has rejected that of ``message``; return whether it worked.

    daphne accepts only 1000 and 3000 to 4999.
    """
    code = message.get("code", NORMAL)
    for other in (code + PRIVATE_CODES, NORMAL) if NORMAL < code < 2000 else ():
        try:
            await send({**message, "code": other})
        except Exception:  # noqa: BLE001 - any server; the first error says more
            continue
        return True
    return False


class Phase(Protocol):
    """The questions that a socket asks its connection."""

    def between_ends(self) -> bool:
        """Return True while neither ``connect()`` nor ``disconnect()`` runs."""
        ...

    def client_left(self) -> bool:
        """Return True once the server has delivered the client's disconnect."""
        ...


class Socket:
    """Sends a consumer's messages to the client, as long as they may be sent."""

    __slots__ = (
        "can_respond",
        "closed",
        "dropped",
        "ended",
        "framed",
        "gone",
        "kept",
        "loop",
        "most",
        "opened",
        "parted",
        "parted_by",
        "phase",
        "protocol",
        "raw_send",
        "resumed",
        "served",
        "shut",
        "websocket",
    )

    def __init__(self, scope: Scope, send: Send) -> None:
        self.raw_send = send
        self.served = is_served(scope)
        self.websocket = scope.get("type") == "websocket"
        self.can_respond = can_respond(scope)
        self.opened = False
        self.closed = False
        self.dropped = False
        """A frame of the consumer came too late, and has not been passed on."""
        self.gone = False
        """A failed send has shown that the client has left; its disconnect will follow."""
        self.parted = False
        """The consumer's ``disconnect()`` has been called, by whatever message or handler."""
        self.parted_by: Message | None = None
        """The message of that handler, if several may run at once."""
        self.ended = False
        """The consumer has ended, and handles no message any more."""
        self.loop = asyncio.get_running_loop()
        self.shut = False
        """The engine has closed the connection; frames that are still queued are not sent."""
        self.protocol: Any = None
        """The server's protocol if frames are batched for it (``engine.fast.write_batching``), else None."""
        self.framed: Any = None
        """The server's protocol if its text frames are made by ``engine.fast.framing``, else None."""
        self.kept: list[Any] | None = None
        """The list to which these frames are appended, up to ``most``, for a client that may come back."""
        self.most = 0
        self.resumed: Any = None
        """The resumable connection, which makes text frames, if the client may come back; else None."""
        self.phase: Phase | None = None
        """The connection while it runs, else None."""

    def enter(self, phase: Phase, protocol: Any) -> None:
        """Attach the running connection, and the server's protocol if frames are batched for it."""
        self.phase, self.protocol = phase, protocol

    def frame_by(self, protocol: Any, kept: list[Any] | None = None, most: int = 0) -> None:
        """Make text frames for ``protocol`` from now on; None: the server makes them, or ``resumed``.

        Each is appended to ``kept``, if given, while there are fewer than ``most``.
        """
        self.framed, self.kept, self.most = protocol, kept, most

    def resume_by(self, resumed: Any) -> None:
        """Let ``resumed`` (``contracts.Resumed``) make text frames from now on, or call ``frame_by``."""
        self.resumed = resumed
        resumed.written_by(self)

    def send_by(self, send: Send) -> None:
        """Use ``send`` as the server's callable from now on."""
        self.raw_send = send

    def shut_out(self) -> None:
        """Do not send the frames that are still queued."""
        self.shut = True

    def part(self) -> None:
        """Record that the consumer's ``disconnect()`` is called."""
        self.parted, self.parted_by = True, handled.get()

    def leave(self) -> None:
        """Record that the consumer has ended."""
        self.ended, self.phase = True, None
        self.closed = self.closed or self.served

    def admit(self, message: Message) -> bool:
        """Record what ``message`` does to the connection; return False if it comes too late to be sent.

        A frame after the consumer's own close is dropped, because group messages may still arrive then; so is
        an accept after the engine's close, of which connect() does not know.
        Raises ClientDisconnected for a frame after the client has left or the consumer has ended, and
        ValueError for a close code that may not be sent. Without a server every message may be sent.
        """
        kind = message["type"]
        if kind == "websocket.send":
            if not self.closed or not self.served:
                return True
            self.dropped = True
            if self.ended or (self.gone and self._is_told()):
                raise ClientDisconnected("the client has left, or the consumer has closed the connection")
            return False
        if kind == "websocket.accept":
            if self.shut and self.closed and self.served:
                return False
            if not self.opened and not self.closed:
                connections.accept()
            self.opened = True
        elif kind == "websocket.close" or kind == "websocket.http.response.start":
            if self.opened and self.served and kind == "websocket.close":
                check_close(message)
            late = self.closed and self.served
            self.closed = True
            return not late
        return True

    def _is_told(self) -> bool:
        # connect() and disconnect() get no error, so that they set up and clean up completely.
        return self.phase is None or (self.phase.between_ends() and not self.parted)

    async def send(self, message: Message) -> None:
        """Send an ASGI message to the client; ``admit`` says what happens if it comes too late."""
        if (self.closed or message["type"] != "websocket.send") and not self.admit(message):
            return
        try:
            await self.raw_send(message)
        except Exception as error:  # noqa: BLE001 - any server, and any middleware around its send
            await self.failed(message, error)

    async def failed(self, message: Message, error: Exception) -> None:
        """Handle the ``error`` of ``raw_send(message)``: raise it, or ignore it if the client has left."""
        if message["type"] == "websocket.close":
            await self._close_otherwise(message, error)
        else:
            self.opened = self.opened and message["type"] != "websocket.accept"
            self.lost(error)

    def lost(self, error: Exception) -> None:
        """Handle the ``error`` of a frame that could not be sent; record it if the client has left.

        Raises ``error`` or ClientDisconnected, unless the client has left during connect() or disconnect().
        """
        known = says_over(error) or self.client_left()
        if not (known and self.served and self.websocket):
            raise error
        self.gone = self.closed = True
        if self._is_told():
            raise error if says_gone(error) else ClientDisconnected("the client has left") from error

    def unwritten(self, error: Exception) -> None:
        """Handle the ``error`` of writing frames; a client that may come back gets them on its return."""
        if self.resumed is None:
            self.lost(error)
        elif self.resumed.link is not None:
            self.resumed.link.failed({"type": "websocket.send"}, error)

    def client_left(self) -> bool:
        """Return True once the server has delivered the client's disconnect, while the consumer runs."""
        return self.phase is not None and self.phase.client_left()

    async def _close_otherwise(self, message: Message, error: Exception) -> None:
        """Close with another code if the server rejects this one."""
        if not (self.served and self.websocket):
            raise error
        if says_over(error):
            self.gone = True
            return
        if self.opened and await closes_otherwise(self.raw_send, message):
            return
        if not self.client_left():
            raise error

    def refusable(self) -> bool:
        """Return True while the handshake can be refused with an HTTP response."""
        return self.can_respond and not self.opened and not self.closed

    async def close(self, code: int) -> None:
        """Close with ``code``, or refuse the handshake; do nothing if the connection is closed already.

        The client of a refused handshake gets HTTP 403, or, if the server supports it, 503 for the codes 1012
        and 1013: it may try again.
        """
        if self.websocket and not self.closed:
            self.shut = True
            if code in (SERVICE_RESTART, TRY_AGAIN_LATER) and self.served and self.refusable():
                await turn_away(self.send)
            else:
                await self.send({"type": "websocket.close", "code": code})


class NoSocket:
    """The socket of a consumer that does not run, for tests that call its methods.

    Messages go to the ``base_send`` that the test has set.
    """

    websocket = opened = closed = served = ended = shut = False

    def part(self) -> None:
        """Do nothing: no connection ends."""
