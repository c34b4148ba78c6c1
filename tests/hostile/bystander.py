"""Somebody else's connections, in a process of their own: `python bystander.py PID HOST PORT PATH…`.

Holds a websocket on each path, sends a text to one after the other and waits for its echo. On each line of
its standard input it prints what it has seen since the line before, as JSON: `longest_ms`, the longest wait
for an echo, `echoes`, how many came, and `dead`, the paths whose connection ended. While an echo is overdue
the answer waits for it; after 20 s it counts as dead.

A wait counts without the time for which the machine, and not the server, is to blame: that for which the
server's process (PID) or this one could run and was not given a processor, as the kernel counts it
(/proc/PID/task/TID/schedstat), and that which the hypervisor took (steal, /proc/stat). On a quiet machine
that is nothing; a loop that is blocked, be it in a computation or in a sleep, is not excused on any.

It stands alone: it imports nothing of the tests, so that it begins at once and is not held up by them.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time

DEAD_S = 20.0
PAUSE_S = 0.02


def waited_for_processor(pid: int) -> dict[str, int]:
    """Nanoseconds that each thread of the process has waited for a processor, so far."""
    waited = {}
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as file:
                waited[thread] = int(file.read().split()[1])
    except OSError:
        pass  # a thread, or the process, has ended meanwhile
    return waited


def stolen_s() -> float:
    """Seconds that the hypervisor has taken from this machine's busiest processor, so far."""
    with open("/proc/stat", "rb") as file:
        lines = [line.split() for line in file if line.startswith(b"cpu") and line[3:4].isdigit()]
    return max(int(fields[8]) for fields in lines) / os.sysconf("SC_CLK_TCK")


class Excuses:
    """How long the machine kept the server, or this process, from running since this was made."""

    def __init__(self, pid: int) -> None:
        self._processes = (pid, os.getpid())
        self._before = [waited_for_processor(one) for one in self._processes]
        self._stolen_s = stolen_s()

    def seconds(self) -> float:
        """The loop's thread, the worst of the others (which may have held the interpreter), and this one."""
        nanoseconds = 0
        for pid, before in zip(self._processes, self._before, strict=True):
            waits = {
                thread: waited - before.get(thread, 0) for thread, waited in waited_for_processor(pid).items()
            }
            nanoseconds += waits.pop(str(pid), 0) + max(waits.values(), default=0)
        return nanoseconds / 1e9 + stolen_s() - self._stolen_s


class Line:
    """One websocket; `echo()` is False once it has ended."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self.path = path
        self.alive = True
        self._socket = socket.create_connection((host, port), timeout=DEAD_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: localhost",
            "Origin: http://localhost",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._came = b""
        while b"\r\n\r\n" not in self._came:
            self._read()
        head, _, self._came = self._came.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise SystemExit(f"{path}: {head!r}")

    def _read(self, until: float = float("inf")) -> None:
        if time.monotonic() > until:
            raise TimeoutError("no echo")
        self._socket.settimeout(min(DEAD_S, max(0.01, until - time.monotonic())))
        piece = self._socket.recv(65536)
        if not piece:
            raise ConnectionError("closed")
        self._came += piece

    def echo(self, text: bytes) -> bool:
        """Send a short text and wait until it comes back; pings are answered meanwhile."""
        until = time.monotonic() + DEAD_S
        try:
            self._socket.sendall(bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text)
            while True:
                while len(self._came) < 2 or len(self._came) < 2 + self._came[1]:
                    self._read(until)
                opcode, size = self._came[0] & 15, self._came[1]
                payload, self._came = self._came[2 : 2 + size], self._came[2 + size :]
                if opcode == 9:
                    self._socket.sendall(bytes([0x8A, 0x80 | size]) + b"\0\0\0\0" + payload)
                elif opcode == 8:
                    raise ConnectionError("closed")
                elif payload == text:
                    return True
        except OSError:
            self.alive = False
            return False


def main(pid: int, host: str, port: int, paths: list[str]) -> None:
    """Echo in turn, and report whenever a line comes in."""
    lines = [Line(host, port, path) for path in paths]
    print("ready", flush=True)
    longest, where, excused, echoes, number = 0.0, "", 0.0, 0, 0
    asked = False
    while True:
        excuses = Excuses(pid)
        for line in lines:
            if not line.alive:
                continue
            number, began = number + 1, time.monotonic()
            if line.echo(b'"%d"' % number):
                echoes += 1
            took = time.monotonic() - began
            if took > longest:
                excuse = min(excuses.seconds(), took)
                if took - excuse > longest:
                    longest, where, excused = took - excuse, line.path, excuse
        if asked:  # a whole round has been made since
            seen = {
                "longest_ms": 1000 * longest,
                "excused_ms": 1000 * excused,
                "where": where,
                "echoes": echoes,
                "dead": [line.path for line in lines if not line.alive],
            }
            print(json.dumps(seen), flush=True)
            longest, where, excused, echoes, asked = 0.0, "", 0.0, 0, False
        if select.select([sys.stdin], [], [], PAUSE_S)[0]:
            if not sys.stdin.readline():
                return
            asked = True


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
