"""Take short text frames apart here, which is most of what clients send, and their close frames.

The server's parser is made for frames that come in pieces: it costs 5 µs for one that is short and whole.
And the server stops to read a socket for each message until the application has taken it; here it does so
from the second one on that waits.

This relies on uvicorn's ``websockets-sansio``, as ``framing`` does: that a message goes into its ``queue``,
that ``receive()`` reads on once that is empty, that its class may be replaced by one that adds methods, and
what it does with a close frame. The parser is a generator of websockets; between two frames it waits in
``StreamReader.at_eof``. All other frames, and all that comes while it waits for more of one, are the
server's.
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

__all__ = ["tell", "unframe"]

log = logging.getLogger("compat.consumer")

TEXT, CLOSE = 0x81, 0x88
"""The first byte of a text frame that is whole, and of a close frame."""
CLOSES = {b"": NO_STATUS, b"\x03\xe8": NORMAL, b"\x03\xe9": GOING_AWAY}
"""What closes of browsers say, and the code that the application is told."""
MASKED, LONGEST = 0x80, 125
"""In the second byte: a client's frame has a mask; and its size, if that fits there."""
BEFORE = 6
"""The bytes before the text: those two, and the mask."""

NEEDED = (
    "close_rcvd close_rcvd_then_sent close_sent current_size discard eof_sent extensions parser state".split()
)
"""The attributes of the connection of websockets."""


def unframe(protocol: Any) -> None:
    """Take the short frames of ``protocol`` apart from now on, and the handshakes of its server.

    ``protocol``: as ``framing.framing_of`` returns it; with None nothing happens.
    """
    if protocol is None:
        return
    _reading_handshakes()(protocol.config)
    if _is_ours(protocol) or protocol.config.ws_max_size < LONGEST:
        return
    cls = type(protocol)
    if cls not in _made:
        _made[cls] = _make(cls, protocol.conn)
    faster = _made[cls]
    if faster is not None and hasattr(protocol.transport, "set_protocol"):
        protocol.__class__ = faster
        protocol.transport.set_protocol(protocol)  # uvloop keeps the method that it calls


def tell(protocol: Any, take: Callable[[str, bool], bool] | None) -> None:
    """Offer each short text to ``take``, which returns True if it has taken it; else it goes into the queue.

    Its second argument says whether messages wait there. None: no longer. Nothing happens if the server takes
    its frames apart.
    """
    if _is_ours(protocol):
        protocol.tell(take)


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
"""The server's class, and the one that replaces it; None: something is not as expected."""


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
        "told": None,
        "tell": _tell,
        "data_received": _data_received,
    }
    return type(cls.__name__, (cls,), members)


# The methods of the class that is made


def _tell(self: Any, take: Callable[[str, bool], bool] | None) -> None:
    self.told = take


def _data_received(self: Any, data: bytes) -> None:
    """Take what the client has sent: any bytes."""
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
            except UnicodeDecodeError:  # the server says so
                break
            _take(self, text)
            at = end
    if at < size:
        self.compat_base.data_received(self, data[at:] if at else data)


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
    """Return True if a message begins with what comes, which may still be compressed."""
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
    if self.told is not None and self.told(text, waits):
        return
    queue.put_nowait({"type": "websocket.receive", "text": text})
    if waits and not self.read_paused:
        self.read_paused = True
        self.transport.pause_reading()
