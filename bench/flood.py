"""Cases N: 50 clients that echo at an even rate, beside one that floods, or one whose handlers are slow."""

from __future__ import annotations

import asyncio
import contextlib
import time
from array import array
from collections.abc import Iterator

from bench.clients import Client, connect, connect_many, disconnect, message, raw_socket
from bench.load import Meter, Result, percentiles
from bench.servers import Server

__all__ = ["beside_a_flood", "beside_slow_handlers"]

CLIENTS, EVERY_S = 50, 0.02
SECONDS, WARM_S = 4.0, 0.5
AT_ONCE = 600
"""Frames of the flood in one write; it writes again whenever the socket has room."""
NUDGE_S = 0.001
"""How often the client with slow handlers sends: more than ten times as often as they are done."""


class Echoes:
    """Clients that each send every 20 ms, but not before the last answer has come."""

    def __init__(self, clients: list[Client]) -> None:
        self.latency = array("d")
        self._began = dict.fromkeys(clients, 0.0)
        self._loop = asyncio.get_running_loop()
        self._going = True
        for index, client in enumerate(clients):
            client.on_seq = self._answered
            self._loop.call_later(EVERY_S * index / len(clients), self._send, client)

    def stop(self) -> None:
        """Send no more."""
        self._going = False

    def _send(self, client: Client) -> None:
        if self._going:
            self._began[client] = time.perf_counter()
            client.send(message(0))

    def _answered(self, client: Client, seq: int) -> None:
        took = time.perf_counter() - self._began[client]
        self.latency.append(took)
        self._loop.call_later(max(0.0, EVERY_S - took), self._send, client)


async def beside_a_flood(server: Server) -> Result:
    """One client sends as fast as its socket takes it, and reads all answers."""
    clients = await connect_many([server.url("/ws/echo/")] * CLIENTS)
    with _flood(server.plain_url("/ws/echo/")) as answered:
        result = await _echo(server, clients)
    disconnect(clients)
    return result | {"flood_bytes": answered[0]}


async def beside_slow_handlers(server: Server) -> Result:
    """One client's handler waits 10 ms; messages for it come every millisecond."""
    clients = await connect_many([server.url("/ws/echo/")] * CLIENTS)
    slow = await connect(server.url("/ws/slow/"))

    async def nudge() -> None:
        while True:
            slow.send(message(0))
            await asyncio.sleep(NUDGE_S)

    nudging = asyncio.ensure_future(nudge())
    result = await _echo(server, clients)
    nudging.cancel()
    disconnect([*clients, slow])
    return result


async def _echo(server: Server, clients: list[Client]) -> Result:
    warm = Echoes(clients)
    await asyncio.sleep(WARM_S)
    warm.stop()
    await asyncio.sleep(WARM_S)
    echoes = Echoes(clients)
    meter = Meter(server)
    await asyncio.sleep(SECONDS)
    usage = meter.read()
    echoes.stop()
    return {"rate": len(echoes.latency) / usage["wall_s"], **percentiles(echoes.latency), **usage}


@contextlib.contextmanager
def _flood(url: str) -> Iterator[list[int]]:
    """Flood ``url`` in the block; the list has the number of bytes that have come back."""
    text = message(0)
    frames = AT_ONCE * (bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text)  # the mask may be zero
    sock = raw_socket(url)
    sock.setblocking(False)
    answered, left = [0], memoryview(frames)
    loop = asyncio.get_running_loop()

    def write() -> None:
        nonlocal left
        left = left[sock.send(left) :] or memoryview(frames)

    def read() -> None:
        answered[0] += len(sock.recv(1 << 18))

    loop.add_writer(sock, write)
    loop.add_reader(sock, read)
    try:
        yield answered
    finally:
        loop.remove_writer(sock)
        loop.remove_reader(sock)
        sock.close()
