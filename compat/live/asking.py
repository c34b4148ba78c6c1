"""Questions from one process to all: over a channel that each has in the first layer on Redis.

Which processes there are is known from their reports (``compat.fleet``), with the channel of each. Without a
layer on Redis a process asks itself alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from compat import fleet
from compat.clock import Timer, call_later
from compat.engine.direct_inbox import attached
from compat.engine.subscription import Subscription
from compat.exceptions import ChannelFull, LayerUnavailable
from compat.metrics import Throttle
from compat.names import LIVE
from compat.redis.loops import start_apart
from compat.redis.waiting import settle, within
from compat.types import Message

__all__ = ["Answer", "Answers", "Exchange", "Question"]

log = logging.getLogger("compat.live")

ANSWER_S, OPEN_AGAIN_S = 1.0, 2.0
"""How long the other processes may take, and how long to wait before a channel is tried again."""
MOST_AT_ONCE = 8
"""How many questions a process answers at a time; others are not answered."""
ASK, ANSWER = "compat.ask", "compat.answer"

Question = dict[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """What the processes have answered."""

    found: fleet.Fleet
    given: Mapping[str, Answer] = field(default_factory=dict)
    """By the id of the process."""

    @property
    def silent(self) -> list[str]:
        """The names of the processes that have not answered: busy, dead, or without ``compat.live``."""
        return [process.name for process in self.found.processes if process.id not in self.given]


@dataclass
class _Wait:
    """A question to all, which others have yet to answer."""

    given: dict[str, Answer]
    missing: int
    """How many answers are missing."""
    complete: asyncio.Future[None]


class Exchange:
    """This process's channel for questions, and what it waits for."""

    def __init__(self, answer: Callable[[Question], Awaitable[Answer]]) -> None:
        self._answer = answer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscription: Subscription | None = None
        self._opening: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self._waits: dict[int, tuple[_Wait, str]] = {}
        """By the number of a question to one process: what waits for its answer, and the process's id."""
        self._asked = 0
        self._answering: set[asyncio.Task[None]] = set()
        self._throttle = Throttle()

    def start(self) -> None:
        """Answer the questions of others from now on, as long as the running event loop lives."""
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop and self._loop.is_running():
            return
        if self._loop is not loop:
            self._loop, self._subscription, self._opening, self._timer = loop, None, None, None
            self._waits, self._answering = {}, set()
            fleet.reached_at("")
        if self._subscription is not None or (self._opening is not None and not self._opening.done()):
            return
        if layers := fleet.meeting_places():
            self._opening = start_apart(loop, self._open(layers[0]))
        else:  # there may be one later
            self._start_later(loop)

    def _start_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None:
            self._timer = call_later(loop, OPEN_AGAIN_S, self._start_again)

    def _start_again(self) -> None:
        self._timer = None
        self.start()

    async def _open(self, layer: Any) -> None:
        try:
            channel: str = await within(ANSWER_S, layer.new_channel(LIVE))
            self._subscription = await attached(layer, channel, self._take, self._lost)
        except (LayerUnavailable, OSError, asyncio.TimeoutError) as error:
            if self._throttle.due("open"):
                log.warning("other processes cannot ask this one what it has: %s", error)
            self._start_later(asyncio.get_running_loop())
        else:
            fleet.reached_at(channel)

    def _lost(self, error: BaseException) -> None:
        """Open another channel, since a layer of others has raised an error."""
        self._subscription = None
        fleet.reached_at("")
        self._start_later(asyncio.get_running_loop())

    def _take(self, message: Message) -> None:
        """Take a question or an answer; others may have written what they like."""
        number, content = message.get("number"), message.get("content")
        if not isinstance(number, int) or not isinstance(content, dict):
            return
        if message.get("type") == ANSWER:
            self._note(number, content)
        elif message.get("type") == ASK and self._loop is not None and len(self._answering) < MOST_AT_ONCE:
            task = self._loop.create_task(self._reply(number, str(message.get("from")), content))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    def _note(self, number: int, content: Answer | None) -> None:
        """Note an answer, or that there will be none."""
        wait, whose = self._waits.pop(number, (None, ""))
        if wait is not None:
            if content is not None:
                wait.given[whose] = content
            wait.missing -= 1
            if not wait.missing:
                settle(wait.complete)

    async def _reply(self, number: int, channel: str, question: Question) -> None:
        try:
            answer = await self._answer(question)
            told = {"type": ANSWER, "number": number, "content": answer}
            await fleet.meeting_places()[0].send(channel, told)
        except (ChannelFull, LayerUnavailable, TypeError, ValueError) as error:
            log.debug("a question was not answered: %s", error)
        except Exception:
            if self._throttle.due("reply"):
                log.exception("a question of another process was not answered")

    async def ask(self, question: Question, *, all_of_them: bool = False) -> Answers:
        """Return what each process answers within ``ANSWER_S``, this one among them.

        Waits a second at most for the reports, and as long for the answers. During an outage this process
        is the only one; with ``all_of_them`` LayerUnavailable is raised then, and nobody is asked.
        """
        self.start()
        if self._loop is not None and self._loop is not asyncio.get_running_loop():  # of another thread
            asking = self.ask(question, all_of_them=all_of_them)
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asking, self._loop))
        found = await fleet.processes()
        if all_of_them and not found.whole and fleet.meeting_places():
            raise LayerUnavailable("the other processes cannot be asked: no layer's Redis answers")
        given = {found.own.id: await self._answer(question)}
        others = {process.id: process.address for process in found.processes if process.address}
        others.pop(found.own.id, None)
        subscription = self._subscription
        if others and subscription is not None:
            await self._ask_others(subscription, question, others, given)
        return Answers(found, given)

    async def _ask_others(
        self, subscription: Subscription, question: Question, others: dict[str, str], given: dict[str, Answer]
    ) -> None:
        wait = _Wait(given, len(others), asyncio.get_running_loop().create_future())
        numbers = range(self._asked + 1, self._asked + 1 + len(others))
        self._asked += len(others)
        self._waits.update({number: (wait, whose) for number, whose in zip(numbers, others, strict=True)})

        async def ask(number: int, channel: str) -> None:
            about = {"type": ASK, "from": subscription.channel, "content": question, "number": number}
            try:
                await subscription.layer.send(channel, about)
            except (ChannelFull, LayerUnavailable, OSError):
                self._note(number, None)

        async def complete() -> None:
            await asyncio.gather(*map(ask, numbers, others.values()))
            await wait.complete

        try:
            await within(ANSWER_S, complete())
        except asyncio.TimeoutError:
            pass
        finally:
            for number in numbers:
                self._waits.pop(number, None)
