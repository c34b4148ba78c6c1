"""Take short text frames apart here, which is most of what clients send.

The server's parser is made for frames that come in pieces: it costs 5 µs for one that is short and whole.
And the server stops to read a socket for each message until the application has taken it; here it does so
from the second one on that waits.

This relies on uvicorn's ``websockets-sansio``, as ``framing`` does: that a message goes into its ``queue``,
that ``receive()`` reads on once that is empty, and that its class may be replaced by one that adds methods.
The parser is a generator of websockets; between two frames it waits in ``StreamReader.at_eof``. All other
frames, and all that comes while it waits for more of one, are the server's.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from compat.engine.fast.framing import goes_plain

__all__ = ["tell", "unframe"]

TEXT = 0x81
"""The first byte of a text frame that is whole."""
MASKED, LONGEST = 0x80, 125
"""In the second byte: a client's frame has a mask; and its size, if that fits there."""
BEFORE = 6
"""The bytes before the text: those two, and the mask."""


def unframe(protocol: Any) -> None:
    """Take the short text frames of ``protocol`` apart from now on.

    ``protocol``: as ``framing.framing_of`` returns it; with None nothing happens.
    """
    if protocol is None or _is_ours(protocol) or protocol.config.ws_max_size < LONGEST:
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


def _is_ours(protocol: Any) -> bool:
    return hasattr(type(protocol), "compat_base")


_made: dict[type[Any], type[Any] | None] = {}
"""The server's class, and the one that replaces it; None: something is not as expected."""


def _make(cls: type[Any], conn: Any) -> type[Any] | None:
    frames, streams = sys.modules.get("websockets.frames"), sys.modules.get("websockets.streams")
    unmask = getattr(frames, "apply_mask", None)
    between = getattr(getattr(streams, "StreamReader", None), "at_eof", None)
    missing = [name for name in ("current_size", "extensions", "parser", "state") if not hasattr(conn, name)]
    if missing or unmask is None or not inspect.isgeneratorfunction(between):
        return None  # another version of websockets
    members = {
        "__slots__": (),  # the instances keep their layout
        "compat_base": cls,
        "opened": sys.modules["websockets.protocol"].OPEN,
        "between": between.__code__,
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
    if size > BEFORE and _begins_frame(self):
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
