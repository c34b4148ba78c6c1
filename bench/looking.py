"""Case S-live: the live page of 10,000 sockets in 50,000 groups, and what others wait for it."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from bench.clients import Client, connect, connect_many, disconnect, message
from bench.servers import Server

__all__ = ["look"]

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


async def look(server: Server) -> dict[str, Any]:
    """Connect, ask for the page once a second, then look for a user; an echo goes on beside it."""
    clients = await connect_many([server.url(f"/ws/member/{number}/") for number in range(SOCKETS)])
    echo = Echo(await connect(server.url("/ws/echo/")))
    echo.ask()
    await asyncio.sleep(LOOKS * EVERY_S)
    alone, echo.waited_ms = echo.waited_ms, []
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

    async def asked(path: str) -> float:
        began = time.perf_counter()
        writer.write(HEAD.format(path, server.port).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200 "):
            raise RuntimeError(head.decode(errors="replace"))
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
        return 1e3 * (time.perf_counter() - began)

    await asked(
        "now"
    )  # whatever comes next brings the garbage collection that so many connects have left due
    await asyncio.sleep(EVERY_S)
    collected, echo.waited_ms = max(echo.waited_ms), []
    took: dict[str, list[float]] = {"now": [], "find?user=7": []}
    for path, times in took.items():
        for _ in range(LOOKS):
            times.append(await asked(path))
            await asyncio.sleep(EVERY_S)
    waited = echo.waited_ms
    writer.close()
    disconnect(clients)
    return {
        "now_ms": statistics.median(took["now"]),
        "now_max_ms": max(took["now"]),
        "find_ms": statistics.median(took["find?user=7"]),
        "stall_ms": max(waited),
        "stall_alone_ms": max(alone),
        "stall_first_ms": collected,
    }
