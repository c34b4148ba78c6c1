"""Open-loop cases L: messages leave at an even rate, whether or not earlier ones have arrived.

A closed loop measures how much is let pile up. Here the rate is a share of what the bare loop carries in the
same turn, so the latency is that of a server with some idle time, as a user has it. The servers of a turn run
side by side, because the CPU of an idle machine differs from minute to minute by more than the peers do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import math
import os
import statistics
import time
from array import array
from collections.abc import Callable, Iterator

from bench.clients import Client, connect_many, disconnect, message
from bench.load import Crowd, Meter, Result, fan_out, percentiles, settle
from bench.peers import LEVELS
from bench.servers import Server
from bench.slices import in_turn

__all__ = ["OPEN_LOOP", "capacity", "levels"]

SLICES, SLICE_S, WARM_S = 5, 1.0, 0.7
MAX_TICKS_S = 4000
"""Ticks in a second; at a higher rate, several messages leave together."""
BEHIND_S = SLICE_S / 2
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


async def levels(case: Crowd, servers: dict[str, Server], carried: float) -> dict[str, dict[int, Result]]:
    """Return the figures of each peer at each level of ``carried`` messages a second, up to its overload.

    The servers are loaded in slices in turn, so that a level means the same for each of them. The figures are
    those of ``fan_out``, with ``p999_ms``, ``offered`` (messages a second), ``together`` (the percentage of
    ticks for which the load came too late, so that their messages left with later ones), and ``overloaded``.
    "us" is the median of the slices, and a latency is that of all of them together.
    """
    found: dict[str, dict[int, Result]] = {peer: {} for peer in servers}
    with contextlib.ExitStack() as own:
        members = {peer: Member(case, own.enter_context(_processes(case, servers[peer]))) for peer in servers}
        for member in members.values():
            await member.connect()
        gc.collect()
        gc.freeze()  # else the load pauses for all clients of all peers, and they see it as a latency
        for level in LEVELS:
            for member in members.values():
                await member.begin(carried * level / 100)
            for peer in in_turn(list(members), SLICES):
                await members[peer].slice()
            for peer, member in list(members.items()):
                found[peer][level] = member.figures()
                if member.overloaded:
                    del members[peer]
                    disconnect(member.clients)
        for member in members.values():
            disconnect(member.clients)
        gc.unfreeze()  # the clients of this turn are not those of the next
    return found


@contextlib.contextmanager
def _processes(case: Crowd, server: Server) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as own:
        others = [Server(server.peer, server.redis_port, server.options) for _ in range(case.processes - 1)]
        yield [server, *(own.enter_context(other) for other in others)]


class Member:
    """One peer of a case: its processes and its clients, and what the slices of a level have shown."""

    def __init__(self, case: Crowd, servers: list[Server]) -> None:
        self.clients: list[Client] = []
        self.overloaded = False
        self._case = case
        self._servers = servers
        self._next_seq = 0
        self._rate = 0.0
        self._tally = Tally()

    async def connect(self) -> None:
        """Connect the clients."""
        self.clients = await connect_many(self._case.urls(self._servers))

    async def begin(self, rate: float) -> None:
        """Begin a level of ``rate`` messages a second, with a slice that does not count."""
        self._rate = rate
        await self.slice(WARM_S)
        self._tally = Tally()

    async def slice(self, seconds: float = SLICE_S) -> None:
        """Send for so long, and wait for the deliveries; but nothing after an overload."""
        if self.overloaded:
            return
        load = OpenLoad(self._case, self.clients, self._rate, self._next_seq)
        meter = Meter(*self._servers)
        await load.run(seconds)
        usage = meter.read()
        taken = load.received()
        await load.drained()
        self._next_seq, self.overloaded = load.next_seq, load.overloaded
        self._tally.add(load, taken, usage)

    def figures(self) -> Result:
        """Return what the level has shown."""
        return {"offered": self._rate, "overloaded": self.overloaded, **self._tally.figures()}


class Tally:
    """The sums of slices."""

    def __init__(self) -> None:
        self._costs: list[float] = []
        self._latency = array("d")
        self._messages = self._lost = self._ticks = self._missed_ticks = self._taken = 0
        self._usage = dict.fromkeys(("wall_s", "server_cpu_s", "client_cpu_s"), 0.0)

    def add(self, load: OpenLoad, taken: int, usage: Result) -> None:
        """Add a slice; ``taken`` is what had come at its end, and ``usage`` the meter's then."""
        self._costs.append(1e6 * usage["server_cpu_s"] / max(1, taken))
        self._latency.extend(load.latency)
        self._messages += load.next_seq - load.base
        self._lost += load.outstanding()
        self._ticks += load.ticks
        self._missed_ticks += load.missed_ticks
        self._taken += taken
        for name in self._usage:
            self._usage[name] += usage[name]

    def figures(self) -> Result:
        """Return those of ``levels``; without slices, None for a cost and a latency."""
        wall_s = self._usage["wall_s"] or 1.0
        return {
            "messages": self._messages,
            "lost": self._lost,
            "together": 100 * self._missed_ticks / max(1, self._ticks),
            "us": statistics.median(self._costs) if self._costs else None,
            "rate": self._taken / wall_s,
            **percentiles(self._latency),
            **self._usage,
            "server_cpu_pct": 100 * self._usage["server_cpu_s"] / wall_s,
            "client_cpu_pct": 100 * self._usage["client_cpu_s"] / wall_s,
        }


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
