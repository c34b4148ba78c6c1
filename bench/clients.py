"""The load: websocket clients that read sequence numbers from messages."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.peers import RESUMES

__all__ = [
    "Client",
    "ResumingClient",
    "connect",
    "connect_many",
    "disconnect",
    "message",
    "raw_socket",
    "read_all",
    "stuck_socket",
]

AT_ONCE = 20
"""The number of concurrent handshakes."""

PROTOCOL = "channels.resume.v1"
CONTROL = b"\x10"
ACK_FRAMES, ACK_BYTES = 128, 64 * 1024


def message(seq: int, size: int = 64) -> bytes:
    """Return a client's message: ``seq`` in the first nine of ``size`` characters."""
    return b'{"action": "chat", "message": "#%08d%s"}' % (seq, b"x" * max(0, size - 9))


def _read_seq(payload: bytes) -> int:
    at = payload.find(b"#")
    return int(payload[at + 1 : at + 9]) if at >= 0 else -1


OnSeq = Callable[["Client", int], None]


class Client(WSListener):  # type: ignore[misc]
    """A connection that passes the sequence number of each delivery to ``on_seq``."""

    def __init__(self, *, engine_io: bool = False) -> None:
        self.on_seq: OnSeq | None = None
        self.engine_io = engine_io
        self.transport: WSTransport | None = None
        self.received = 0
        self.last = -1
        self.closed = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """See picows."""
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See picows."""
        if frame.msg_type is not WSMsgType.TEXT:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            return
        payload = frame.get_payload_as_bytes()
        if self.engine_io and not payload.startswith(b"42"):
            reply = {b"0": b"40", b"2": b"3"}.get(payload[:1])  # open: connect; ping: pong
            if reply:
                transport.send(WSMsgType.TEXT, reply)
            return
        seq = _read_seq(payload)
        if seq >= 0:
            self.received += 1
            self.last = seq
            if self.on_seq is not None:
                self.on_seq(self, seq)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """See picows."""
        self.closed = True

    def send(self, payload: bytes) -> None:
        """Send one text frame."""
        assert self.transport is not None
        if self.engine_io:
            payload = b'42["chat",' + payload + b"]"
        self.transport.send(WSMsgType.TEXT, payload)

    async def close(self) -> None:
        """Close as a client does, and wait for the end."""
        assert self.transport is not None
        if not self.closed:
            self.transport.send_close(WSCloseCode.OK)
            await self.transport.wait_disconnected()


class ResumingClient(Client):
    """A connection that is acknowledged, and can be cut and come back."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.recovered = ""
        """What the last hello has said."""
        self._ticket = ""
        self._hello: asyncio.Future[None]
        self._frames = self._new_bytes = 0
        self._acknowledge_at = ACK_FRAMES

    async def connect(self) -> None:
        """Connect, or come back; return when the server has said hello."""
        offered = PROTOCOL
        if self._ticket:
            offered += f", channels.ticket.{self._ticket}.{self._frames}"
        self.closed, self.transport = False, None
        self._hello = asyncio.get_running_loop().create_future()
        headers = {"Sec-WebSocket-Protocol": offered}
        await ws_connect(lambda: self, self.url, websocket_handshake_timeout=60, extra_headers=headers)
        await self._hello

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See picows. In one piece: what this costs more than a plain client slows the load down."""
        if frame.msg_type is not WSMsgType.TEXT:
            super().on_ws_frame(transport, frame)
            return
        payload = frame.get_payload_as_bytes()
        at = payload.find(b"#")
        if at < 0 and payload.startswith(CONTROL):
            self._obey(json.loads(payload[1:]))
            return
        self._frames += 1
        self._new_bytes += len(payload)
        if self._frames >= self._acknowledge_at or self._new_bytes >= ACK_BYTES:
            self._acknowledge()
        if at >= 0:
            self.received += 1
            self.last = seq = int(payload[at + 1 : at + 9])
            if self.on_seq is not None:
                self.on_seq(self, seq)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """See picows."""
        if transport is self.transport:
            super().on_ws_disconnected(transport)
            if not self._hello.done():
                self._hello.set_exception(ConnectionError("closed before the hello"))

    def _obey(self, control: dict[str, Any]) -> None:
        self._ticket = control.get("ticket", self._ticket)
        if control["type"] == "hello":
            self.recovered = control.get("recovered", "")
            if self.recovered != "all":
                self._frames = 0
            self._hello.set_result(None)
        if control["type"] == "hello" or "ticket" in control or control.get("ask"):
            self._acknowledge()

    def _acknowledge(self) -> None:
        self._acknowledge_at, self._new_bytes = self._frames + ACK_FRAMES, 0
        self.send(CONTROL + b'{"type": "ack", "n": %d}' % self._frames)


async def connect(url: str) -> Client:
    """Return a client after its handshake."""
    if url.endswith(RESUMES):
        resuming = ResumingClient(url.removesuffix(RESUMES))
        await resuming.connect()
        return resuming
    client = Client(engine_io="EIO=4" in url)
    await ws_connect(lambda: client, url, websocket_handshake_timeout=60)
    return client


async def connect_many(urls: list[str]) -> list[Client]:
    """Return a client for each of ``urls``; connect the first alone, because a peer may have a race at a
    room's first join.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(url: str) -> Client:
        async with gate:
            return await connect(url)

    clients = [await one(urls[0])]
    clients += await asyncio.gather(*(one(url) for url in urls[1:]))
    await asyncio.sleep(0.3)  # peers that join after the accept
    return clients


def disconnect(clients: Iterable[Client]) -> None:
    """Close the connections without a closing handshake."""
    for client in clients:
        if client.transport is not None:
            client.transport.disconnect(graceful=False)


def stuck_socket(url: str) -> socket.socket:
    """Return a connection that has joined and never reads, with a small kernel buffer."""
    return raw_socket(url, buffer=4096)


def raw_socket(url: str, *, buffer: int = 0) -> socket.socket:
    """Return a blocking socket after its handshake; ``buffer`` is the size of the kernel's, in bytes."""
    parts = urlsplit(url)
    sock = socket.socket()
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.connect((parts.hostname, parts.port))
    lines = [
        f"GET {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
    ]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "", ""]
    sock.sendall("\r\n".join(lines).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(1)
    if b" 101 " not in head:
        raise RuntimeError(head.decode(errors="replace"))
    return sock


def read_all(sock: socket.socket, idle_s: float = 1.5, limit_s: float = 12.0) -> int:
    """Read the messages that the server still holds for a stuck client; return their number."""
    sock.settimeout(idle_s)
    count, deadline = 0, time.monotonic() + limit_s
    try:
        while time.monotonic() < deadline and (data := sock.recv(1 << 16)):
            count += data.count(b"#")
    except OSError:  # a timeout: nothing more comes
        pass
    return count
