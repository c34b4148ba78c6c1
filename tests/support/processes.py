"""Child processes with a log, a deadline to become ready, and an end that is certain."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from random import SystemRandom

from tests.support import watch, watched
from tests.support.waiting import until

__all__ = [
    "UNCOVERED",
    "Process",
    "child_environment",
    "children",
    "free_port",
    "listening",
    "sockets_by_process",
]

UNCOVERED = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}
"""A process whose times count, or that handles SIGTERM, runs without coverage's measuring."""
# What the machine or the test run may have set and a child must not inherit by accident.
NOT_INHERITED = (
    "COMPAT_SETTINGS_MODULE",
    "DJANGO_SETTINGS_MODULE",
    "DJANGO_SHIM",
    "MAKEFLAGS",
    "MAKELEVEL",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONWARNINGS",
    "REDIS_URL",
    "VIRTUAL_ENV",
    "WEB_CONCURRENCY",
)


_reserved: deque[socket.socket] = deque()
"""Datagram sockets on the last ports that were given, so that tests in other processes are given others."""
RESERVED = 100


@atexit.register
def _release() -> None:
    while _reserved:
        _reserved.pop().close()


def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago, and is for this process's tests.

    It is below those that the kernel gives to clients and to servers that ask for any: one of them could have
    it before the server for which it is meant has come up, and be taken for that.
    """
    while True:
        port = SystemRandom().randrange(10_000, 32_000)  # Hypothesis decides what the other one says
        reservation = socket.socket(type=socket.SOCK_DGRAM)
        try:
            reservation.bind(("127.0.0.1", port))
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        _reserved.append(reservation)
        if len(_reserved) > RESERVED:
            _reserved.popleft().close()
        return port


def listening(port: int) -> bool:
    """Return True if a server accepts TCP connections on the port.

    While no server listens on a port that the kernel gives to clients, a client may get it as its own, and is
    connected to itself.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
            return bool(sock.getsockname() != sock.getpeername())
    except OSError:
        return False


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment less NOT_INHERITED, with output unbuffered, and `extra` on top."""
    env = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    env["PYTHONUNBUFFERED"] = "1"
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env.update(extra or {})
    return env


class Process:
    """A child in a process group of its own, stdout and stderr in one log file, its event loop under watch.

    `stop()` ends it and whatever it started; it may be called twice. As a context manager it stops on exit.
    """

    def __init__(
        self, command: Sequence[str], *, cwd: Path, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.command = list(command)
        self.log_path = log
        report = Path(f"{log}.watch")
        watching = {"WATCH_BY": watched.__file__, "WATCH_REPORT": str(report.resolve())}
        self._watched = ExitStack()
        self._watched.enter_context(watch.process(report))
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                self.command,
                cwd=cwd,
                env=child_environment({**watching, **(env or {})}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._popen.poll()

    def log(self) -> str:
        """All that it has written so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_listening(self, port: int, *, deadline_s: float = 60.0) -> None:
        """Until somebody listens on the port; AssertionError with the log if the process ends before."""
        until(
            lambda: self.returncode is not None or listening(port),
            f"{self.command} listening on port {port}",
            deadline_s=deadline_s,
        )
        assert self.returncode is None, f"{self.command} ended with {self.returncode}:\n{self.log()}"

    def wait_log(self, text: str, *, deadline_s: float = 60.0) -> str:
        """The log, once it contains `text`."""
        try:
            until(lambda: text in self.log(), f"{text!r} in the log", deadline_s=deadline_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; the log is:\n{self.log()}") from None
        return self.log()

    def send_signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def wait(self, *, deadline_s: float = 60.0) -> int:
        """The exit code; subprocess.TimeoutExpired when it does not end in time."""
        return self._popen.wait(deadline_s)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, deadline_s: float = 15.0) -> int:
        """Ask it to end, wait, and kill what is left of its group."""
        if self.returncode is None:
            self.send_signal(number)
            try:
                self.wait(deadline_s=deadline_s)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._watched.close()
        return self._popen.wait(10)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


def sockets_by_process(pid: int, port: int) -> dict[int, int]:
    """How many connections to that local port each child of `pid` holds, for those that hold any."""
    established = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].partition(":")[2], 16) == port and fields[3] == "01":
            established.add(f"socket:[{fields[9]}]")
    counts: dict[int, int] = {}
    for child in children(pid):
        count = sum(_link(fd) in established for fd in Path(f"/proc/{child}/fd").iterdir())
        if count:
            counts[child] = count
    return counts


def children(pid: int) -> list[int]:
    """The processes that this one has started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            found += map(int, (task / "children").read_text().split())
    return found


def _link(fd: Path) -> str:
    try:
        return str(fd.readlink())
    except OSError:  # closed meanwhile
        return ""
