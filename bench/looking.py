"""Case S-live: the live page of 10,000 sockets in 50,000 groups, and what others wait for it."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from bench.clients import Client, connect, connect_many, disconnect, message
from bench.servers import Server

__all__ = ["LOOKED_AT", "look"]

LOOKED_AT = ("stall_ms", "stall_alone_ms", "stall_first_ms", "echo_max_ms", "echo_alone_ms")
"""The figures of what others wait for it."""

SOCKETS = 10_000
LOOKS, EVERY_S = 12, 1.05
ECHO_S = 0.002
"""How soon after an answer the echo is asked again."""
HEAD = "GET /{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Basic YmVuY2g6YmVuY2g=\r\n\r\n"


class Echo:
    """A client that asks for an echo all the time; ``waited_ms`` has what each took."""

    def __init__(self, client: Client) -> None:
        self.waited_ms: list[float] = []
        self._client = client
        self._began = 0.0
        client.on_seq = self._came

    def ask(self) -> None:
        self._began = time.perf_counter()
        self._client.send(message(0))

    def _came(self, client: Client, seq: int) -> None:
        self.waited_ms.append(1e3 * (time.perf_counter() - self._began))
        asyncio.get_running_loop().call_later(ECHO_S, self.ask)


class Pages:
    """Asks for pages over one connection."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._port, self._reader, self._writer = port, reader, writer

    async def get(self, path: str) -> tuple[float, bytes]:
        """Return how many ms an answer took, and the answer."""
        began = time.perf_counter()
        self._writer.write(HEAD.format(path, self._port).encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200 "):
            raise RuntimeError(head.decode(errors="replace"))
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await self._reader.readexactly(length)
        return 1e3 * (time.perf_counter() - began), body

    async def stall_ms(self) -> float:
        """Return for how long the server's loop was held up at most since this was asked last."""
        return float((await self.get("stall"))[1])

    async def every_second(self, path: str) -> list[float]:
        """Ask so many times, and return what each took in ms."""
        times = []
        for _ in range(LOOKS):
            times.append((await self.get(path))[0])
            await asyncio.sleep(EVERY_S)
        return times


async def look(server: Server) -> dict[str, Any]:
    """Connect, ask for the page once a second, then look for a user; an echo goes on beside it."""
    pages = Pages(server.port, *await asyncio.open_connection("127.0.0.1", server.port))
    await pages.stall_ms()
    connected = asyncio.ensure_future(
        connect_many([server.url(f"/ws/member/{number}/") for number in range(SOCKETS)])
    )
    while not connected.done():  # the server closes a connection over which nothing is asked
        await pages.stall_ms()
        await asyncio.wait((connected,), timeout=EVERY_S)
    echo = Echo(await connect(server.url("/ws/echo/")))
    echo.ask()
    await pages.get("now")  # whatever comes next brings the collection that so many connections have left due
    await asyncio.sleep(EVERY_S)
    collected = await pages.stall_ms()
    echo.waited_ms.clear()
    alone_ms = 0.0
    for _ in range(LOOKS):
        await asyncio.sleep(EVERY_S)
        alone_ms = max(alone_ms, await pages.stall_ms())
    alone, echo.waited_ms = echo.waited_ms, []
    now, found = await pages.every_second("now"), await pages.every_second("find?user=7")
    beside_ms = await pages.stall_ms()
    disconnect(await connected)
    return {
        "now_ms": statistics.median(now),
        "now_max_ms": max(now),
        "find_ms": statistics.median(found),
        "stall_ms": beside_ms,
        "stall_alone_ms": alone_ms,
        "stall_first_ms": collected,
        "echo_max_ms": max(echo.waited_ms),
        "echo_alone_ms": max(alone),
    }
