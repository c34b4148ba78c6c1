"""A watch on event loops: no callback may hold one for longer than 100 ms where the test does not ask for it.

A thread looks at the stack of each loop's own thread. When it finds a callback at work twice in a row, it
asks the loop to call a function; as long as that has not been called, it is the same turn of the loop. A
callback has held the loop when in that turn

- it has used 100 ms of processor time (garbage collections are left out; on a processor that is slow at that
  moment, so much more), or
- it has slept for 100 ms, in the eyes of the operating system, at each look in that time (but not until a
  thread that it has started runs, which is up to the machine).

Neither is counted in imports, while Python reads lines of source for a traceback or a warning, and in the
report of what the tests cover. What the loop's thread waits for the processor, because the machine is busy,
counts as neither. An idle loop is never woken, so nothing that somebody forgot to wake is woken by the watch.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

__all__ = ["LIMIT_S", "Watch", "collect", "process", "watched"]

LIMIT_S = 0.1
LOOK_S = 0.01
QUIET_LOOK_S = 0.04
"""The time between two looks at a loop that does little: dozens of servers wait while others are tested."""
QUIET_S = 0.001
"""Processor time between two looks up to which a loop does little."""
LOOKS = 4
FAILS = 3
"""How often a look may fail before this is told, as what was found is."""

STEPS = 20_000
STEPS_S = 0.001
"""How long ``STEPS`` additions take at most on a processor that nobody shares."""

RUNNERS = ("asyncio/runners.py", "uvicorn/_compat.py")
"""Where ``run_until_complete()`` of a loop in C is called."""

LOOPS_OWN = ("run_until_complete", "run_forever", "select")
"""What a loop calls beside callbacks."""

IMPORTS = ("_find_and_load", "_call_with_frames_removed")
READERS = ("coverage/control.py", "/linecache.py")
"""Coverage saves its report in a signal's handler, which the loop calls; linecache keeps what it has read."""

_found: list[str] = []


class Watch:
    """Looks at the thread of one loop, from ``start()`` to ``stop()``, which other threads call."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None,
        thread: threading.Thread,
        told: Callable[[str], object] | None = None,
    ) -> None:
        self.loop = loop
        """None: the one that the thread's stack shows."""
        self.thread = thread
        self.found: list[str] = []
        self.told = told or self.found.append
        self._looker = threading.Thread(target=self._look_on, name="loop watch", daemon=True)
        self._over = threading.Event()
        self._collecting_s = 0.0
        self._began = 0.0

    def start(self) -> None:
        gc.callbacks.append(self._collected)
        self._looker.start()

    def stop(self) -> None:
        self._over.set()
        self._looker.join()
        gc.callbacks.remove(self._collected)

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        if threading.get_ident() == self.thread.ident:
            if phase == "start":
                self._began = time.thread_time()
            else:
                self._collecting_s += time.thread_time() - self._began
                self._began = 0.0

    def _processor_s(self) -> float:
        """Processor time of the loop's thread."""
        assert self.thread.ident is not None
        return time.clock_gettime(time.pthread_getcpuclockid(self.thread.ident))

    def _used_s(self) -> float:
        """Processor time of the loop's thread, less what the garbage collector took."""
        used = self._processor_s()
        began = self._began  # of a collection that is under way
        return (began or used) - self._collecting_s

    def _look_on(self) -> None:
        failed, used_s, pause_s = 0, 0.0, LOOK_S
        while not self._over.wait(pause_s):
            try:
                before_s, used_s = used_s, self._processor_s()
                pause_s = LOOK_S if used_s - before_s > QUIET_S else QUIET_LOOK_S
                if self._works() and not self._over.wait(LOOK_S) and self._works():
                    self._look_closely()
            except (OSError, RuntimeError):  # the thread, or its loop, has ended
                return
            except Exception:  # noqa: BLE001 - the thread goes on while its frames are read
                failed += 1
                if failed == FAILS:
                    self.told(f"the watch has failed {FAILS} times:\n{traceback.format_exc()}")

    def _works(self) -> bool:
        return self._callback() is not None

    def _look_closely(self) -> None:
        """Look until the loop's next turn."""
        turned = threading.Event()
        last, began, used, sleeping, since = None, 0.0, 0.0, 0, 0.0
        loop = self.loop or self._loop()
        if loop is None:
            return
        loop.call_soon_threadsafe(turned.set)
        while not turned.is_set():
            callback, before, used = self._callback(), used, self._used_s()
            now = time.perf_counter()
            if callback is None or callback.root is not last or _is_left_out(callback.frames):
                last, began, sleeping = None if callback is None else callback.root, used, 0
            else:
                # A thread that waits for the interpreter's lock sleeps too, but goes on now and then.
                sleeping = sleeping + 1 if self._sleeps() and used - before < LOOK_S / 10 else 0
                if sleeping == 1:
                    since = now
                computed, slept = used - began, now - since if sleeping >= LOOKS else 0.0
                computed_too_long = computed >= LIMIT_S and computed >= LIMIT_S * _slowness()
                if (computed_too_long or slept >= LIMIT_S) and not turned.is_set():
                    how = (
                        f"computes for {computed:.2f} s" if computed_too_long else f"waits for {slept:.2f} s"
                    )
                    self.told(f"a callback {how}, and the event loop with it:\n{_told(callback.frames)}")
                    while not turned.wait(LOOK_S) and not self._over.is_set():
                        pass
                    return
            del callback
            if self._over.wait(LOOK_S):
                return

    def _sleeps(self) -> bool:
        """Whether the operating system has the thread wait for something other than a processor."""
        stat = Path(f"/proc/self/task/{self.thread.native_id}/stat").read_text(encoding="utf-8")
        return stat.rpartition(")")[2].split()[0] in "SD"

    def _callback(self) -> Callback | None:
        """What the loop runs; None while it waits, or does something of its own."""
        frames = _frames_of(self.thread)
        for frame, outer in pairwise(frames):
            if self._runs_the_loop(outer):
                if self._runs_the_loop(frame) or frame.f_code.co_name in LOOPS_OWN:
                    return None
                return Callback(frame, frames)
        return None

    def _runs_the_loop(self, frame: FrameType) -> bool:
        code = frame.f_code
        return code.co_name == "_run_once" or code.co_filename.endswith(RUNNERS)

    def _loop(self) -> asyncio.AbstractEventLoop | None:
        for frame in _frames_of(self.thread):
            if self._runs_the_loop(frame):
                names = frame.f_locals
                for found in (
                    names.get("self"),
                    names.get("loop"),
                    getattr(names.get("self"), "_loop", None),
                ):
                    if isinstance(found, asyncio.AbstractEventLoop):
                        return found
        return None


