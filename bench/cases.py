"""The cases. Each drives one new server, and returns its figures as a flat dict.

The figure "us" is the main one: microseconds of server CPU per delivery (or per cycle, or per page).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from bench.clients import Client, connect, connect_many, disconnect, message, read_all, stuck_socket
from bench.flood import beside_a_flood, beside_slow_handlers
from bench.idle import hold_idle
from bench.load import ClosedLoop, Crowd, Cycles, Meter, Result, asked, cycles, fan_out, settle
from bench.looking import look
from bench.peers import LEVELS
from bench.resuming import cut_at_once, cut_in_turn, park
from bench.servers import Server
from bench.slices import Begin
from bench.storms import connect_at_once, restart_in_turn

__all__ = [
    "CASES",
    "IN_SLICES",
    "NEEDS_REDIS",
    "SERIES",
    "TITLES",
    "WITHOUT_SERVER",
    "rows_of",
    "sizes",
]

BIG = 4096
SIZES = (3, 10, 30, 100, 300, 1000)


A1, A2 = (Crowd("/ws/chat/a/", size, senders=1, fan=size, window=8) for size in (100, 1000))
A3 = Crowd("/ws/chat/a/", 10_000, senders=1, fan=10_000, window=2)
B = Crowd("/ws/chat/r{}/", 1000, senders=1000, fan=5, window=1)
B_LONG = Crowd("/ws/chat/r{}/", 400, senders=400, fan=20, window=2, length=8192)
C = Crowd("/ws/echo/", 50, senders=50, fan=1, window=1)
G = Crowd("/ws/chat/g/", 100, senders=1, fan=100, window=8)


def closed(crowd: Crowd, seconds: float = 3) -> Callable[[Server], Awaitable[Result]]:
    """Return the case of a closed loop."""

    async def measure(server: Server) -> Result:
        return await fan_out(crowd, [server], seconds=seconds)

    return measure


async def _loop(crowd: Crowd, server: Server) -> ClosedLoop:
    return await ClosedLoop.connect(crowd, [server])


async def sizes(server: Server) -> dict[int, Result]:
    """Run one room after the other, of each size."""
    found: dict[int, Result] = {}
    for size in SIZES:
        crowd = Crowd(f"/ws/chat/size{size}/", size, senders=1, fan=size, window=8)
        found[size] = await fan_out(crowd, [server], seconds=2)
    return found


async def visits(server: Server) -> Cycles:
    """Return the load of 20 clients that connect and disconnect."""
    url = server.url("/ws/chat/d/")

    async def come_and_go(index: int) -> None:
        client = await connect(url)
        await client.close()

    return Cycles(come_and_go)


async def returns(server: Server) -> Cycles:
    """Return the load of 20 clients that are cut and come back; of a peer that cannot, that of D."""
    return await (cut_in_turn(server) if server.resumable else visits(server))


def cycling(begin: Callable[[Server], Awaitable[Cycles]]) -> Callable[[Server], Awaitable[Result]]:
    """Return the case of a load of cycles."""

    async def measure(server: Server) -> Result:
        return await cycles(server, await begin(server))

    return measure


async def e(server: Server) -> Result:
    """Measure the resident memory from 50 clients to 2,050."""
    url = server.url("/ws/chat/e/")
    first = await connect_many([url] * 50)
    before = server.rss()
    rest = await connect_many([url] * 2000)
    await asyncio.sleep(0.5)
    grown = server.rss() - before
    lost = sum(client.closed for client in first + rest)
    disconnect(first + rest)
    return {"kib": grown / 2000 / 1024, "base_mib": before / 2**20, "lost": lost}


async def f(server: Server) -> Result:
    """Let 20 clients call a handler that blocks 50 ms at once; return the seconds to the last answer."""
    clients = await connect_many([server.url("/ws/sleep/")] * 20)
    began = time.perf_counter()
    for client in clients:
        client.send(message(0))
    last = await settle(lambda: sum(client.received for client in clients), 20, idle_s=3)
    lost = 20 - sum(client.received for client in clients)
    disconnect(clients)
    return {"seconds": last - began, "lost": lost}


async def m(server: Server) -> Result:
    """Run the echo of 50 clients besides 10 whose handler always blocks."""
    sleepers = await connect_many([server.url("/ws/sleep/")] * 10)
    going = True

    def again(client: Client, seq: int) -> None:
        if going:
            client.send(message(0))

    for client in sleepers:
        client.on_seq = again
        client.send(message(0))
    await asyncio.sleep(0.3)
    slept = sum(client.received for client in sleepers)
    result = await fan_out(C, [server], seconds=3)
    result["sleeps"] = sum(client.received for client in sleepers) - slept
    going = False
    disconnect(sleepers)
    return result


async def g(server: Server) -> Result:
    """Run two processes on the server's core."""
    with Server(server.peer, server.redis_port, server.options) as other:
        return await fan_out(G, [server, other], seconds=3)


