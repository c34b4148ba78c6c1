"""The load of many sockets: raw websocket clients of one process, which share an epoll.

A client costs a fifth of one of ``bench.clients``, so that the load is not what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import select
import socket
import struct
import time
from array import array
from collections import deque
from collections.abc import Iterable

from bench.load import settle

__all__ = ["RawClients", "Target", "scaled"]

Target = tuple[int, str]
"""The port of 127.0.0.1 and the path that a client connects to."""

SYN_TIMEOUT_S = 0.25
"""The time after which a client gives up a SYN without an answer, and sends another.

The kernel drops a SYN while the backlog of the server is full, and repeats it after a second. Without this
limit, the case would measure that second.
"""
BACKOFF_S, LONGEST_BACKOFF_S = 0.1, 1.0
SWEEP_S = 0.02
IDLE_LIMIT_S = 30.0
"""Without a new connection for this time, those that are missing count as lost."""
BATCH, READ_BYTES = 256, 4096
NEVER = float("inf")

HEAD = (
    "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CLOSE, PING = 0x88, 0x89
CLOSE_REPLY = b"\x88\x82" + bytes(4) + struct.pack("!H", 1012)
IP_BIND_ADDRESS_NO_PORT = 24
"""Of linux/in.h; the socket module has it since Python 3.12. The port is chosen when the client connects, so
that clients of different servers may share one."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close() sends a reset, and leaves no TIME_WAIT."""


def scaled(count: int) -> int:
    """Return ``count`` times the environment variable BENCH_SCALE, which is 1 by default."""
    return max(1, round(count * float(os.environ.get("BENCH_SCALE", "1"))))


class RawClient:
    """A client of ``RawClients``, which writes its attributes."""

    __slots__ = ("backoff_s", "head", "open", "port", "request", "since", "sock", "source", "syn_sent")

    def __init__(self, target: Target, source: str) -> None:
        self.port, path = target
        self.source = source
        self.request = HEAD.format(path, self.port).encode()
        self.sock: socket.socket | None = None
        self.since = 0.0
        """When it was started, or cut."""
        self.backoff_s = BACKOFF_S
        self.syn_sent = self.open = False
        self.head = b""


