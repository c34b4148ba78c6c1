"""Make text frames here, once for all clients that get the same text, instead of in the server for each.

A server makes a frame of each message: that is two thirds of the cost of a delivery, without the system call.
The members of a group mostly get equal texts, so a frame is kept for the next clients.

A client that takes compressed frames, as browsers do, gets short texts uncompressed: this is allowed, and
compressing one would cost more than all other steps. The server compresses longer ones.

This relies on uvicorn's ``websockets-sansio``: its ``send()`` waits only for ``writable``, its frames are
those of RFC 6455, unless an extension other than compression (RFC 7692) is in use, and a frame may be written
to ``transport`` whenever the connection's ``state`` is OPEN. Other servers make their frames themselves. It
also relies on the ``send()`` of Starlette's exception handling, which only passes on what a websocket sends.
"""

from __future__ import annotations

import itertools
import struct
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from compat.clock import steady
from compat.engine.connection import Connection
from compat.engine.contracts import MARK, Resumed
from compat.engine.events import Event
from compat.engine.fast import leave_out
from compat.engine.fast.write_batching import MAX_BYTES
from compat.engine.socket import Socket
from compat.types import Message, Send

__all__ = [
    "attach",
    "behind_starlette",
    "frame_of",
    "framed_of",
    "framing_of",
    "goes_plain",
    "is_open",
    "pass_frames",
    "passes_frames",
    "text_alone",
    "text_of",
    "write_frames",
    "write_made",
    "write_now",
]

SERVER = "uvicorn.protocols.websockets.websockets_sansio_impl"
SENDER = "wrap_app_handling_exceptions.<locals>.wrapped_app.<locals>.sender"
NEEDED = "conn disconnected handshake_complete queue request response transport writable".split()
"""The attributes of the server's protocol."""

MOST_AT_ONCE = 16
"""How many frames are written for one client before other clients have their turn."""
MOST_FRAMES, MOST_BYTES = 256, 4096
"""How many frames are kept, and the size of the longest one; none that begins with ``MARK`` is kept, because
clients that may come back read it in another way than others.
"""

UNCOUNTED_BYTES = 1024
"""The size up to which a frame for a client that may come back is kept without being counted at once."""
MOST_PLAIN = 1024
"""The number of characters up to which a text is not compressed, as in Node's ws."""

_frames: dict[str, bytes] = {}
_HEADERS = {126: 4, 127: 10}
"""The bytes before the text, by the frame's second byte; 2 for others."""
_open: Any = None
"""``websockets.protocol.OPEN``; False if no frames can be made here, None if that is not known yet."""
_compressing: frozenset[type] = frozenset()
"""The extension that compresses, once ``_open`` is known."""


def attach(socket: Socket) -> None:
    """Make the text frames of ``socket`` from now on, if its server's frames can be made here.

    If its client may come back, they are made for ``Resumed.link``.
    """
    send = behind_starlette(socket.raw_send)
    protocol = framing_of(send)
    if protocol is not None:
        socket.send_by(send)
        socket.frame_by(protocol)
    elif isinstance(owner := getattr(send, "__self__", None), Resumed):
        socket.resume_by(owner)


def behind_starlette(send: Any) -> Any:
    """Return the ``send`` inside that of Starlette's exception handling, and any other ``send`` as it is."""
    while getattr(send, "__qualname__", "") == SENDER and send.__module__ == "starlette._exception_handler":
        send = send.__closure__[send.__code__.co_freevars.index("send")].cell_contents
    return send


def framing_of(send: Send) -> Any:
    """Return the server's protocol behind ``send`` if its text frames can be made here, else None."""
    server = sys.modules.get(SERVER)
    protocol: Any = getattr(send, "__self__", None)
    cls = type(protocol)
    cls = getattr(cls, "compat_base", cls)  # as ``unframing`` has replaced it
    if server is None or cls is not server.WebSocketsSansIOProtocol or protocol.conn.debug:
        return None
    global _open, _compressing
    if _open is None:
        missing = [name for name in NEEDED if not hasattr(protocol, name)]
        if missing:
            leave_out("framing", f"uvicorn's protocol has no {', '.join(missing)}")
        _open = False if missing else sys.modules["websockets.protocol"].OPEN
        deflate = sys.modules.get("websockets.extensions.permessage_deflate")
        _compressing = frozenset(() if deflate is None else (deflate.PerMessageDeflate,))
    return protocol if _open else None


def passes_frames(connection: Connection) -> bool:
    """Return True if finished frames may go to the client without the consumer (``pass_frames``)."""
    watched = connection.timing or connection.tracing
    if connection.socket.framed is None or connection.handlers is None or watched:
        return False
    return hasattr(connection.consumer, "_compat_sends_on")


def pass_frames(consumer: Any, events: Collection[Event]) -> int:
    """Write the finished frames at the front that have not expired, in one piece, and return their number.

    Returns 0 if the consumer's handler would not send them unchanged.
    """
    socket: Socket = consumer._compat_socket
    if socket.closed or consumer.base_send is not consumer._compat_own_send or not is_open(socket.framed):
        return 0
    if getattr(consumer.websocket_send, "__func__", None) is not consumer._compat_sends_on:
        return 0
    now = steady()
    in_time = itertools.takewhile(lambda event: event[0] > now, events)
    messages: Iterable[Message] = (message for _, message, _ in in_time)
    is_finished = getattr(consumer, "_compat_is_finished", None)  # without it, all messages of that type are
    if is_finished is not None:
        messages = itertools.takewhile(is_finished, messages)
    return write_frames(socket.framed, messages)


