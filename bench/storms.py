"""The cases of storms: I2, 10,000 connects at once; I3, a restart of four workers one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

from bench.load import Meter, Result, percentiles
from bench.raw_clients import RawClients, Target, scaled
from bench.servers import CACHE, Server

__all__ = ["connect_at_once", "restart_in_turn"]

CLIENTS = scaled(10_000)
ROOM = 10
SOURCES = [f"127.0.0.{number}" for number in range(2, 6)]
WORKERS, BACKLOG = 4, 2048
END_LIMIT_S, START_LIMIT_S, POLL_S = 60.0, 20.0, 0.02


async def connect_at_once(server: Server) -> Result:
    """Connect 10,000 clients in rooms of 10 to one server, all at once."""
    clients = RawClients(SOURCES)
    await clients.connect(_targets(server.port, 1))  # what an application makes for its first client
    clients.forget()
    meter = Meter(server)
    began = time.monotonic()
    lost = await clients.connect(_targets(server.port, CLIENTS))
    seconds = clients.opened_at - began
    usage = meter.read()
    waited = clients.waited
    refusal = clients.refusal
    clients.close()
    if not waited:
        raise RuntimeError(f"no client has connected; the last refusal: {refusal or 'none'}")
    return {
        "seconds": seconds,
        "rate": len(waited) / seconds,
        "us": 1e6 * usage["server_cpu_s"] / len(waited),
        "lost": lost,
        **percentiles(waited),
        **usage,
    }


def _targets(port: int, count: int) -> list[Target]:
    return [(port, f"/ws/chat/r{number // ROOM}/") for number in range(count)]


class Worker(Server):
    """A uvicorn process on a listening socket that it shares with others.

    Its ``with`` block starts the process, and does not wait until it serves.
    """

    def __init__(self, server: Server, listener: socket.socket) -> None:
        super().__init__(server.peer, server.redis_port, server.options)
        self.port = int(listener.getsockname()[1])
        self.listener = listener

    def __enter__(self) -> Worker:
        descriptor = self.listener.fileno()
        self.start(["--fd", str(descriptor)], pass_fds=[descriptor])
        return self

    async def serving(self) -> None:
        """Wait until the process serves: uvicorn then has a second descriptor of the socket.

        Connecting to the port would not tell, because the other workers answer.
        """
        assert self.process is not None
        listener = f"socket:[{os.fstat(self.listener.fileno()).st_ino}]"
        deadline = time.monotonic() + START_LIMIT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            if self._descriptors().count(listener) > 1:
                return
            await asyncio.sleep(POLL_S)
        raise RuntimeError(f"a worker does not serve; see {CACHE / 'server.log'}")

    def _descriptors(self) -> list[str]:
        found = []
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed since
                found.append(os.readlink(link))
        return found

    async def end(self) -> float:
        """Send SIGTERM and wait for the end; return the CPU seconds of the whole process."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + END_LIMIT_S
        while not self._has_ended():
            if time.monotonic() > deadline:
                raise RuntimeError(f"a worker has not ended {END_LIMIT_S:g} s after SIGTERM")
            await asyncio.sleep(POLL_S)
        used = self.cpu_s()
        self.process.wait()
        return used

    def _has_ended(self) -> bool:
        # WNOWAIT keeps the process in /proc, so that its times can be read.
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


async def restart_in_turn(server: Server) -> Result:
    """Restart four workers under 10,000 clients in rooms of 10; who is cut connects again at once.

    ``server`` itself is not used.
    """
    async with _workers(server) as workers:
        clients = RawClients(SOURCES)
        missing = await clients.connect(_targets(workers[0].port, CLIENTS), 100)
        if missing:
            raise RuntimeError(f"{missing} clients have not connected; refused: {clients.refusal or 'none'}")
        await asyncio.sleep(1)
        clients.forget()
        clients.returning = True
        meter, began = Meter(), time.monotonic()
        used = -sum(worker.cpu_s() for worker in workers)
        starts = 0.0
        for index, old in enumerate(workers):
            used += await old.end()
            new = workers[index] = Worker(server, old.listener)
            new.__enter__()
            await new.serving()
            starts += new.cpu_s()
        served_at = time.monotonic()
        await clients.settle(CLIENTS)
        client_cpu_pct = meter.read()["client_cpu_pct"]
        used += sum(worker.cpu_s() for worker in workers) - starts
        returns = len(clients.waited)
        result = {
            "seconds": max(served_at, clients.opened_at) - began,
            "returns": returns,
            "away_s": clients.away_s,
            "rate": returns / clients.away_s,
            "waited_s": clients.longest_wait_s(),
            "us": 1e6 * used / returns,
            "start_ms": 1e3 * starts / WORKERS,
            "lost": CLIENTS - clients.open,
            "client_cpu_pct": client_cpu_pct,
        }
        clients.close()
        return result


@contextlib.asynccontextmanager
async def _workers(server: Server) -> AsyncIterator[list[Worker]]:
    """Start workers on one socket; end those that are in the list at the end."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(BACKLOG)
        workers = [Worker(server, listener) for _ in range(WORKERS)]
        try:
            for worker in workers:
                worker.__enter__()
                await worker.serving()
            yield workers
        finally:
            for worker in workers:
                if worker.process is not None:  # it would take a while to end its connections
                    worker.process.kill()
                worker.__exit__()
