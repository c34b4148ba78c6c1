"""The watch on event loops finds what it is for, and nothing else."""

from __future__ import annotations

import hashlib
import linecache
import subprocess
import sys
import threading
import time
import tokenize
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from compat.generic.websocket import AsyncWebsocketConsumer
from tests.support import watch
from tests.support.clients import Client
from tests.support.paths import REPO
from tests.support.servers import LiveServer, served
from tests.support.waiting import until

pytestmark = pytest.mark.holds_the_loop


class Holding(AsyncWebsocketConsumer):
    async def receive(self, text_data: str) -> None:
        await getattr(self, text_data)()
        await self.send(text_data="done")

    async def sleeping(self) -> None:
        time.sleep(1.0)

    async def waiting_for_a_lock(self) -> None:
        threading.Event().wait(1.0)

    async def computing(self) -> None:
        end = time.thread_time() + 1.0
        while time.thread_time() < end:
            pass

    async def hashing(self) -> None:
        """In C, without the interpreter's lock."""
        end = time.thread_time() + 1.0
        while time.thread_time() < end:
            hashlib.pbkdf2_hmac("sha256", b"x", b"y", 20_000)

    async def telling(self) -> None:
        traceback.format_stack()

    async def quick(self) -> None:
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            pass


application = Holding.as_asgi()


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    with LiveServer(Holding.as_asgi(), loop=request.param) as server:
        yield server


@pytest.mark.parametrize("how", ["sleeping", "waiting_for_a_lock", "computing", "hashing"])
def test_a_callback_that_holds_the_loop_is_named(server: LiveServer, how: str) -> None:
    with Client(server, "/") as client:
        client.send(how)
        assert client.receive() == "done"
    (found,) = watch.collect()
    assert f"in {how}" in found and "a callback " in found


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_callback_of_a_server_process_is_named(tmp_path: Path, loop: str) -> None:
    command = [sys.executable, "-m", "uvicorn", "tests.faults.test_watch:application", "--port", "{port}"]
    with served([*command, "--loop", loop], cwd=REPO, log=tmp_path / "server.log") as server:
        with Client(server, "/") as client:
            for how in ("quick", "sleeping", "quick"):
                client.send(how)
                assert client.receive() == "done"
    (found,) = watch.collect()
    assert "in sleeping" in found


def test_many_that_are_quick_are_none(server: LiveServer) -> None:
    """Beside a process and a thread that compute, which the loop's thread has to wait for."""
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            pass

    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    thread = threading.Thread(target=compute)
    thread.start()
    try:
        with Client(server, "/") as client, Client(server, "/") as other:
            for _ in range(20):
                client.send("quick")
                other.send("quick")
            for _ in range(20):
                assert client.receive() == other.receive() == "done"
    finally:
        over.set()
        thread.join()
        hog.kill()
        hog.wait()
    assert watch.collect() == []


def test_a_disk_that_is_slow_with_the_source_for_a_traceback_is_left_out(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow: list[str] = []

    def read(name: str) -> TextIO:
        if threading.current_thread().name != "loop watch":  # it reads the same lines, to tell of them
            slow.append(name)
            time.sleep(0.4)
        return read_source(name)

    read_source = tokenize.open
    linecache.clearcache()
    monkeypatch.setattr(tokenize, "open", read)
    with Client(server, "/") as client:
        client.send("telling")
        assert client.receive() == "done"
    assert __file__ in slow
    assert watch.collect() == []


def test_a_watch_that_cannot_look_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    looker = watch.Watch(None, threading.current_thread(), told=told.append)

    def fails() -> None:
        raise TypeError("a frame that has changed")

    monkeypatch.setattr(looker, "_callback", fails)
    looker.start()
    try:
        until(lambda: told, "it is told")
    finally:
        looker.stop()
    assert len(told) == 1 and "TypeError: a frame that has changed" in told[0]


THREADS_START = """
import gc, threading, time
from tests.support.watch import Watch

watched = threading.Thread(target=time.sleep, args=(60,), daemon=True)
watched.start()
watch = Watch(None, watched)
gc.callbacks.append(lambda phase, info: time.sleep(0))  # lets another thread go on
gc.set_threshold(1, 1, 1)

def look():
    while True:
        watch._callback()

threading.Thread(target=look, daemon=True).start()
for _ in range(100):
    started = threading.Thread(target=lambda: [[] for _ in range(20)])
    started.start()
    started.join()
print("a hundred")
"""


def test_threads_start_while_it_looks() -> None:
    """CPython up to 3.12 waits for ever where the collector runs while the frames of threads are read."""
    command = [sys.executable, "-c", THREADS_START]
    done = subprocess.run(command, cwd=REPO, timeout=60, capture_output=True, text=True, check=True)
    assert done.stdout == "a hundred\n"


FRAMES_END = """
import gc, re, sys, threading, time
from tests.support.watch import Watch

watch = Watch(None, threading.main_thread())
sys.setswitchinterval(1e-6)
gc.callbacks.append(lambda phase, info: time.sleep(0))  # lets another thread go on
gc.set_threshold(1, 1, 1)

def look():
    while True:
        watch._callback()

threading.Thread(target=look, daemon=True).start()
for _ in range(1_000):
    re.purge()
    re.compile(r"(a|b)*[c-f]{2,3}(?P<name>\\d+)|(?:x(y(z)))")
print("a thousand")
"""


def test_frames_end_while_it_looks() -> None:
    """CPython up to 3.11 crashes where the collector runs in ``f_back``, and the frame's function returns."""
    command = [sys.executable, "-c", FRAMES_END]
    done = subprocess.run(command, cwd=REPO, timeout=60, capture_output=True, text=True, check=True)
    assert done.stdout == "a thousand\n"
