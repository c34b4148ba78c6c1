"""Case I1: 100,000 idle sockets on seven servers, all in one group, and one broadcast to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from bench.clients import Client, connect, disconnect, message
from bench.idle_load import PATH, State
from bench.load import Meter, Result
from bench.raw_clients import scaled
from bench.servers import HERE, LOAD_CORE, Server

__all__ = ["hold_idle"]

SOCKETS = scaled(100_000)
SERVERS, LOADS = 7, 6
"""A process may have 20,000 descriptors."""
FIRST = min(50, SOCKETS // SERVERS // 2)
"""The number of sockets of each server before its memory is read for the first time."""
IDLE_S = 20.0
NO_PINGS = ("--ws-ping-interval", "0")


class Load:
    """A process of ``bench.idle_load``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, **command: Any) -> State:
        """Send a command, and return its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the load has ended")
        state: State = json.loads(line)
        return state


@contextlib.asynccontextmanager
async def loads(count: int) -> AsyncIterator[list[Load]]:
    """Run processes of the load, each with an address of its own."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(_load(f"127.0.0.{2 + number}")) for number in range(count)]


@contextlib.asynccontextmanager
async def _load(source: str) -> AsyncIterator[Load]:
    process = await asyncio.create_subprocess_exec(
        *("taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "bench.idle_load", source),
        cwd=HERE.parent,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Load(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def hold_idle(server: Server) -> Result:
    """Connect all to servers of the same peer without pings; measure memory, idleness and one broadcast.

    ``server`` itself is not used: it sends pings.
    """
    options = (*server.options, *NO_PINGS)
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(Server(server.peer, server.redis_port, options)) for _ in range(SERVERS)
        ]
        try:
            async with loads(LOADS) as load:
                return await _measure(servers, load)
        finally:
            for each in servers:  # they would take a while to end so many connections
                os.kill(each.pid, signal.SIGKILL)


async def _measure(servers: list[Server], load: list[Load]) -> Result:
    ports = [server.port for server in servers]
    # The first of each server alone, because a peer may have a race at a room's first join.
    for port in ports:
        await load[0].ask(do="connect", ports=[port], count=1)
    await load[0].ask(do="connect", ports=ports, count=(FIRST - 1) * SERVERS)
    sender = await connect(servers[0].plain_url(PATH))
    await asyncio.sleep(0.5)
    before = sum(server.rss() for server in servers)

    rest = SOCKETS - FIRST * SERVERS
    shares = [rest // LOADS + (number < rest % LOADS) for number in range(LOADS)]
    meter = Meter(*servers)
    states = await asyncio.gather(
        *(each.ask(do="connect", ports=ports, count=share) for each, share in zip(load, shares, strict=True))
    )
    connecting = meter.read()
    if (opened := sum(state["open"] for state in states)) < SOCKETS:
        refusals = {state["refusal"] for state in states if state["refusal"]}
        raise RuntimeError(f"{opened:,} of {SOCKETS:,} sockets are open; refused: {refusals or 'none'}")

    await asyncio.sleep(2)  # what is due after so many connects
    grown = sum(server.rss() for server in servers) - before
    meter = Meter(*servers)
    await asyncio.sleep(IDLE_S)
    idle = meter.read()
    return {
        "sockets": SOCKETS,
        "kib": grown / rest / 1024,
        "base_mib": before / SERVERS / 2**20,
        "idle_pct": idle["server_cpu_pct"] / (SOCKETS / 10_000),
        "connect_s": connecting["wall_s"],
        "connect_us": 1e6 * connecting["server_cpu_s"] / rest,
        **await _broadcast(servers, load, sender),
    }


async def _broadcast(servers: list[Server], load: list[Load], sender: Client) -> Result:
    """Send one message to all."""
    before = await asyncio.gather(*(each.ask(do="receive", count=0) for each in load))
    waiting = [
        asyncio.create_task(each.ask(do="receive", count=state["open"]))
        for each, state in zip(load, before, strict=True)
    ]
    await asyncio.sleep(0.1)
    meter, began = Meter(*servers), time.monotonic()
    sender.send(message(0))
    after = await asyncio.gather(*waiting)
    usage = meter.read()
    disconnect([sender])
    received = sum(state["received"] for state in after)
    seconds = max(state["received_at"] for state in after) - began
    bound_s = usage["server_cpu_s"]
    cpu_s = sum(state["cpu_s"] for state in after) - sum(state["cpu_s"] for state in before)
    return {
        "seconds": seconds,
        "bound_s": bound_s,
        "over_bound": seconds / bound_s if bound_s else None,
        "us": 1e6 * bound_s / max(1, received),
        "rate": received / seconds,
        "lost": SOCKETS - received,
        "cuts": sum(state["cuts"] for state in after),
        "client_cpu_pct": 100 * cpu_s / seconds,
    }
