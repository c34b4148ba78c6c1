"""A server under attack, and what is looked at meanwhile: bystanders, log, memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.environments import Environment
from tests.support.processes import UNCOVERED, child_environment
from tests.support.servers import Server, served

__all__ = ["LAYERS", "Attacked", "serve_consumers", "serve_site"]

LAYERS = ("memory", "queue", "queue-json", "pubsub", "pubsub-json")
"""Aliases of the layers in consumers_app.py."""
FOLDER = Path(__file__).parent
SITE = FOLDER / "site"
LEFT_THE_APPLICATION = re.compile(
    r"Exception in ASGI application|Exception in callback|was never retrieved|was never awaited"
    r"|Unhandled exception|Exception ignored in|Fatal Python error|Task was destroyed"
    r"|exception calling callback|RuntimeWarning"
)
"""What servers, asyncio and the interpreter write of an exception that an application let pass."""
ERROR = re.compile(r"^(?:\w*\.)*(\w+(?:Error|Exception|Exceeded|Warning))\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class Seen:
    """What the bystanders saw since they were asked before."""

    longest_ms: float
    """The longest wait for an echo, without the time for which the machine was to blame."""
    excused_ms: float
    """That time, of the same echo."""
    where: str
    echoes: int
    dead: list[str]


class Attacked:
    """A server, its bystanders and its log."""

    def __init__(self, server: Server, paths: Sequence[str]) -> None:
        self.server = server
        script = str(FOLDER / "bystander.py")
        arguments = (str(server.process.pid), server.host, str(server.port), *paths)
        self._bystander = subprocess.Popen(
            (sys.executable, "-S", script, *arguments),
            env=child_environment(UNCOVERED),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read_up_to = 0
        assert self._line() == "ready", server.log()

    def _line(self) -> str:
        assert self._bystander.stdout is not None
        return self._bystander.stdout.readline().strip()

    def bystanders(self) -> Seen:
        """What they have seen since the last call; at least one echo of each is among it."""
        assert self._bystander.stdin is not None
        self._bystander.stdin.write("\n")
        self._bystander.stdin.flush()
        line = self._line()
        assert line, f"the bystanders ended with {self._bystander.wait(10)}"
        return Seen(**json.loads(line))

    def new_log(self) -> str:
        """What the server has written since the last call."""
        log = self.server.log()
        new, self._read_up_to = log[self._read_up_to :], len(log)
        return new

    def check(self, what: str, *, stall_ms: float, errors: Sequence[str] | None = None) -> Seen:
        """AssertionError, naming `what`, unless all is well since the last call.

        `errors`: classes of errors that tracebacks in the log may be of; None for any.
        """
        seen = self.bystanders()
        log = self.new_log()
        assert self.server.process.returncode is None, f"{what}: the server ended\n{log[-4000:]}"
        assert not seen.dead, f"{what}: connections of bystanders ended: {seen.dead}\n{log[-4000:]}"
        assert seen.longest_ms < stall_ms, (
            f"{what}: no echo on {seen.where} for {seen.longest_ms:.0f} ms (and {seen.excused_ms:.0f} ms "
            f"that the machine took)\n{log[-4000:]}"
        )
        left = LEFT_THE_APPLICATION.search(log)
        if left and errors and set(ERROR.findall(log)) <= set(errors):
            left = None
        assert left is None, f"{what}: an exception left the application ({left}):\n{log[-6000:]}"
        if errors is not None and "Traceback (most recent call last)" in log:
            kinds = set(ERROR.findall(log))
            assert kinds <= set(errors), f"{what}: tracebacks of {sorted(kinds)} in the log:\n{log[-6000:]}"
        return seen

    def memory(self) -> int:
        """Bytes that the server's process has in memory now."""
        return _status(self.server.process.pid, "VmRSS")

    def peak_memory(self) -> int:
        """The most that it has had since `forget_peak()`."""
        return _status(self.server.process.pid, "VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.server.process.pid}/clear_refs").write_text("5")

    def cpu_s(self) -> float:
        """Seconds of processor that it has used."""
        fields = Path(f"/proc/{self.server.process.pid}/schedstat").read_text().split()
        return int(fields[0]) / 1e9

    def close(self) -> None:
        assert self._bystander.stdin is not None and self._bystander.stdout is not None
        self._bystander.stdin.close()
        try:
            self._bystander.wait(10)
        except subprocess.TimeoutExpired:
            self._bystander.kill()
            self._bystander.wait(10)
        self._bystander.stdout.close()


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {name} of process {pid}")


UVICORN = ("--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning")


@contextmanager
def serve_site(
    env: Environment, log: Path, *, shim: bool = True, debug: bool = False, timed: bool = False
) -> Iterator[Attacked]:
    """The project of `site`: by the shim, or (`shim=False`) by what is installed in `env`."""
    command = [env.path("uvicorn"), "attacked.asgi:application", *UVICORN]
    variables = {"ATTACKED_DEBUG": "1" if debug else "0", **(UNCOVERED if timed else {})}
    if shim:
        variables["DJANGO_SHIM"] = "1"
    with served(command, cwd=SITE, log=log, env=variables) as server:
        attacked = Attacked(server, ["/ws/echo/"])
        try:
            yield attacked
        finally:
            attacked.close()


@contextmanager
def serve_consumers(
    env: Environment, log: Path, redis_url: str, prefix: str, *, timed: bool = False
) -> Iterator[Attacked]:
    """The consumers of `consumers_app.py`, with a bystander on each layer; `prefix`: of keys in Redis."""
    variables = {"REDIS_URL": redis_url, "HOSTILE_PREFIX": prefix, **(UNCOVERED if timed else {})}
    command = [env.path("uvicorn"), "tests.hostile.consumers_app:application", *UVICORN]
    with served(command, cwd=FOLDER.parents[1], log=log, env=variables) as server:
        attacked = Attacked(server, ["/echo/", "/sync/", *(f"/room/{alias}/bystander/" for alias in LAYERS)])
        try:
            yield attacked
        finally:
            attacked.close()