class RawClients:
    """Clients that connect from ``sources`` (addresses of the loopback interface) and count messages.

    With ``returning`` set, a client that is cut connects again at once. If that fails, it tries again after
    0.1 s, doubled up to 1 s, with jitter. A client is away from the start, or from a cut, until it is open.
    Times are of ``time.monotonic``, which all processes share.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self.returning = False
        self.open = self.cuts = self.received = 0
        self.received_at = 0.0
        """When the last message came."""
        self.opened_at = 0.0
        """When the last client was open."""
        self.waited = array("d")
        """The seconds that each client was away until it was open."""
        self.away_s = 0.0
        """The seconds in which at least one client was away, up to the last that is back."""
        self.refusal = ""
        """The status line of the last response that refused a websocket."""
        self._sources = itertools.cycle(sources)
        self._clients: dict[int, RawClient] = {}
        """The clients with a socket, by its descriptor."""
        self._due: dict[RawClient, float] = {}
        """The clients that are away, and when the next attempt of each begins."""
        self._queue: deque[RawClient] = deque()
        """New clients that wait for one of the ``at_once``."""
        self._away_since = 0.0
        self._epoll = select.epoll()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._step)
        self._timer = self._loop.call_later(SWEEP_S, self._sweep)

    async def connect(self, targets: Iterable[Target], at_once: int | None = None) -> int:
        """Connect a client to each of ``targets``, at most ``at_once`` at a time (None: all of them).

        Return the number of those that are not open when none has been opened for 30 s.
        """
        self._queue.extend(RawClient(target, next(self._sources)) for target in targets)
        wanted = self.open + len(self._queue)
        for _ in range(min(at_once or wanted, len(self._queue))):
            self._begin(self._queue.popleft())
        await self.settle(wanted)
        return wanted - self.open

    async def settle(self, wanted: int) -> None:
        """Wait until ``wanted`` clients are open, or none has been opened for 30 s."""
        await settle(lambda: self.open, wanted, idle_s=IDLE_LIMIT_S, limit_s=NEVER)

    def forget(self) -> None:
        """Forget what was counted and measured."""
        self.cuts = self.received = 0
        self.away_s, self.waited = 0.0, array("d")

    def longest_wait_s(self) -> float:
        """Return the longest time that a client was away, those included that still are."""
        now = time.monotonic()
        return max((now - client.since for client in self._due), default=max(self.waited, default=0.0))

    def close(self) -> None:
        """End all connections with a reset."""
        self._timer.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        for client in self._clients.values():
            if client.sock is not None:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.sock.close()
        self._clients.clear()

    def _begin(self, client: RawClient) -> None:
        client.since = time.monotonic()
        if not self._due:
            self._away_since = client.since
        self._attempt(client)

    def _attempt(self, client: RawClient) -> None:
        sock = client.sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((client.source, 0))
        client.head, client.syn_sent = b"", True
        self._clients[sock.fileno()] = client
        self._due[client] = time.monotonic() + SYN_TIMEOUT_S * random.uniform(0.5, 1.5)
        sock.connect_ex(("127.0.0.1", client.port))
        # The loopback interface has answered by now, unless the backlog is full.
        self._ask(client)
        self._epoll.register(sock.fileno(), select.EPOLLOUT if client.syn_sent else select.EPOLLIN)

    def _ask(self, client: RawClient) -> None:
        assert client.sock is not None
        try:
            client.sock.send(client.request)
        except BlockingIOError:
            return
        except OSError:  # the next read finds the same
            pass
        client.syn_sent = False
        self._due[client] = NEVER

    def _step(self) -> None:
        events = self._epoll.poll(0, BATCH)
        received = self.received
        for descriptor, _ in events:
            client = self._clients[descriptor]
            if client.syn_sent:
                self._ask(client)
                if not client.syn_sent:
                    self._epoll.modify(descriptor, select.EPOLLIN)
            else:
                self._read(client)
        if self.received != received:
            self.received_at = time.monotonic()

    def _read(self, client: RawClient) -> None:
        assert client.sock is not None
        try:
            data = client.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if client.open:
            self._read_frames(client, data)
        else:
            self._read_head(client, data)

    def _read_frames(self, client: RawClient, data: bytes) -> None:
        # A close or a ping comes alone, as no case sends messages at that time.
        assert client.sock is not None
        if not data or data[0] == CLOSE:
            self._cut(client, CLOSE_REPLY if data else b"")
        elif data[0] == PING:
            with contextlib.suppress(OSError):  # the server may be gone
                client.sock.send(b"\x8a" + bytes((0x80 | data[1],)) + bytes(4) + data[2 : 2 + data[1]])
        else:
            self.received += data.count(b"#")

    def _read_head(self, client: RawClient, data: bytes) -> None:
        client.head += data
        if data and b"\r\n\r\n" not in client.head:
            return
        if not client.head.startswith(b"HTTP/1.1 101 "):
            self.refusal = client.head.split(b"\r\n", 1)[0].decode(errors="replace")
            self._drop(client)
            self._due[client] = time.monotonic() + client.backoff_s * random.uniform(0.5, 1.5)
            client.backoff_s = min(2 * client.backoff_s, LONGEST_BACKOFF_S)
            return
        rest = client.head.partition(b"\r\n\r\n")[2]
        client.open, client.head, client.backoff_s = True, b"", BACKOFF_S
        self.open += 1
        self.opened_at = time.monotonic()
        self.waited.append(self.opened_at - client.since)
        del self._due[client]
        self.away_s += self.opened_at - self._away_since
        self._away_since = self.opened_at
        if self._queue:
            self._begin(self._queue.popleft())
        if rest:
            self._read_frames(client, rest)

    def _cut(self, client: RawClient, reply: bytes) -> None:
        assert client.sock is not None
        if reply:
            with contextlib.suppress(OSError):  # the server may be gone
                client.sock.send(reply)
        self._drop(client)
        client.open = False
        self.open -= 1
        self.cuts += 1
        if self.returning:
            self._begin(client)

    def _drop(self, client: RawClient) -> None:
        if client.sock is not None:
            del self._clients[client.sock.fileno()]
            client.sock.close()  # this ends its place in the epoll, too
            client.sock = None

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(SWEEP_S, self._sweep)
        now = time.monotonic()
        for client in [client for client, due in self._due.items() if due <= now]:
            self._drop(client)
            self._attempt(client)
