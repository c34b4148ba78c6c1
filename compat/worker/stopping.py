"""The signals that ask a worker to end, and the end of its process."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from compat.engine.draining import before_threads_are_joined

__all__ = ["begun_timer", "exit_without_handlers", "stopped_by_signals", "unhandled"]

DEFAULTS = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}


def unhandled() -> list[signal.Signals]:
    """Return those of SIGTERM and SIGINT that nobody handles or ignores; call it before the loop runs."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [number for number, default in DEFAULTS.items() if signal.getsignal(number) == default]


@contextmanager
def stopped_by_signals(numbers: list[signal.Signals], stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop()`` at the first of these signals; a second one then does what it does by default."""
    loop = asyncio.get_running_loop()

    def restore() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)

    def stop_once() -> None:
        restore()
        stop()

    with suppress(NotImplementedError):  # on Windows Ctrl-C stays a KeyboardInterrupt
        for number in numbers:
            loop.add_signal_handler(number, stop_once)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            restore()


def begun_timer(seconds: float, call: Callable[[], None]) -> threading.Timer:
    """Return a timer that has begun, and keeps no process from its end."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    return timer


def exit_without_handlers(seconds: float) -> None:
    """End the process if a thread in which a handler may be blocked keeps it ``seconds`` after it could exit.

    These are the threads that executors have now. What else the program does as it exits takes its time.
    """
    threads = tuple(getattr(concurrent.futures.thread, "_threads_queues", ()))

    def end() -> None:
        if any(thread.is_alive() for thread in threads):
            os._exit(1)

    before_threads_are_joined(partial(begun_timer, seconds, end))