_reading_frames = threading.Lock()


def _frames_of(thread: threading.Thread) -> list[FrameType]:
    """What a thread runs, innermost first; nothing before it begins and after its end.

    CPython up to 3.11 may collect garbage whenever it makes the object of a frame, which runs Python code and
    lets another thread go on. While all threads are looked at, one that starts a thread would wait for ever,
    with the interpreter's lock; in the middle of ``f_back``, the thread whose frame it is may return from it,
    and the process crashes.
    """
    with _reading_frames:
        collects = gc.isenabled()
        gc.disable()
        try:
            frames, frame = [], sys._current_frames().get(thread.ident or 0)
            while frame is not None:
                frames.append(frame)
                frame = frame.f_back
            return frames
        finally:
            if collects:
                gc.enable()


class Callback(NamedTuple):
    """The frames of a callback that runs."""

    root: FrameType
    """The outermost: another one for each callback, but for the coroutine of a task on uvloop."""
    frames: list[FrameType]
    """All of the thread, innermost first."""


def _slowness() -> float:
    """How many times as much processor time something takes now: others may share the core."""
    began, total = time.thread_time(), 0
    for step in range(STEPS):
        total += step
    return max(1.0, (time.thread_time() - began) / STEPS_S)


def _is_left_out(frames: list[FrameType]) -> bool:
    return any(
        code.co_name in IMPORTS or code.co_filename.endswith(READERS) or _starts_a_thread(code)
        for code in (frame.f_code for frame in frames)
    )


def _starts_a_thread(code: CodeType) -> bool:
    return code.co_name == "start" and code.co_filename == threading.__file__


def _told(frames: list[FrameType]) -> str:
    last = [(frame, frame.f_lineno) for frame in frames[11::-1]]
    return "".join(traceback.StackSummary.extract(last).format())


@contextmanager
def watched(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> Iterator[Watch]:
    """Watch ``loop``, which ``thread`` runs; what is found is what ``collect()`` returns next."""
    watch = Watch(loop, thread)
    watch.start()
    _running.append(watch)
    try:
        yield watch
    finally:
        watch.stop()
        _running.remove(watch)
        _found.extend(watch.found)


_running: list[Watch] = []
_reports: list[Path] = []


@contextmanager
def process(report: Path) -> Iterator[None]:
    """A process that writes to ``report`` what a watch on its loop finds is running."""
    _reports.append(report)
    try:
        yield
    finally:
        _found.extend(_read(report))
        _reports.remove(report)


def collect() -> list[str]:
    """What has been found since the last call."""
    found, _found[:] = _found[:], []
    for watch in tuple(_running):
        found += watch.found
        watch.found.clear()
    for report in tuple(_reports):
        found += _read(report)
    return found


def _read(report: Path) -> list[str]:
    try:
        found = report.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    report.unlink()
    return [found]
