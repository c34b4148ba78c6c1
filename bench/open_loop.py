"""Open-loop cases L: messages leave at an even rate, whether or not earlier ones have arrived.

A closed loop measures how much is let pile up. Here the rate is a share of what the bare loop carries in the
same turn, so the latency is that of a server with some idle time, as a user has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import math
import os
import time
from array import array
from collections.abc import Callable, Iterator

from bench.clients import Client, connect_many, disconnect, message
from bench.load import Crowd, Meter, Result, fan_out, percentiles, settle
from bench.peers import LEVELS
from bench.servers import Server

__all__ = ["OPEN_LOOP", "capacity", "levels"]

SECONDS, WARM_S = 4.0, 1.0
MAX_TICKS_S = 4000
"""Ticks in a second; at a higher rate, several messages leave together."""
BEHIND_S = 1.0
"""A peer that has more to deliver is overloaded; it is not asked for higher rates."""


OPEN_LOOP = {
    "L1": Crowd("/ws/echo/", 50, 50, 1, 1),
    "L2": Crowd("/ws/chat/a/", 100, 1, 100, 8),
    "L3": Crowd("/ws/chat/a/", 1000, 1, 1000, 8),
    "L4": Crowd("/ws/chat/a/", 100, 1, 100, 8, processes=2),
}


async def capacity(case: Crowd, server: Server) -> float:
    """Return how many messages a second ``server`` carries in a closed loop."""
    with _processes(case, server) as servers:
        found = await fan_out(case, servers, seconds=2)
    return float(found["rate"]) / case.fan


async def levels(case: Crowd, server: Server, carried: float) -> dict[int, Result]:
    """Return the figures of each level, of ``carried`` messages a second; up to the first overload.

    They are those of ``fan_out``, with ``p999_ms``, ``offered`` (messages a second), ``together`` (the
    percentage of ticks for which the load came too late, so that their messages left with later ones), and
    ``overloaded``.
    """
    found: dict[int, Result] = {}
    with _processes(case, server) as servers:
        clients = await connect_many(case.urls(servers))
        sequence = 0
        for level in LEVELS:
            rate = carried * level / 100
            warm = OpenLoad(case, clients, rate, sequence)
            await warm.run(WARM_S)
            await warm.drained()
            load = OpenLoad(case, clients, rate, warm.next_seq)
            meter = Meter(*servers)
            await load.run(SECONDS)
            usage = meter.read()
            taken = load.received()
            await load.drained()
            sequence = load.next_seq
            found[level] = {
                "offered": rate,
                "messages": load.next_seq - load.base,
                "lost": load.outstanding(),
                "overloaded": load.overloaded,
                "together": 100 * load.missed_ticks / max(1, load.ticks),
                "us": 1e6 * usage["server_cpu_s"] / max(1, taken),
                "rate": taken / usage["wall_s"],
                **percentiles(load.latency),
                **usage,
            }
            if load.overloaded or warm.overloaded:
                break
        disconnect(clients)
    return found


@contextlib.contextmanager
def _processes(case: Crowd, server: Server) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as own:
        others = [Server(server.peer, server.redis_port, server.options) for _ in range(case.processes - 1)]
        yield [server, *(own.enter_context(other) for other in others)]


class OpenLoad:
    """Sends at an even rate, and notes when each message comes."""

    def __init__(self, case: Crowd, clients: list[Client], rate: float, base: int) -> None:
        self.case = case
        self.clients = clients
        self.base = self.next_seq = base
        """Sequence numbers below ``base`` are stragglers of an earlier load."""
        self.sent_at = array("d")
        self.latency = array("d")
        self.ticks = self.missed_ticks = 0
        self._overload = asyncio.Event()
        self._rate = rate
        self._at_once = math.ceil(rate / MAX_TICKS_S)
        self._allowed = rate * BEHIND_S * case.fan
        for client in clients:
            client.on_seq = self._on_seq

    async def run(self, seconds: float) -> None:
        """Send for ``seconds``, or until the peer is overloaded."""
        with ticking(self._rate / self._at_once, self._tick), contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._overload.wait(), seconds)

    @property
    def overloaded(self) -> bool:
        """Whether the peer has been found to be overloaded."""
        return self._overload.is_set()

    def received(self) -> int:
        """Return the number of deliveries."""
        return len(self.latency)

    def outstanding(self) -> int:
        """Return the number of deliveries that have not come."""
        return (self.next_seq - self.base) * self.case.fan - self.received()

    async def drained(self) -> None:
        """Wait until all is delivered, or nothing comes any more."""
        await settle(self.received, self.received() + self.outstanding(), idle_s=2)

    def _tick(self, ticks: int) -> None:
        self.ticks += ticks
        self.missed_ticks += ticks - 1
        for _ in range(ticks * self._at_once):
            sender = self.clients[self.next_seq % self.case.senders]
            self.sent_at.append(time.perf_counter())
            sender.send(message(self.next_seq))
            self.next_seq += 1
        if self.outstanding() > self._allowed:
            self._overload.set()

    def _on_seq(self, client: Client, seq: int) -> None:
        index = seq - self.base
        if index >= 0:
            self.latency.append(time.perf_counter() - self.sent_at[index])


@contextlib.contextmanager
def ticking(rate: float, tick: Callable[[int], None]) -> Iterator[None]:
    """Call ``tick(n)`` at ``rate`` a second in the block, with the number of ticks since the last call.

    The timer is the kernel's (``timerfd_create(2)``), since those of event loops count in milliseconds.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    timer = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK)
    seconds, fraction = divmod(1 / rate, 1)
    every = (int(seconds), int(1e9 * fraction))
    if timer < 0 or libc.timerfd_settime(timer, 0, (ctypes.c_long * 4)(*every, *every), None) < 0:
        raise OSError(ctypes.get_errno(), "no timer")
    loop = asyncio.get_running_loop()
    loop.add_reader(timer, lambda: tick(int.from_bytes(os.read(timer, 8), "little")))
    try:
        yield
    finally:
        loop.remove_reader(timer)
        os.close(timer)
