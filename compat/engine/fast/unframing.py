"""Parse short text frames, which clients send most, and their close frames, without the server's parser.

The server's parser is made for frames that come in pieces: it takes 5 µs for one that is short and whole. And
the server pauses reading after each message until the application has taken it; here it pauses only if a
second message waits.

This relies on uvicorn's ``websockets-sansio``, as ``framing`` does: a message goes into its ``queue``,
``receive()`` reads on once that is empty, and its class may be replaced by one that adds methods. It also
relies on what uvicorn does with a close frame. The parser is a generator of websockets; between two frames
it waits in ``StreamReader.at_eof``. The server parses all other frames, and all bytes that come while it
waits for more of a frame.

The class that is made also ends a connection: without garbage, and at a stop after those that are not open.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from compat.codes import GOING_AWAY, NO_STATUS, NORMAL
from compat.engine.fast.framing import goes_plain

if TYPE_CHECKING:
    from websockets.server import ServerProtocol

__all__ = ["offer_texts", "unframe"]

log = logging.getLogger("compat.consumer")

TEXT, CLOSE = 0x81, 0x88
"""The first byte of a text frame that is whole, and of a close frame."""
CLOSES = {b"": NO_STATUS, b"\x03\xe8": NORMAL, b"\x03\xe9": GOING_AWAY}
"""The payloads of browsers' close frames, and the codes for the application."""
MASKED, LONGEST = 0x80, 125
"""The second byte: a bit says that the frame is masked, as a client's is; the rest is the size, up to 125."""
BEFORE = 6
"""The number of bytes before the text: these two, and the mask."""

NEEDED = (
    "close_rcvd close_rcvd_then_sent close_sent current_size discard eof_sent extensions parser state".split()
)
"""The attributes of the connection of websockets."""


def unframe(protocol: Any) -> None:
    """Parse the short frames of ``protocol`` here from now on, and read the handshakes of its server.

    ``protocol``: as ``framing.framing_of`` returns it; for None nothing happens.
    """
    if protocol is None:
        return
    _reading_handshakes()(protocol.config)
    largest: int | None = protocol.config.ws_max_size
    if _is_ours(protocol) or (largest is not None and largest < LONGEST):
        return
    if protocol.transport.is_closing():  # the client has left, and then asyncio's TLS takes no protocol
        return
    cls = type(protocol)
    if cls not in _made:
        _made[cls] = _make(cls, protocol.conn)
    faster = _made[cls]
    if faster is not None and hasattr(protocol.transport, "set_protocol"):
        protocol.__class__ = faster
        protocol.transport.set_protocol(protocol)  # uvloop keeps the method that it calls


def offer_texts(protocol: Any, take: Callable[[str, bool], bool] | None) -> None:
    """Call ``take(text, waits)`` for each short text; unless it returns True, the text goes into the queue.

    ``waits`` says whether messages wait there. ``take`` None: stop that. Nothing happens if the server parses
    all frames of ``protocol``.
    """
    if _is_ours(protocol):
        protocol.offer_texts(take)


@functools.cache
def _reading_handshakes() -> Callable[[Any], None]:
    try:  # it imports the server, which is loaded where there is a protocol
        from compat.engine.fast.handshaking import read_for
    except ImportError as error:  # another version
        log.info("handshakes are left to the server: %s", error)
        return lambda config: None
    return read_for


def _is_ours(protocol: Any) -> bool:
    return hasattr(type(protocol), "compat_base")


_made: dict[type[Any], type[Any] | None] = {}
"""The server's classes, and the ones that replace them; None if a class is not as expected."""


