"""Closed-loop broadcasts, and their cost for the server."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

from bench.clients import Client, connect, connect_many, disconnect, message
from bench.servers import Server

__all__ = [
    "ClosedLoop",
    "Crowd",
    "Cycles",
    "Done",
    "Load",
    "Meter",
    "Result",
    "asked",
    "cycles",
    "fan_out",
    "percentiles",
    "settle",
]

Result = dict[str, Any]

STALLED_S = 5.0
"""The time without messages after which those in flight count as lost."""
WARM_S = 0.7


class Meter:
    """CPU and wall-clock time since its creation, of the servers and of this process."""

    def __init__(self, *servers: Server) -> None:
        self.servers = servers
        self.began = time.perf_counter()
        self._server = sum(server.cpu_s() for server in servers)
        self._own = time.process_time()

    def read(self) -> Result:
        """Return ``wall_s``, the CPU of both sides in seconds, and in percent of a core."""
        wall = time.perf_counter() - self.began
        server = sum(server.cpu_s() for server in self.servers) - self._server
        own = time.process_time() - self._own
        return {
            "wall_s": wall,
            "server_cpu_s": server,
            "client_cpu_s": own,
            "server_cpu_pct": 100 * server / wall,
            "client_cpu_pct": 100 * own / wall,
        }


class Done(NamedTuple):
    """What a slice has done: deliveries (or cycles), and how many are missing."""

    done: int
    lost: int


class Load(Protocol):
    """The clients of one server."""

    async def slice(self, seconds: float) -> Done:
        """Work for so long, and wait for what is under way."""

    def end(self) -> None:
        """Disconnect the clients."""


class FanOut:
    """The load of a crowd: each sender keeps its messages in flight; every member counts what it gets."""

    def __init__(self, crowd: Crowd, clients: list[Client], base: int = 0) -> None:
        self.crowd = crowd
        self.senders = clients[: crowd.senders]
        self.base = self.next_seq = base
        """Sequence numbers below ``base`` are stragglers of an earlier load."""
        self.sent_at = array("d")
        self.latency = array("d")
        self.owner: list[Client] = []
        self.last_own = time.perf_counter()
        self.stalls = 0
        self.sending = True
        for member in clients:
            member.on_seq = self._on_seq

    @property
    def sent(self) -> int:
        """How many messages have been sent."""
        return self.next_seq - self.base

    def _push(self, client: Client) -> None:
        self.sent_at.append(time.perf_counter())
        self.owner.append(client)
        client.send(message(self.next_seq, self.crowd.length))
        self.next_seq += 1

    def _on_seq(self, client: Client, seq: int) -> None:
        index = seq - self.base
        if index < 0:
            return
        now = time.perf_counter()
        self.latency.append(now - self.sent_at[index])
        if self.owner[index] is client:
            self.last_own = now
            if self.sending:
                self._push(client)

    async def run(self, seconds: float) -> None:
        """Send for ``seconds``. If no sender receives its own messages for 5 s, start again: a stall."""
        self._push_all()
        end = time.perf_counter() + seconds
        while (now := time.perf_counter()) < end:
            await asyncio.sleep(0.05)
            if now - self.last_own > STALLED_S:
                self.stalls += 1
                self.last_own = now
                self._push_all()
        self.sending = False

    def _push_all(self) -> None:
        for client in self.senders:
            for _ in range(self.crowd.window):
                self._push(client)


async def settle(
    count: Callable[[], int], target: int, *, idle_s: float = STALLED_S, limit_s: float = 60
) -> float:
    """Wait until ``count()`` is ``target`` or stops changing; return the time of its last change."""
    deadline = time.perf_counter() + limit_s
    last, moved = count(), time.perf_counter()
    while last < target and time.perf_counter() < min(deadline, moved + idle_s):
        await asyncio.sleep(0.01)
        if (now := count()) != last:
            last, moved = now, time.perf_counter()
    return moved


class Crowd(NamedTuple):
    """``clients`` in rooms of ``fan`` at ``path``, whose "{}" is the number of the room.

    The first ``senders`` of them send. In a closed loop each has ``window`` messages in flight, of ``length``
    characters.
    """

    path: str
    clients: int
    senders: int
    fan: int
    window: int
    processes: int = 1
    length: int = 64

    def urls(self, servers: Sequence[Server]) -> list[str]:
        """Return the address of each client; the rooms are on all servers."""
        each = self.clients // len(servers)
        paths = [self.path.format(index // self.fan) for index in range(self.clients)]
        return [servers[index // each].url(path) for index, path in enumerate(paths)]


class ClosedLoop:
    """The clients of a crowd, and their load, one after the other."""

    def __init__(self, crowd: Crowd, clients: list[Client]) -> None:
        self.crowd = crowd
        self.clients = clients
        self._next_seq = 0

    @classmethod
    async def connect(cls, crowd: Crowd, servers: Sequence[Server]) -> ClosedLoop:
        """Return a loop with connected clients, warmed up."""
        loop = cls(crowd, await connect_many(crowd.urls(servers)))
        await loop.run(WARM_S)
        return loop

    def received(self) -> int:
        """Return the number of deliveries so far."""
        return sum(client.received for client in self.clients)

    async def run(self, seconds: float) -> tuple[FanOut, float]:
        """Send for so long, and wait for the deliveries; return the load, and the time of the last one."""
        before = self.received()
        load = FanOut(self.crowd, self.clients, base=self._next_seq)
        await load.run(seconds)
        self._next_seq = load.next_seq
        return load, await settle(self.received, before + load.sent * self.crowd.fan)

    async def slice(self, seconds: float) -> Done:
        """See ``Load``."""
        before = self.received()
        load, _ = await self.run(seconds)
        delivered = self.received() - before
        return Done(delivered, load.sent * self.crowd.fan - delivered)

    def end(self) -> None:
        """See ``Load``."""
        disconnect(self.clients)


async def fan_out(crowd: Crowd, servers: list[Server], *, seconds: float) -> Result:
    """Connect, warm up, and measure a closed loop for ``seconds``."""
    loop = await ClosedLoop.connect(crowd, servers)
    before, meter = loop.received(), Meter(*servers)
    load, last = await loop.run(seconds)
    usage = meter.read()
    delivered = loop.received() - before
    loop.end()
    return {
        "messages": load.sent,
        "delivered": delivered,
        "lost": load.sent * crowd.fan - delivered,
        "stalls": load.stalls,
        "us": 1e6 * usage["server_cpu_s"] / max(1, delivered),
        # The rate includes the drain, but not the wait for lost messages.
        "rate": delivered / (last - meter.began),
        **percentiles(load.latency),
        **usage,
    }


def percentiles(latency: array[float]) -> Result:
    """Return ``p50_ms``, ``p99_ms`` and ``p999_ms`` of times in seconds; None without any."""
    ordered = sorted(latency)
    shares = {"p50_ms": 500, "p99_ms": 990, "p999_ms": 999}
    return {
        name: 1000 * ordered[len(ordered) * share // 1000] if ordered else None
        for name, share in shares.items()
    }


class Cycles:
    """20 clients that each do the same over and over: ``cycle(index)``, which counts what is ``lost``."""

    def __init__(self, cycle: Callable[[int], Awaitable[None]], clients: Sequence[Client] = ()) -> None:
        self.lost = 0
        self._cycle = cycle
        self._clients = clients

    async def slice(self, seconds: float) -> Done:
        """Begin cycles for so long, and finish them."""
        done, end, before = 0, time.perf_counter() + seconds, self.lost

        async def loop(index: int) -> None:
            nonlocal done
            while time.perf_counter() < end:
                await self._cycle(index)
                done += 1

        await asyncio.gather(*(loop(index) for index in range(20)))
        return Done(done, self.lost - before)

    def end(self) -> None:
        """Disconnect the clients that stay connected."""
        disconnect(self._clients)


async def cycles(server: Server, load: Load) -> Result:
    """Measure a load of cycles for three seconds."""
    await load.slice(0.5)
    meter = Meter(server)
    found = await load.slice(3)
    usage = meter.read()
    load.end()
    return {
        "us": 1e6 * usage["server_cpu_s"] / found.done,
        "rate": found.done / usage["wall_s"],
        "lost": found.lost,
        **usage,
    }


async def asked(server: Server, path: str) -> int:
    """Return the number that ``path`` answers to a message."""
    asker = await connect(server.plain_url(path))
    asker.send(message(0))
    await settle(lambda: asker.received, 1)
    disconnect([asker])
    return asker.last
