"""The items of a pool's queue, and the state of the threads that work on it."""

from __future__ import annotations

import threading
from typing import Any, Protocol

__all__ = ["FrameSlot", "Runnable", "Worker"]


class Runnable(Protocol):
    """The methods of a connection that the pool calls."""

    def run_next(self, worker: Worker) -> None:
        """Handle one message, and release the token; called in a worker thread."""

    def kind(self) -> Any:
        """Return a key for the handler that runs, under which the pool remembers that it is slow, or None."""

    def wake(self) -> None:
        """Wake the connection's task, to send frames or to end; called on the event loop."""


class FrameSlot(Protocol):
    """The slot for one client frame in an inbox."""

    def free_frame(self) -> None:
        """Wake the reader of the socket, which puts the next frame there; called on the event loop."""


class Worker:
    """The state of one worker thread, which the event loop reads."""

    __slots__ = ("bell", "connection", "seen", "slow", "turns")

    def __init__(self) -> None:
        self.bell = threading.Lock()
        """Held by this worker; the loop releases it to wake the parked worker."""
        self.bell.acquire()
        self.turns = 0
        self.seen = -1
        """The value of ``turns`` at the last tick; if it is unchanged at the next one, a handler is stuck."""
        self.slow = False
        self.connection: Runnable | None = None
        """The connection whose handler it runs, or None."""

    def begin(self) -> None:
        """Note that this worker takes the queue, and that no tick has seen it in a handler yet."""
        self.slow, self.seen = False, -1

    def run(self, connection: Runnable) -> None:
        """Handle the next message of ``connection``, whose handler the loop may ask for meanwhile."""
        self.turns += 1
        self.connection = connection
        connection.run_next(self)
        self.connection = None

    def go_on(self) -> None:
        """Note that a handler begins here: this worker is not stuck."""
        self.turns += 1

    def look(self) -> bool:
        """Return True if it has become stuck: it is in the same handler as at the last tick."""
        stuck = not self.slow and self.turns == self.seen
        if stuck:  # otherwise left alone: its own thread may write it now
            self.slow = True
        self.seen = self.turns
        return stuck

    def slow_down(self) -> None:
        """Note that other workers take the queue, because this one runs a slow handler."""
        self.slow = True

    def speed_up(self) -> None:
        """Note that its slow handler has ended, and that it takes the queue again."""
        self.slow = False