def _make(cls: type[Any], conn: Any) -> type[Any] | None:
    frames, streams = sys.modules.get("websockets.frames"), sys.modules.get("websockets.streams")
    unmask, close = getattr(frames, "apply_mask", None), getattr(frames, "Close", None)
    between = getattr(getattr(streams, "StreamReader", None), "at_eof", None)
    missing = [name for name in NEEDED if not hasattr(conn, name)]
    if missing or unmask is None or close is None or not inspect.isgeneratorfunction(between):
        return None  # another version of websockets
    protocols = sys.modules["websockets.protocol"]
    members = {
        "__slots__": (),  # the instances keep their layout
        "compat_base": cls,
        "opened": protocols.OPEN,
        "closing": protocols.CLOSING,
        "between": between.__code__,
        "close": close,
        "unmask": staticmethod(unmask),
        "takes_text": None,
        "offer_texts": _offer_texts,
        "data_received": _data_received,
        "connection_lost": _connection_lost,
        "shutdown": _shutdown,
    }
    return type(cls.__name__, (cls,), members)


# The methods of the class that is made


def _offer_texts(self: Any, take: Callable[[str, bool], bool] | None) -> None:
    self.takes_text = take


def _data_received(self: Any, data: bytes) -> None:
    """Take bytes from the client."""
    at, size = 0, len(data)
    if size >= BEFORE and _begins_frame(self):
        if data[0] == CLOSE and _closes(self, data):
            return
        while size - at > BEFORE and data[at] == TEXT and MASKED < data[at + 1] <= MASKED + LONGEST:
            start = at + BEFORE
            end = start + data[at + 1] - MASKED
            if end > size:
                break
            try:
                text = self.unmask(data[start:end], data[start - 4 : start]).decode()
            except UnicodeDecodeError:  # the server reports it
                break
            _take(self, text)
            at = end
    if at < size:
        self.compat_base.data_received(self, data[at:] if at else data)


def _connection_lost(self: Any, error: Exception | None) -> None:
    """Free the parser, which nothing uses after this.

    It and its connection refer to each other: 10 objects would stay until a full garbage collection.
    """
    self.compat_base.connection_lost(self, error)
    conn: ServerProtocol = self.conn
    del conn.parser


def _shutdown(self: Any) -> None:
    """End the connection, because the server stops; if it is open, after those whose handshake waits.

    Their clients have waited already, and connect again before all the others are cut.
    """
    if self.handshake_complete:
        self.loop.call_soon(_shut_down, self)
    else:
        self.compat_base.shutdown(self)


def _shut_down(self: Any) -> None:
    # If it is closing by now, the server would try to send a close, and stop with an error.
    if not self.transport.is_closing():
        self.compat_base.shutdown(self)


def _closes(self: Any, data: bytes) -> bool:
    """Answer ``data`` if it is a close frame without a text, and nothing else; return False if it is not."""
    said = self.unmask(data[BEFORE:], data[BEFORE - 4 : BEFORE])
    code = CLOSES.get(said) if data[1] == MASKED + len(said) else None
    if code is None or self.transport.is_closing():
        return False
    conn: ServerProtocol = self.conn
    conn.close_rcvd = conn.close_sent = self.close(code, "")
    conn.close_rcvd_then_sent = conn.eof_sent = True
    conn.state = self.closing
    conn.parser = conn.discard()
    next(conn.parser)
    self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
    self.transport.write(bytes((CLOSE, len(said))) + said)
    self.transport.close()
    return True


def _begins_frame(self: Any) -> bool:
    """Return True if the next byte begins a message, which may still be compressed."""
    conn = self.conn
    if conn.state is not self.opened or conn.current_size is not None:
        return False
    if conn.extensions and not goes_plain(self, 0):
        return False
    frames = conn.parser.gi_yieldfrom
    waiting = None if frames is None else frames.gi_yieldfrom
    return waiting is not None and waiting.gi_code is self.between


def _take(self: Any, text: str) -> None:
    queue = self.queue
    waits = not queue.empty()
    if self.takes_text is not None and self.takes_text(text, waits):
        return
    queue.put_nowait({"type": "websocket.receive", "text": text})
    if waits and not self.read_paused:
        self.read_paused = True
        self.transport.pause_reading()
