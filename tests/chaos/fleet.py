"""The server of a run: uvicorn with one worker or several, on a port that it keeps."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.chaos.schedule import Plan
from tests.history.fleet import LAYERS
from tests.support.layers import unique_prefix
from tests.support.paths import REPO
from tests.support.processes import UNCOVERED, Process, children, free_port
from tests.support.servers import worker_options
from tests.support.waiting import until

__all__ = ["Fleet"]

DEADLINE_S = 90.0
IN_MEMORY = "compat.layers.InMemoryChannelLayer"


class Fleet:
    """Processes of ``tests.chaos.app``. Its methods block; what they begin is over when they return."""

    def __init__(self, plan: Plan, folder: Path, hosts: Sequence[Any]) -> None:
        self.port = free_port()
        self.killed: dict[int, float] = {}
        """Processes that had no time to say anything, and when."""
        self.notes = folder / "notes"
        self._count = plan.workers
        self._folder = folder
        self._log = folder / "server.log"
        self._command = [sys.executable, "-m", "uvicorn", "tests.chaos.app:app", "--port", str(self.port)]
        self._command += ["--ws", plan.websockets, "--log-level", "warning"]
        if self._count > 1:
            self._command += worker_options(self._count)
        self._env = {
            "PYTHONPATH": os.fspath(REPO),
            "CHANNEL_FAST": plan.fast,
            "CHAOS_DRAIN": str(plan.drain),
            "CHAOS_HOSTS": json.dumps(hosts),
            "CHAOS_LAYER": LAYERS.get(plan.kind, IN_MEMORY),
            "CHAOS_NOTES": os.fspath(self.notes),
            "CHAOS_PARK": str(plan.park),
            "CHAOS_PREFIX": unique_prefix(),
            "CHAOS_SECRET": "a key that only these servers have",
            **UNCOVERED,
        }
        self._process: Process
        self.start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """All that the servers have logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        self._process = Process(self._command, cwd=REPO, log=self._log, env=self._env)
        self._process.wait_listening(self.port)
        self._until_whole(set())

    def stop(self) -> None:
        """End it in order."""
        before = {pid: time.time() for pid in self.workers()}
        if self._process.stop(deadline_s=DEADLINE_S) == -signal.SIGKILL:
            self.killed |= before
            raise AssertionError(f"the server has not stopped within {DEADLINE_S:g} s")

    def end(self) -> None:
        """Leave nothing behind, whatever has happened."""
        self._process.stop(signal.SIGKILL)

    def workers(self) -> list[int]:
        """The processes that serve."""
        if self._count == 1:
            return [self._process.pid]
        return sorted(pid for pid in children(self._process.pid) if b"spawn_main" in _command_of(pid))

    def kill_worker(self, which: int) -> int:
        """End one without a word, and return its PID; another one takes its place."""
        pid = self._one_of(which)
        self.killed[pid] = time.time()
        if self._count == 1:
            self._process.stop(signal.SIGKILL)
            self.start()
        else:
            os.kill(pid, signal.SIGKILL)
            self._until_whole({pid})
        return pid

    def end_worker(self, which: int) -> int:
        """End one in order, and return its PID; another one takes its place."""
        pid = self._one_of(which)
        os.kill(pid, signal.SIGTERM)
        self._until_whole({pid})
        return pid

    def replace_workers(self) -> None:
        """End one after the other in order; each time another one takes its place."""
        before = set(self.workers())
        self._process.send_signal(signal.SIGHUP)
        self._until_whole(before)

    def _one_of(self, which: int) -> int:
        pids = self.workers()
        return pids[which % len(pids)]

    def _until_whole(self, without: set[int]) -> None:
        """Until there are as many workers as there should be, and none of those."""
        until(
            lambda: len(pids := self.workers()) == self._count and not without & set(pids),
            f"{self._count} workers, without {without}",
            deadline_s=DEADLINE_S,
        )


def _command_of(pid: int) -> bytes:
    with suppress(OSError):  # it has ended
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