async def o(server: Server) -> Result:
    """Run 8 readers and a sender, 5 s of 4 KiB messages; then the same with a member that never reads."""
    alone = await _broadcast_to_readers(server, "/ws/chat/alone/", 5)
    stuck = await asyncio.to_thread(stuck_socket, server.url("/ws/chat/o/"))
    before = server.rss()
    beside = await _broadcast_to_readers(server, "/ws/chat/o/", 5)
    grown = server.rss() - before
    sent = int(beside["sent"])
    dropped = await _dropped(server)
    got = await asyncio.to_thread(read_all, stuck)
    stuck.close()
    return {
        "sent": sent,
        "rate": beside["rate"],
        "rate_alone": alone["rate"],
        "kept": beside["rate"] / alone["rate"],
        "lost": int(beside["missing"]),
        "grown_mib": grown / 2**20,
        "stuck_got": got,
        "stuck_lost": sent - got,
        "counted": dropped,
        "miscounted": None if dropped is None else dropped - (sent - got),
    }


async def _broadcast_to_readers(server: Server, path: str, seconds: float) -> Result:
    clients = await connect_many([server.url(path)] * 9)
    sender, sent, sending = clients[0], 0, True

    def send() -> None:
        nonlocal sent
        sender.send(message(sent, BIG))
        sent += 1

    def again(client: Client, seq: int) -> None:
        if sending:
            send()

    sender.on_seq = again
    began = time.perf_counter()
    for _ in range(8):
        send()
    await asyncio.sleep(seconds)
    sending = False
    received = [client.received for client in clients]
    took = time.perf_counter() - began
    await settle(lambda: min(client.received for client in clients), sent)
    missing = sum(sent - client.received for client in clients)
    disconnect(clients)
    return {"sent": sent, "rate": min(received) / took, "missing": missing}


async def _dropped(server: Server) -> int | None:
    """Return the number of dropped messages that the peer itself reports."""
    if not server.peer.startswith("ours"):
        return None
    return await asked(server, "/ws/dropped/")


async def p(server: Server) -> Result:
    """8 clients that ask for one page after the other, each on one connection."""
    asked = f"GET /chat/lobby/ HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()

    async def visit(seconds: float) -> int:
        end = time.perf_counter() + seconds
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        pages = 0
        while time.perf_counter() < end:
            writer.write(asked)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200 "):
                raise RuntimeError(head.decode(errors="replace"))
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
            pages += 1
        writer.close()
        return pages

    async def visits(seconds: float) -> int:
        return sum(await asyncio.gather(*(visit(seconds) for _ in range(8))))

    await visits(0.5)
    meter = Meter(server)
    done = await visits(3)
    usage = meter.read()
    return {"us": 1e6 * usage["server_cpu_s"] / done, "rate": done / usage["wall_s"], **usage}


async def nothing(server: Server) -> Result:
    raise NotImplementedError("a case without a server")


class Series(NamedTuple):
    """Cases that a server runs one after the other; the title's "{}" is the point."""

    title: str
    points: tuple[int, ...]


def _open(case: str, title: str) -> Series:
    return Series(title + ", at {} % of what the bare loop carries", LEVELS)


SERIES = {
    "A": Series("one room of {}, one sender, 8 messages in flight", SIZES),
    "L1": _open("L1", "echo of 50 clients"),
    "L2": _open("L2", "one room of 100, one sender"),
    "L3": _open("L3", "one room of 1,000, one sender"),
    "L4": _open("L4", "two processes over Redis, 50 + 50 clients in one room"),
}

