"""One TCP connection, byte by byte: what a client of good manners would not let through."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from tests.hostile.corpus import handshake
from tests.support.servers import Address

__all__ = ["DEADLINE_S", "abandoned", "answered", "conversed", "frame", "frames_of", "poked"]

DEADLINE_S = 15.0
CLOSE_AND_TEXT = (1, 8)


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    mask: bytes | None = b"\x00\x00\x00\x00",
    length: int | None = None,
) -> bytes:
    """A websocket frame of a client; `length` lies about the payload, a mask of None leaves it away.

    The mask of zeros, which the protocol allows, leaves payloads readable in the corpus.
    """
    size = len(payload) if length is None else length
    head = bytes([(0x80 if final else 0) | reserved << 4 | opcode])
    masked = 0x80 if mask is not None else 0
    if size < 126:
        head += bytes([masked | size])
    elif size < 1 << 16:
        head += bytes([masked | 126]) + struct.pack("!H", size)
    else:
        head += bytes([masked | 127]) + struct.pack("!Q", size)
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def frames_of(data: bytes) -> list[tuple[int, bytes]]:
    """(opcode, payload) of each whole frame of a server."""
    found, at = [], 0
    while len(data) >= at + 2:
        size, start = data[at + 1] & 0x7F, at + 2
        if size == 126:
            size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        elif size == 127:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        if len(data) < start + size:
            break
        found.append((data[at] & 0x0F, data[start : start + size]))
        at = start + size
    return found


def answered(server: Address, data: bytes, deadline_s: float = DEADLINE_S) -> tuple[int, bytes]:
    """The status of the first answer, 0 where there was none, and all that came until the server closed.

    TimeoutError where neither an answer nor the end comes in time. Bytes that the server did not want to read
    are not an error: it may answer and close early.
    """
    with socket.create_connection((server.host, server.port), timeout=deadline_s) as connection:
        came = _exchange(connection, data, deadline_s, _is_answer)
    return (int(came.split(b" ", 2)[1]) if came.startswith(b"HTTP/1.") else 0), came


def abandoned(server: Address, data: bytes) -> None:
    """Send, and leave without a word."""
    with socket.create_connection((server.host, server.port), timeout=DEADLINE_S) as connection:
        connection.sendall(data)


def poked(server: Address, data: bytes, silence_s: float) -> bytes:
    """Send, and what comes until the server closes or is silent for a while; then leave without a word."""
    try:
        with socket.create_connection((server.host, server.port), timeout=DEADLINE_S) as connection:
            return _exchange(connection, data, DEADLINE_S, lambda came: True, silence_s)
    except (ConnectionResetError, BrokenPipeError):
        return b""


def conversed(server: Address, path: str, data: bytes, deadline_s: float = DEADLINE_S) -> bytes:
    """All that the server sends after its handshake until it closes; `data`, and a close frame, are sent."""
    with socket.create_connection((server.host, server.port), timeout=deadline_s) as connection:
        connection.sendall(handshake(path))
        came = b""
        while b"\r\n\r\n" not in came:
            piece = connection.recv(1 << 16)
            assert piece, f"the handshake for {path} was cut off: {came!r}"
            came += piece
        head, _, rest = came.partition(b"\r\n\r\n")
        assert b" 101 " in head.split(b"\r\n")[0], f"the handshake for {path} was refused: {head!r}"
        end = frame(8, struct.pack("!H", 1000))
        return rest + _exchange(connection, data + end, deadline_s, lambda came: False)


def _exchange(
    connection: socket.socket,
    data: bytes,
    deadline_s: float,
    enough: Callable[[bytes], bool],
    silence_s: float = 0.25,
) -> bytes:
    """Send and read at once, until the other side closes, or `enough()` has come and it is silent."""
    end = time.monotonic() + deadline_s
    connection.setblocking(False)
    rest, came = memoryview(data), bytearray()
    poller = _Poller(connection)
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no end within {deadline_s} s; {len(came)} bytes came: {bytes(came[:200])!r}")
        readable, writable = poller.poll(min(left, silence_s), bool(rest))
        try:
            if writable:
                rest = rest[connection.send(rest[: 1 << 18]) :]
        except OSError:
            rest = memoryview(b"")
        if readable:
            try:
                piece = connection.recv(1 << 18)
            except OSError:
                return bytes(came)
            if not piece:
                return bytes(came)
            came += piece
            if enough is _is_answer and came.startswith(b"HTTP/1.1 101 ") and enough(bytes(came)):
                return bytes(came)
        elif not rest and not writable and enough(bytes(came)):
            return bytes(came)


def _is_answer(came: bytes) -> bool:
    """Whether a whole head has come: a server that waits for more of a request keeps the connection."""
    return b"\r\n\r\n" in came


class _Poller:
    def __init__(self, connection: socket.socket) -> None:
        import select

        self._poll, self._number, self._select = select.poll(), connection.fileno(), select

    def poll(self, timeout_s: float, write: bool) -> tuple[bool, bool]:
        wanted = self._select.POLLIN | (self._select.POLLOUT if write else 0)
        self._poll.register(self._number, wanted)
        found = dict(self._poll.poll(timeout_s * 1000)).get(self._number, 0)
        failed = found & (self._select.POLLERR | self._select.POLLHUP)
        return bool(found & self._select.POLLIN or failed), bool(found & self._select.POLLOUT)
