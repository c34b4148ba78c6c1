"""Run clients that come and go over each Redis layer: ``python -m bench.soak 60 --layers pubsub,queue``.

Each layer has one server process and one Redis; this process drives all of them at the same time. Each 30 s
all connections of the servers to Redis are killed. Each 10 s one sample of each layer is appended to
``.cache/bench/soak.jsonl``; ``soak_report`` makes a page and plots of them. The exit code is 1 if memory
grows or a message was lost without a count.

What is counted: the server's ``dropped`` without "gone", which has messages to clients that have just left.
It must have every message that a witness or a slow client has missed and that ``soak_rooms`` does not
explain. The streams layer reads after an outage what it has missed, so no outage explains anything there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import uvloop

from bench import soak_report
from bench.load import percentiles
from bench.servers import CACHE, HERE, LOAD_CORE, Server, redis_server
from bench.soak_rooms import SETTLED_S
from bench.soaking import ROOM_SIZE, Drive

__all__ = ["main"]

EXCUSES = {"pubsub": True, "queue": True, "streams": False}
"""The layers, and whether one may lose messages in an outage without a count."""
SAMPLES = CACHE / "soak.jsonl"
SAMPLE_EVERY_S = 10.0
KILL_EVERY_S = 30.0
"""What comes at once after an outage is the most memory that is needed, and it differs from one to the next.

With twenty in the first ten minutes, the allocator has then seen the most; with two, it has after an hour."""
KILLED = ("normal", "pubsub")
AFTER_KILL_S = 30.0
"""No kill is so near to the end."""

Row = dict[str, Any]


class Watch:
    """One layer: its server, its Redis and its clients; ``sample`` measures them."""

    def __init__(self, layer: str, server: Server, redis_port: int, clients: int) -> None:
        self.layer = layer
        self.drive = Drive(server, clients, excuse=EXCUSES[layer])
        self.deliveries = self.kills = 0
        self._server = server
        self._redis_port = redis_port
        self._cpu_s, self._own_s, self._at = server.cpu_s(), time.process_time(), time.monotonic()

    async def sample(self, settled_s: float = SETTLED_S) -> Row:
        """Return what the layer has and has done; the percentiles and loads are of the time since the last.

        Memory is in bytes, latencies in ms, loads in % of a core. "in_use" is C's heap without what waits.
        """
        drive = self.drive
        drive.check()
        latencies, drive.latencies = drive.latencies, drive.latencies[:0]
        self.deliveries += len(latencies)
        counts = await _counts(self._server)
        drive.gaps.learn(counts["gaps"])
        redis_memory = await _ask(self._redis_port, "INFO memory")
        missed, slow = (ledger.count(time.time(), settled_s) for ledger in (drive.witnesses, drive.slow))
        dropped = counts["dropped"]
        return {
            "layer": self.layer,
            "rss": self._server.rss(),
            "in_use": None if counts["heap"] is None else counts["heap"] - counts["waiting"],
            "blocks": counts["blocks"],
            "fds": len(os.listdir(f"/proc/{self._server.pid}/fd")),
            "keys": int(await _ask(self._redis_port, "DBSIZE")),
            "redis_bytes": int(redis_memory.partition("used_memory:")[2].split()[0]),
            **percentiles(latencies),
            **self._loads(),
            "consumers": counts["connections"],
            "came": drive.came,
            "turned_away": drive.turned_away,
            "cut": drive.cut,
            "sent": drive.sent(),
            "sent_slow": len(drive.slow_room.sent_at),
            "deliveries": self.deliveries,
            "missed": missed.total() - missed["twice"],
            "missed_refused": missed["refused"],
            "missed_in_gap": missed["in_gap"],
            "missed_lost": missed["lost"],
            "slow_refused": slow["refused"],
            "slow_in_gap": slow["in_gap"],
            "slow_lost": slow["lost"],
            "slow_unfinished": drive.slow_clients.unfinished,
            "twice": missed["twice"] + slow["twice"],
            "dropped": dropped,
            "counted": sum(dropped.values()) - dropped.get("gone", 0),
            "kills": self.kills,
            "reconnects": counts["reconnects"],
            "gaps_s": drive.gaps.seconds(),
        }

    async def kill(self) -> None:
        """Kill every connection to Redis."""
        self.kills += 1
        for kind in KILLED:
            await _ask(self._redis_port, f"CLIENT KILL TYPE {kind}")

    def _loads(self) -> Row:
        before = self._cpu_s, self._own_s, self._at
        self._cpu_s, self._own_s, self._at = self._server.cpu_s(), time.process_time(), time.monotonic()
        took = self._at - before[2]
        return {
            "server_cpu_pct": 100 * (self._cpu_s - before[0]) / took,
            "client_cpu_pct": 100 * (self._own_s - before[1]) / took,
        }


async def _ask(redis_port: int, command: str) -> str:
    """Return the reply of a Redis, over a connection of its own, because others are killed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", redis_port)
    with contextlib.closing(writer):
        writer.write(command.encode() + b"\r\n")
        head = (await reader.readline()).decode().strip()
        if head.startswith("$"):
            return (await reader.readexactly(int(head[1:]))).decode()
        if not head.startswith(":"):
            raise RuntimeError(f"Redis answers {command!r} with {head!r}")
        return head[1:]


