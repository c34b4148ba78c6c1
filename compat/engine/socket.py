"""The way out to a client: what may still be sent, and what a send that failed means.

A server says that the client has left by an error of ``send()`` (uvicorn), or only by the disconnect that
``receive()`` returns (hypercorn and daphne drop what is sent after that). Any other error of ``send()`` comes
from a middleware, or from a server that refuses the message, and is raised.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from compat.engine.outage import TRY_AGAIN_LATER, turn_away
from compat.engine.refusal import can_respond
from compat.exceptions import ClientDisconnected
from compat.types import Message, Scope, Send, is_served

__all__ = ["NoSocket", "Socket", "check_close", "says_gone"]

MAX_REASON_BYTES = 123
"""A control frame holds 125 bytes, two of them are the code (RFC 6455, 5.5)."""

CODES = (range(1000, 1015), range(3000, 5000))
UNSENDABLE = frozenset((1004, 1005, 1006))
"""Reserved: they say that there was no code (RFC 6455, 7.4.1)."""

PRIVATE_CODES = 3000
"""What is added to 1001 to 1999 for a server that takes no such code: 1011 becomes 4011."""

GONE = (ClientDisconnected, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
GONE_NAMES = frozenset(("ClientDisconnected", "WebSocketDisconnect"))
"""uvicorn's error, an OSError; and what Starlette's ``WebSocket.send`` makes of any OSError."""

CLOSED_BY_SERVER = "after sending 'websocket.close'"
"""uvicorn's words for a frame after a close, also where that was the server's own (no pong has come)."""


def says_gone(error: BaseException) -> bool:
    """Return True where ``error`` of a send says that the client has left.

    Not every OSError does: a middleware's TimeoutError is one, and so is a failed connection to elsewhere.
    """
    return isinstance(error, GONE) or type(error).__name__ in GONE_NAMES


def check_close(message: Message) -> None:
    """Have ``message``, a close of an open connection, carry what fits into a close frame.

    A reason that is too long is cut to 123 bytes of UTF-8. Raises ValueError for a code that may not be sent.
    """
    code = message.get("code", 1000)
    if code is None:
        del message["code"]
    elif not isinstance(code, int) or code in UNSENDABLE or not any(code in codes for codes in CODES):
        raise ValueError(
            f"close code {code!r} cannot be sent to a client; use 1000 (normal), 1001 to 1003, 1007 to 1014, "
            "or a code of your own from 3000 to 4999"
        )
    reason = message.get("reason")
    if reason:
        encoded = str(reason).encode("utf-8", "replace")
        message["reason"] = encoded[:MAX_REASON_BYTES].decode("utf-8", "ignore")


class Phase(Protocol):
    """What a socket asks of its connection."""

    def between_ends(self) -> bool:
        """Return True while neither ``connect()`` nor ``disconnect()`` runs."""
        ...

    def client_left(self) -> bool:
        """Return True once the server has handed over the client's disconnect."""
        ...