CASES: dict[str, Callable[[Server], Awaitable[Result]]] = {
    "A1": closed(A1),
    "A2": closed(A2),
    "A3": closed(A3, 4),
    "A-typed": closed(A2),
    "A-manager": closed(A1),
    "B": closed(B),
    "B-long": closed(B_LONG),
    "C": closed(C),
    "D": cycling(visits),
    "E": e,
    "E-parked": park,
    "A1-sync": closed(A1),
    "A2-sync": closed(A2),
    "C-sync": closed(C),
    "N-flood": beside_a_flood,
    "N-slow": beside_slow_handlers,
    "F": f,
    "M": m,
    "G": g,
    "B-redis": closed(B),
    "H": nothing,
    "I1": hold_idle,
    "I2": connect_at_once,
    "I3": restart_in_turn,
    "K": cut_at_once,
    "O": o,
    "P": p,
    "R": cycling(returns),
    "S-shards": nothing,
    "S-members": nothing,
    "S-groups": nothing,
    "S-history": nothing,
    "S-presence": nothing,
    "S-live": look,
    **dict.fromkeys(SERIES, nothing),
}
CLOSED = {"A1": A1, "A2": A2, "B": B, "C": C, "A1-sync": A1, "A2-sync": A2, "C-sync": C}
IN_SLICES: dict[str, Begin] = {case: partial(_loop, crowd) for case, crowd in CLOSED.items()}
IN_SLICES |= {"D": visits, "R": returns}
"""The cases in which servers can be loaded in turn (``slices.in_slices``)."""
WITHOUT_SERVER = frozenset(("H", "S-shards", "S-members", "S-groups", "S-history", "S-presence"))
NEEDS_REDIS = frozenset(("G", "B-redis", "I1", "I3", "L4", *WITHOUT_SERVER))
TITLES = {
    "A1": "one room of 100, one sender, 8 messages in flight",
    "A2": "one room of 1,000, one sender, 8 in flight",
    "A3": "one room of 10,000, one sender, 2 in flight",
    "A-typed": "typed messages: one room of 1,000, one sender, 8 in flight",
    "A-manager": "the connection manager: one group of 100, one sender, 8 in flight",
    "B": "200 rooms of 5, everybody sends, 1 in flight each",
    "B-long": "20 rooms of 20, everybody sends, 2 messages of 8 KiB in flight each",
    "C": "echo, 50 clients, 1 in flight each",
    "D": "connect, join, leave; 20 clients that come and go",
    "E": "memory per idle client that has joined, KiB",
    "E-parked": "memory per client that is away, KiB",
    "A1-sync": "A1 with sync consumers",
    "A2-sync": "A2 with sync consumers",
    "C-sync": "C with sync consumers",
    "F": "20 sync handlers that block 50 ms, seconds to the last answer",
    "M": "echo of 50 clients beside 10 whose handler always blocks, all sync",
    "G": "two processes over Redis, 50 + 50 clients in one room",
    "B-redis": "B over Redis",
    "H": "sends per second of a script, over Redis",
    "I1": "100,000 idle sockets on seven servers, in one group, and one broadcast to all",
    "I2": "10,000 connects at once",
    "I3": "four workers are restarted one after the other under 10,000 sockets",
    "K": "10,000 clients are cut at once, seconds until all are back",
    "N-flood": "echo of 50 clients, every 20 ms, beside one client that floods",
    "N-slow": "echo of 50 clients, every 20 ms, beside one whose inbox is full, with handlers of 10 ms",
    "O": "one member never reads: 8 readers, 4 KiB messages, 5 s",
    "P": "the page of a chat room, 8 clients",
    "R": "20 clients that are cut and come back, beside those that connect and leave",
    "S-shards": "64 groups of one member on 1, 2 and 4 Redis servers, which share a core",
    "S-members": "one group of 10,000 members in one process",
    "S-groups": "100,000 groups of 1,000 channels in one process",
    "S-history": "a history of 50 messages: sends to one member, and 1,000 newcomers at once",
    "S-presence": "5,000 people in one group of two servers; then 1,000 come and go a second, for 5 s",
    "S-live": "the live page of 10,000 sockets in 50,000 groups",
    **{
        f"{case}-{point}": series.title.format(point)
        for case, series in SERIES.items()
        for point in series.points
    },
}


def rows_of(case: str) -> list[str]:
    """Return the names of what a case measures: its own, or one for each point of a series."""
    return [f"{case}-{point}" for point in SERIES[case].points] if case in SERIES else [case]