async def _counts(server: Server) -> Row:
    """Return the counters of the layer in a server (``apps/_soak.py``)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    with contextlib.closing(writer):
        writer.write(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n".encode())
        found: Row = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
        return found


async def soak(watches: list[Watch], seconds: float, file: TextIO) -> None:
    """Drive all layers for ``seconds``, and write the samples to ``file``; the last ones have "end"."""
    await asyncio.gather(*(watch.drive.begin() for watch in watches))
    began = time.monotonic()
    kills = list(_kills(seconds))
    samples = max(1, int(seconds / SAMPLE_EVERY_S))
    for turn in range(1, samples + 1):
        await asyncio.sleep(began + turn * SAMPLE_EVERY_S - time.monotonic())
        for watch in watches:
            _write(file, await watch.sample(), time.monotonic() - began)
        if kills and turn * SAMPLE_EVERY_S >= kills[0]:
            kills.pop(0)
            await asyncio.gather(*(watch.kill() for watch in watches))
    await asyncio.gather(*(watch.drive.end() for watch in watches))
    for watch in watches:
        _write(file, await watch.sample(settled_s=0) | {"end": True}, time.monotonic() - began)
    await asyncio.gather(*(watch.drive.leave() for watch in watches))


def _kills(seconds: float) -> Iterator[float]:
    """Yield when to kill, in seconds since the beginning: every ``KILL_EVERY_S``, or once in the middle."""
    at = min(KILL_EVERY_S, seconds / 2)
    yield at
    while (at := at + KILL_EVERY_S) <= seconds - AFTER_KILL_S:
        yield at


def _write(file: TextIO, row: Row, at: float) -> None:
    row = {"at": round(at, 1)} | row
    file.write(json.dumps(row) + "\n")
    file.flush()
    if "end" in row or round(at / SAMPLE_EVERY_S) % 6 == 0:  # once a minute
        print(soak_report.shown(row), flush=True)


def run(minutes: float, layers: list[str], clients: int) -> None:
    """Start the servers, and soak."""
    with contextlib.ExitStack() as stack, SAMPLES.open("w") as file:
        servers = []
        for layer in layers:
            port = stack.enter_context(redis_server())
            servers.append((layer, stack.enter_context(Server(f"ours_{layer}_soak", port)), port))

        async def driven() -> None:
            await soak([Watch(*server, clients) for server in servers], 60 * minutes, file)

        uvloop.run(driven())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("minutes", nargs="?", type=float, default=60, help="default 60")
    parser.add_argument("--layers", default=",".join(EXCUSES), help="separated by commas; default all")
    parser.add_argument("--clients", type=int, default=2000, help=f"of each layer, in rooms of {ROOM_SIZE}")
    parser.add_argument("--report", type=Path, default=HERE, help="the folder of the page; default bench")
    args = parser.parse_args()
    layers = args.layers.split(",")
    if unknown := set(layers) - set(EXCUSES):
        parser.error(f"no layer {', '.join(sorted(unknown))}; there are {', '.join(EXCUSES)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, {LOAD_CORE})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    run(args.minutes, layers, args.clients)
    sys.exit(soak_report.write(SAMPLES, args.report))


if __name__ == "__main__":
    main()
