"""Where a system is tried: its servers, its Redis, and the notes of the servers."""

from __future__ import annotations

import json
from pathlib import Path

from bench.faults.processes import Client, Redis, Server
from bench.faults.systems import PING_S, PONG_S, System
from bench.servers import CACHE

__all__ = ["Place"]


class Place:
    """The servers of a system, which run until the block ends: one in memory, or two over a Redis."""

    def __init__(self, system: System, folder: Path, *, over_redis: bool) -> None:
        self.system = system
        self.folder = folder
        self.redis = Redis(folder) if over_redis else None
        self.environment = {
            "FAULTS_FOLDER": str(folder),
            "FAULTS_PING_S": str(PING_S),
            "FAULTS_PONG_S": str(PONG_S),
            "NODE_PATH": str(CACHE / "node" / "node_modules"),
        }
        if self.redis is not None:
            self.environment["FAULTS_REDIS"] = self.redis.url
        command = system.server_command()
        self.servers = [Server(command, self.environment, folder) for _ in range(2 if over_redis else 1)]
        self._notes = folder / "notes"
        self._notes.touch()

    def __enter__(self) -> Place:
        try:
            if self.redis is not None:
                self.redis.start()
            for server in self.servers:
                server.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for child in (*self.servers, self.redis):
            if child is not None:
                child.kill()

    def client(self, port: int, who: str) -> Client:
        """Return a client that connects to ``port`` when it is started."""
        return Client(self.system.client_command(port, who), self.environment, self.folder)

    def notes(self, what: str, who: str) -> list[int]:
        """Return the numbers of what the servers have noted of a client."""
        whole, _, _ = self._notes.read_text(encoding="utf-8").rpartition("\n")  # a line may be half written
        lines = whole.splitlines()
        return [number for kind, whose, number in map(json.loads, lines) if (kind, whose) == (what, who)]

    def open_gate(self, who: str) -> None:
        """Let the handler that waits go on."""
        (self.folder / who).touch()