def write_frames(protocol: Any, messages: Iterable[Message]) -> int:
    """Write the text frames at the front, in one piece of about 64 KiB, and return their number.

    Returns 0 if the transport raises: the caller then sends the first one as usual, and gets the error.
    """
    frames: list[bytes] = []
    size = 0
    for message in messages:
        text = text_alone(message)
        if text is None or not goes_plain(protocol, len(text)):
            break
        if size >= MAX_BYTES or len(frames) == MOST_AT_ONCE:
            break
        try:
            frame = frame_of(text)
        except UnicodeEncodeError:  # the caller sends it in the usual way, and gets the error
            break
        frames.append(frame)
        size += len(frame)
    if frames:
        try:
            protocol.transport.write(b"".join(frames))
        except Exception:  # noqa: BLE001 - any transport
            return 0
    return len(frames)


def write_made(socket: Socket, frames: Sequence[bytes], most: int) -> int:
    """Write finished frames, in pieces of up to ``most`` bytes or one frame, and return their number.

    The first frame that is not written has to be sent by the server, which may raise.
    """
    count = len(frames)
    if count == 1:
        data = frames[0]
        size = longest = len(data)
    else:
        size, longest = sum(map(len, frames)), max(map(len, frames))
        if size > most:
            half = count // 2
            written = write_made(socket, frames[:half], most)
            return written if written < half else half + write_made(socket, frames[half:], most)
        data = b"".join(frames)
    protocol, kept = socket.framed, socket.kept
    if protocol is None:
        return 0
    conn = protocol.conn  # as in ``is_open``, without a call
    if conn.state is not _open or protocol.disconnected or not protocol.writable.is_set():
        return 0
    if conn.extensions and not goes_plain(protocol, longest - _HEADERS[126]):
        return 0
    if kept is not None:
        if len(kept) + count <= socket.most and size <= count * UNCOUNTED_BYTES:  # as in ``write_now``
            kept.extend(frames)
        else:
            journal = socket.resumed.journal
            if not journal.extend(frames, size):
                return 0
            socket.frame_by(protocol, kept, journal.free)
    try:
        protocol.transport.write(data)
    except Exception as error:  # noqa: BLE001 - any transport
        if kept is None:
            return 0
        socket.unwritten(error)
    return count


def text_alone(message: Message) -> str | None:
    """Return the text of ``message`` if it is a text frame and nothing else, else None."""
    text = message.get("text")
    plain = type(text) is str and message.get("type") == "websocket.send" and message.get("bytes") is None
    return text if plain else None


def is_open(protocol: Any) -> bool:
    """Return True if a frame may be written now, without waiting."""
    conn = protocol.conn
    return conn.state is _open and not protocol.disconnected and protocol.writable.is_set()


def goes_plain(protocol: Any, size: int) -> bool:
    """Return True if a text of ``size`` characters goes to the client as it is, and not compressed
    (RFC 7692, 6).
    """
    extensions = protocol.conn.extensions
    return not extensions or (size <= MOST_PLAIN and _compressing.issuperset(map(type, extensions)))


def framed_of(socket: Socket) -> Any:
    """Return the protocol to which ``socket`` may write frames by itself now, or None."""
    if socket.framed is None and socket.resumed is not None and socket.resumed.link is not None:
        socket.resumed.link.let_write()
    return socket.framed


def write_now(socket: Socket, text: Any) -> bool:
    """Write ``text`` as a frame; return False if the server has to send it, or to raise an error."""
    protocol = socket.framed
    if protocol is None:
        link = None if socket.resumed is None else socket.resumed.link
        return link is not None and bool(link.writes(text))
    conn = protocol.conn  # as in ``is_open``, without a call
    if type(text) is not str or conn.state is not _open or protocol.disconnected:
        return False
    if not protocol.writable.is_set() or (conn.extensions and not goes_plain(protocol, len(text))):
        return False
    frame, kept = _frames.get(text), socket.kept
    if kept is None:
        protocol.transport.write(frame or frame_of(text))
        return True
    if frame is None:
        frame_of(text)
        frame = _frames.get(text)  # None for a long one, or one with ``MARK``: the link sends it
    if frame is None or len(kept) >= socket.most or len(frame) > UNCOUNTED_BYTES:
        return bool(socket.resumed.link.writes(text))
    kept.append(frame)
    try:
        protocol.transport.write(frame)
    except Exception as error:  # noqa: BLE001 - any transport
        socket.unwritten(error)
    return True


def text_of(frame: bytes) -> str:
    """Return the text of a frame that was made by ``frame_of``."""
    return frame[_HEADERS.get(frame[1], 2) :].decode()


def frame_of(text: str) -> bytes:
    """Return the frame of ``text``, in one piece and without a mask.

    Raises UnicodeEncodeError for half a surrogate pair, as ``str.encode`` does.
    """
    frame = _frames.get(text)
    if frame is not None:
        return frame
    payload = text.encode()
    size = len(payload)
    if size < 126:
        frame = bytes((0x81, size)) + payload
    elif size < 65536:
        frame = struct.pack("!BBH", 0x81, 126, size) + payload
    else:
        frame = struct.pack("!BBQ", 0x81, 127, size) + payload
    if len(frame) <= MOST_BYTES and text[:1] != MARK:
        if len(_frames) >= MOST_FRAMES:
            _frames.clear()
        _frames[text] = frame
    return frame
