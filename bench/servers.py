"""The processes of a run: a server pinned to one core, and Redis on the other one with the load."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.peers import BEFORE, COLLECTING, RESUMABLE, RESUMES, app_of, environment_of, fast_of

__all__ = ["CACHE", "LOAD_CORE", "SERVER_CORE", "Server", "empty", "free_port", "python_of", "redis_server"]

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".cache" / "bench"
SERVER_CORE, LOAD_CORE = 0, 1
START_TIMEOUT_S, STOP_TIMEOUT_S = 20, 3
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def python_of(environment: str) -> str:
    """Return the interpreter of an environment that ``bench/prepare`` creates."""
    return str(CACHE / environment / "bin" / "python")


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """A uvicorn process that serves a peer's application during the ``with`` block.

    ``options`` are further options of uvicorn; by default every peer runs with uvicorn's defaults.
    """

    def __init__(self, peer: str, redis_port: int = 0, options: tuple[str, ...] = ()) -> None:
        self.peer = peer
        self.port = free_port()
        self.redis_port = redis_port
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, listen: Sequence[str], pass_fds: Sequence[int] = ()) -> None:
        """Start the process; ``listen`` are uvicorn's options for it, ``pass_fds`` stay open in it."""
        command = ["taskset", "-c", str(SERVER_CORE), python_of(environment_of(self.peer)), "-m", "uvicorn"]
        command += [f"apps.{app_of(self.peer)}:app", *listen, "--no-access-log", "--log-level", "error"]
        environment = os.environ | {
            "BENCH_REDIS": f"redis://127.0.0.1:{self.redis_port}/0",
            "CHANNEL_FAST": fast_of(self.peer),
            "CHANNEL_GC": str(int(COLLECTING in self.peer)),
        }
        if self.peer.endswith(BEFORE):
            environment["PYTHONPATH"] = _before()
        with open(CACHE / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options],
                cwd=HERE,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=pass_fds,
            )

    def __enter__(self) -> Server:
        self.start(["--port", str(self.port)])
        assert self.process is not None
        try:
            _await_port(self.port, self.process)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self.process is not None:
            _end(self.process)

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        assert self.process is not None
        return self.process.pid

    def cpu_s(self) -> float:
        """Return the user and system time of all threads in seconds, to the nanosecond."""
        clock = ctypes.c_int()
        if error := ctypes.CDLL(None).clock_getcpuclockid(self.pid, ctypes.byref(clock)):
            raise OSError(error, os.strerror(error))
        return time.clock_gettime(clock.value)

    def rss(self) -> int:
        """Return the resident memory in bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE_BYTES

    @property
    def resumable(self) -> bool:
        """Whether this peer's clients can come back."""
        return RESUMABLE in self.peer

    def url(self, path: str) -> str:
        """Return the address of ``path`` for this peer's clients; its fragment says what they speak."""
        if self.peer.startswith("socketio"):
            path = "/socket.io/?EIO=4&transport=websocket"
        return self.plain_url(path) + RESUMES * self.resumable

    def plain_url(self, path: str) -> str:
        """Return the address of ``path`` for a client that cannot come back."""
        return f"ws://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def redis_server() -> Iterator[int]:
    """Run a Redis without persistence on the load's core; yield its port."""
    port = free_port()
    command = ["taskset", "-c", str(LOAD_CORE), "redis-server", "--port", str(port), "--save", ""]
    with subprocess.Popen([*command, "--appendonly", "no"], stdout=subprocess.DEVNULL) as process:
        try:
            _await_port(port, process)
            yield port
        finally:
            _end(process)


def empty(redis_port: int) -> None:
    """Have Redis forget what earlier peers have left: it would expire while others are measured."""
    with socket.create_connection(("127.0.0.1", redis_port), timeout=60) as connection:
        connection.sendall(b"FLUSHALL SYNC\r\n")
        answer = connection.recv(1024)
    if answer != b"+OK\r\n":
        raise RuntimeError(f"Redis was to be emptied, and has answered {answer!r}")


def _before() -> str:
    checkout = os.environ.get("BENCH_BEFORE", "")
    if not (Path(checkout) / "compat").is_dir():
        raise RuntimeError(f"peers that end with {BEFORE} need BENCH_BEFORE, a checkout: {checkout!r}")
    return str(Path(checkout).resolve())


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen on {port}; see {CACHE / 'server.log'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
