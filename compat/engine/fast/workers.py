"""What a pool's queue holds, and the state of the threads that work on it."""

from __future__ import annotations

import threading
from typing import Any, Protocol

__all__ = ["Place", "Runnable", "Worker"]


class Runnable(Protocol):
    """The methods of a connection that the pool calls."""

    def run_next(self, worker: Worker) -> None:
        """Handle one message, and release the token; called in a worker thread."""

    def kind(self) -> Any:
        """Return a key for the handler that runs, under which the pool remembers that it is slow, or None."""

    def wake(self) -> None:
        """Wake the connection's task, to send frames or to end; called on the event loop."""


class Place(Protocol):
    """The place for a client's frame in its inbox."""

    def free_frame(self) -> None:
        """Have the reader of the socket bring the next frame; called on the event loop."""


class Worker:
    """The state of one worker thread, which the event loop reads."""

    __slots__ = ("bell", "connection", "given_up", "seen", "slow", "turns")

    def __init__(self) -> None:
        self.bell = threading.Lock()
        """Held by this worker; the loop releases it to wake the parked worker."""
        self.bell.acquire()
        self.turns = 0
        self.seen = -1
        """The value of ``turns`` at the last tick; if it is unchanged at the next one, a handler is stuck."""
        self.slow = False
        self.given_up = False
        """It has got no thread."""
        self.connection: Runnable | None = None
        """The connection whose handler it runs, or None."""

    def go_on(self) -> None:
        """Note that a handler begins here: this worker is not stuck."""
        self.turns += 1
