"""The cases of clients that come back."""

from __future__ import annotations

import asyncio
import time

from bench.clients import ResumingClient, connect, connect_many, disconnect, message
from bench.load import Cycles, Meter, Result, asked, settle
from bench.peers import RESUMABLE
from bench.servers import Server

__all__ = ["cut_at_once", "cut_in_turn", "park"]


async def cut_in_turn(server: Server) -> Cycles:
    """Return the load of 20 clients that are cut and come back."""
    clients = await _resuming(server, "/ws/chat/r/", 20)

    async def cut_and_resume(index: int) -> None:
        client = clients[index]
        disconnect([client])
        await client.connect()
        load.lost += client.recovered != "all"

    load = Cycles(cut_and_resume, clients)
    return load


async def cut_at_once(server: Server) -> Result:
    """Cut 10,000 clients at once, send one message, and let all come back, 100 handshakes at a time."""
    clients = await _resuming(server, "/ws/chat/k/", 10_000)
    sender = await connect(server.url("/ws/chat/k/"))
    gate = asyncio.Semaphore(100)

    async def back(client: ResumingClient) -> None:
        async with gate:
            await client.connect()

    meter = Meter(server)
    disconnect(clients)
    sender.send(message(0))
    await asyncio.gather(*(back(client) for client in clients))
    seconds = time.perf_counter() - meter.began
    usage = meter.read()
    await settle(lambda: sum(client.received for client in clients), len(clients))
    lost = sum(client.recovered != "all" or client.received != 1 for client in clients)
    disconnect([sender, *clients])
    return {"seconds": seconds, "us": 1e6 * usage["server_cpu_s"] / len(clients), "lost": lost, **usage}


async def park(server: Server) -> Result:
    """Measure the resident memory from 100 clients that are away to 2,100, 100 of them at a time."""
    parked = 0

    async def park_100() -> None:
        nonlocal parked
        clients = await _resuming(server, "/ws/chat/e/", 100)
        disconnect(clients)
        parked += len(clients)
        while await asked(server, "/ws/parked/") != parked:  # noqa: ASYNC110 - a server has no event
            await asyncio.sleep(0.01)

    await park_100()
    before = server.rss()
    for _ in range(20):
        await park_100()
    return {"kib": (server.rss() - before) / 2000 / 1024, "base_mib": before / 2**20}


async def _resuming(server: Server, path: str, count: int) -> list[ResumingClient]:
    """Return clients that can come back. Raises ValueError for a peer without them."""
    if not server.resumable:
        raise ValueError(f"this case needs clients that come back: name the peer {server.peer + RESUMABLE}")
    clients = await connect_many([server.url(path)] * count)
    return [client for client in clients if isinstance(client, ResumingClient)]