class Socket:
    """The way out to the client, and what may still be sent on it."""

    __slots__ = (
        "can_respond",
        "closed",
        "ended",
        "gone",
        "loop",
        "opened",
        "phase",
        "protocol",
        "raw_send",
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
        self.gone = False
        """A send has said that the client has left; its disconnect is on the way."""
        self.ended = False
        """The consumer has ended, and answers no message."""
        self.loop = asyncio.get_running_loop()
        self.shut = False
        """The engine has closed the connection: the frames that the consumer has queued are not sent."""
        self.protocol: Any = None
        """The server's, where frames may be gathered for it (see ``engine.fast.write_batching``)."""
        self.phase: Phase | None = None
        """The connection, while it runs."""

    def enter(self, phase: Phase, protocol: Any) -> None:
        """The connection ``phase`` runs; ``protocol`` is the server's, where frames are gathered for it."""
        self.phase, self.protocol = phase, protocol

    def send_by(self, send: Send) -> None:
        """Send by ``send`` from now on."""
        self.raw_send = send

    def shut_out(self) -> None:
        """Send nothing more of what the consumer has queued."""
        self.shut = True

    def leave(self) -> None:
        """Note that the consumer has ended."""
        self.ended, self.phase = True, None
        self.closed = self.closed or self.served

    def admit(self, message: Message) -> bool:
        """Note what ``message`` does to the connection; False when it comes too late to be sent.

        A frame after the consumer's own close is dropped: group messages may be on their way while a
        connection ends. Raises ClientDisconnected for one after the client has left, or after the end, and
        ValueError for a close code that may not be sent. In tests everything passes, as with upstream.
        """
        kind = message["type"]
        if kind == "websocket.send":
            if not self.closed or not self.served:
                return True
            if self.ended or (self.gone and self._is_told()):
                raise ClientDisconnected("the client has left, or the consumer has closed the connection")
            return False
        if kind == "websocket.accept":
            self.opened = True
        elif kind == "websocket.close" or kind == "websocket.http.response.start":
            if self.opened and self.served and kind == "websocket.close":
                check_close(message)
            late = self.closed and self.served
            self.closed = True
            return not late
        return True

    def _is_told(self) -> bool:
        # connect() and disconnect() go on to their ends: what they set up and tear down is not cut in two.
        return self.phase is None or self.phase.between_ends()

    async def send(self, message: Message) -> None:
        """Send an ASGI message to the client; see ``admit`` for one that comes too late."""
        if (self.closed or message["type"] != "websocket.send") and not self.admit(message):
            return
        try:
            await self.raw_send(message)
        except Exception as error:  # noqa: BLE001 - any server, and any middleware around its send
            await self.failed(message, error)

    async def failed(self, message: Message, error: Exception) -> None:
        """After ``raw_send(message)`` has raised ``error``: raise it, unless there is nothing to be told."""
        if message["type"] == "websocket.close":
            await self._close_otherwise(message, error)
        else:
            self.lost(error)

    def lost(self, error: Exception) -> None:
        """After a frame that could not be sent: raise ``error``, and note if it says that the client left.

        While ``connect()`` or ``disconnect()`` runs, a client that has left is no error.
        """
        said = says_gone(error)
        known = said or CLOSED_BY_SERVER in str(error) or self._client_left()
        if not (known and self.served and self.websocket):
            raise error
        self.gone = self.closed = True
        if self._is_told():
            raise error if said else ClientDisconnected("the client has left") from error

    def _client_left(self) -> bool:
        return self.phase is not None and self.phase.client_left()

    async def _close_otherwise(self, message: Message, error: Exception) -> None:
        """Close by a code that the server takes: daphne has 1000 and 3000 to 4999 only."""
        if not (self.served and self.websocket):
            raise error
        if says_gone(error):
            self.gone = True
            return
        code = message.get("code", 1000)
        others = (code + PRIVATE_CODES, 1000) if 1000 < code < 2000 else ()
        for other in others if self.opened else ():
            try:
                await self.raw_send({**message, "code": other})
            except Exception:  # noqa: BLE001 - the first error is the one that is raised
                continue
            return
        if not self._client_left():
            raise error

    def refusable(self) -> bool:
        """Return True while the handshake can be refused with a response of ours."""
        return self.can_respond and not self.opened and not self.closed

    async def close(self, code: int) -> None:
        """Close with ``code``, or refuse the handshake; nothing when it is closed already.

        A refused handshake is HTTP 403; where ``code`` is 1013, and the server can say so, 503.
        """
        if self.websocket and not self.closed:
            self.shut = True
            if code == TRY_AGAIN_LATER and self.served and self.refusable():
                await turn_away(self.send)
            else:
                await self.send({"type": "websocket.close", "code": code})


class NoSocket:
    """In place of a ``Socket`` where a test calls the methods of a consumer that does not run.

    What they send goes to the ``base_send`` that the test has given it.
    """

    websocket = opened = closed = served = ended = shut = False
