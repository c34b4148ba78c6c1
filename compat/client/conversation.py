"""One link in use: reads, writes, acknowledges, and gives the link up when its server is silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from compat.client.exchange import Exchange, Go
from compat.client.frames import Closed, Frame, Frames, MalformedControl
from compat.client.links import Link, World
from compat.client.timing import Patience, Pulse, Unsent
from compat.clock import Timer
from compat.codes import ABNORMAL, MALFORMED, NOT_THERE, SERVICE_RESTART

__all__ = ["SILENT", "Conversation"]

SILENT = (ABNORMAL, "the server does not answer")
"""How a link ends that was given up."""
CLOSE_SECONDS = 10.0
"""How long a goodbye waits for a server that does not read: while it reads, the time begins again."""

logger = logging.getLogger("compat.client")


class Conversation:
    """What ``exchange`` and the server of ``link`` say to each other.

    Data goes into ``inbox``; nothing is read while that is full. ``changed()`` is called after whatever may
    have changed the exchange.
    """

    def __init__(
        self,
        link: Link,
        exchange: Exchange,
        inbox: Frames,
        world: World,
        patience: Patience,
        changed: Callable[[], object],
    ) -> None:
        self.goodbye: Closed | None = None
        """With what this side ends the connection."""
        self._link = link
        self._exchange = exchange
        self._inbox = inbox
        self._world = world
        self._changed = changed
        self._over: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self._pulse = Pulse(world.time(), patience)
        self._leave_at: float | None = None
        """When the link is given up, whatever comes."""
        self._unsent: Unsent = ()
        """What is before the goodbye; nothing without one."""
        self._alarm: Timer | None = None
        self._alarm_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._output = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self) -> Closed:
        """Return how the link has ended."""
        self._exchange.opened(self._link.subprotocol, self._world.time())
        self._end_if_gone()
        self._look_again()
        self._begin(self._read())
        self._begin(self._write())
        try:
            return await self._over
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
            self._link.leave()
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._exchange.lost()

    def write(self) -> None:
        """The exchange has something to write."""
        self._output.set()

    def read_on(self) -> None:
        """There may be room in the inbox."""
        self._room.set()

    def say_goodbye(self, goodbye: Closed) -> None:
        """Write what waits, then end the connection."""
        self.goodbye = goodbye
        self._leave_at = self._world.time() + CLOSE_SECONDS
        self._unsent = self._before_goodbye()
        self._set_alarm()
        self._output.set()
        self._room.set()

    def _before_goodbye(self) -> Unsent:
        return len(self._exchange.queue), *self._link.unsent

    def _finish(self, end: Closed) -> None:
        if not self._over.done():
            self._over.set_result(end)

    def _end_if_gone(self) -> None:
        if self._exchange.gone:
            self._finish(Closed(NOT_THERE))

    def _begin(self, part: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(part)
        task.add_done_callback(self._pass_error_on)
        self._tasks.add(task)

    def _pass_error_on(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._over.done():
            self._over.set_exception(error)

    async def _read(self) -> None:
        try:
            while not self._over.done():
                while self._inbox.is_full and self.goodbye is None:
                    self._room.clear()
                    await self._room.wait()
                self._take(await self._link.receive())
        except Closed as closed:
            self._finish(closed)

    def _take(self, frame: Frame) -> None:
        if self._over.done():
            return  # not counted, so that the server sends it again
        now = self._world.time()
        self._pulse.heard(now)
        try:
            content = self._exchange.receive(frame, now)
        except MalformedControl as error:
            logger.error("the connection is ended: %s", error)
            self.say_goodbye(Closed(MALFORMED, "malformed control frame"))
            return
        self._end_if_gone()
        if isinstance(content, Go):
            self._leave_at = now + content.within * self._world.random()
        elif content is not None and self.goodbye is None:
            self._inbox.append(content)
        self._look_again()

    async def _write(self) -> None:
        try:
            while True:
                self._output.clear()
                while (frame := self._exchange.pull(self._world.time())) is not None:
                    await self._link.send(frame)
                    self._changed()
                if self.goodbye is not None:
                    break
                await self._output.wait()
            bye = self._exchange.bye()
            if bye is not None:
                await self._link.send(bye)
            await self._link.close(self.goodbye.code, self.goodbye.reason)
        except Closed:
            pass  # the reader says so, when it has read what came before

    async def _ping(self) -> None:
        """Ask a server that does not resume for a sign of life."""
        try:
            await self._link.ping()
        except Closed:
            return
        self._pulse.heard(self._world.time())

    def _look_again(self) -> None:
        """Something has come, or the time for something: see what follows from it."""
        self._changed()
        if self._exchange.has_output:
            self._output.set()
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Have ``_ring()`` called when the next thing is due, or earlier."""
        if self._over.done():
            return
        due = min(at for at in (self._pulse.due, self._exchange.due, self._leave_at) if at is not None)
        if self._alarm is not None:
            if self._alarm_at <= due:
                return
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = self._world.call_later(max(0.0, due - self._world.time()), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now = self._world.time()
        if self._inbox.is_full:
            self._pulse.heard(now)  # what is not read cannot be heard
        alive = self._exchange.tick(now)
        self._end_if_gone()
        match self._pulse.check(now, self._link.unsent):
            case "ask" if self._exchange.resumable:
                self._exchange.ping()
            case "ask":
                self._begin(self._ping())
            case "dead":
                alive = False
        if self._leaves(now):
            self._finish(Closed(SERVICE_RESTART if self.goodbye is None else ABNORMAL))
        elif not alive:
            self._finish(Closed(*SILENT))
        else:
            self._look_again()

    def _leaves(self, now: float) -> bool:
        """Return True if the link is given up now; a goodbye may be behind a frame that goes on leaving."""
        if self._leave_at is None or now < self._leave_at:
            return False
        unsent = self._before_goodbye()
        if unsent >= self._unsent:
            return True
        self._leave_at, self._unsent = now + CLOSE_SECONDS, unsent
        return False
