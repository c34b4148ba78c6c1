"""The signals that ask a worker to end."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["stopped_by_signals", "unhandled"]

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
