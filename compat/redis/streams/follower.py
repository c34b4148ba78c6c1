"""Follow histories: each message once and in order, whatever happens to the connection.

A published message is delivered if it is the next one. After a jump, or a new connection, the part that is
missing is read from the stream. What arrives meanwhile is in the stream too, so nothing is buffered.

Another Redis may take over without the last messages, and give their offsets to new ones. So the marks of the
last messages are remembered: what comes after the last one that is still there is new.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Sequence

from compat.clock import steady
from compat.exceptions import LayerUnavailable
from compat.redis.backoff import Backoff
from compat.redis.streams.history import Part
from compat.redis.streams.marks import KNOWN, Marks
from compat.redis.streams.receiver import Entry, Found, Receiver
from compat.redis.waiting import shared, sleep

__all__ = ["Follower"]

ENTRIES_AT_ONCE = 500
TAKEN_OVER = "another Redis has taken over, without the last messages"


class _Followed:
    """Where one topic is."""

    __slots__ = (
        "again",
        "began",
        "epoch",
        "forgotten",
        "former",
        "live",
        "marks",
        "offset",
        "task",
        "went_back",
    )

    def __init__(self, found: Found, began: float = -math.inf) -> None:
        part = found.part
        self.turn(part)
        self.offset = part.last
        """The offset of the last message that was delivered, or that was there at the beginning."""
        self.began = began if part.last else -math.inf
        """What was sent before this time, by ``steady()``, is for nobody here."""
        self.marks = Marks()
        for entry in found.entries:
            if entry.offset == part.last:
                self.marks.note(entry.offset, entry.mark)
        self.forgotten = steady() + part.forgotten_s
        """When Redis has forgotten the position, because nothing has been sent for long: nothing is missing.

        It is counted from the delivery, so it is late by the delivery's delay. In between, a reset may be
        told that is none.
        """
        self.live = 0
        """The last offset that was published on this connection."""
        self.task: asyncio.Task[None] | None = None
        self.went_back = False
        """True if it was noticed here that the history has lost its last messages."""
        self.again = False
        """True if something was published while the task was reading."""

    def skip(self, offset: int) -> None:
        """Go on after ``offset``, whose message is not known; what comes before it counts no more."""
        self.offset = offset
        self.marks.clear()

    def turn(self, part: Part) -> None:
        """Take the epoch that the history has now."""
        self.epoch, self.former = part.epoch, part.before

    def renew(self, part: Part) -> None:
        """Begin with the first message of another history."""
        self.turn(part)
        self.skip(0)

    def is_of(self, part: Part) -> bool:
        """Return True if this is the same history, in any of its epochs: it may have gone back twice."""
        return not {self.epoch, *self.former}.isdisjoint((part.epoch, *part.before))

    def differs(self, entry: Entry) -> bool:
        """Return True if another message has come at the offset of ``entry``, which is no later one."""
        return entry.offset > self.offset - KNOWN and self.marks.has_another(entry.offset, entry.mark)

    def has_lost(self, found: Found) -> bool:
        """Return True if what was read from ``offset`` on does not continue what has come here."""
        part, entries = found
        if not self.is_of(part):
            return False
        if entries and entries[0].offset == self.offset:
            return self.differs(entries[0])
        return part.last < self.offset

    def before(self, last: int) -> int:
        """Return the offset to read from in a history that ends at ``last``, to find what is still there."""
        return max(min(self.offset, last) - KNOWN + 1, 1)

    def go_back(self, found: Found) -> Sequence[Entry]:
        """Go back to the last message that is still there; return those after it.

        If it is none of those that are known, go back as far as was read, or as the topic has been followed.
        """
        part, entries = found
        for index in reversed(range(len(entries))):
            if self.marks.has(entries[index].offset, entries[index].mark):
                self.offset = entries[index].offset
                return entries[index + 1 :]
        followed_s = steady() - self.began
        ours = {stored.offset for stored in part.entries if stored.age_s <= followed_s}
        entries = [entry for entry in entries if entry.offset in ours]
        self.skip(entries[0].offset - 1 if entries else part.last)
        return entries


class Follower:
    """Follows the topics of one event loop for ``receiver``."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._topics: dict[str, _Followed] = {}
        self._beginning: dict[str, asyncio.Task[None]] = {}
        self._early: set[str] = set()
        """The topics whose position was being read when something was published."""

    def begin_at_start(self, topic: str) -> None:
        """Follow a topic that only this process reads, from its first message on, or from where it was."""
        followed = self._topics.get(topic)
        if followed is None:
            followed = self._topics[topic] = _Followed(Found(Part()))
        self._read(topic, followed)

    def take_over(self, other: Follower, topic: str) -> None:
        """Go on where ``other`` was, whose event loop is closed."""
        followed = other._topics.pop(topic, None)
        if followed is not None:
            followed.task, followed.live = None, 0
            self._topics[topic] = followed

    async def begin(self, topic: str) -> None:
        """Follow ``topic`` from its end on; call it when the topic is subscribed to.

        Concurrent callers share one attempt. Raises LayerUnavailable; then the topic is not followed.
        """
        if topic in self._topics:
            return
        beginning = self._beginning.get(topic)
        if beginning is None:
            beginning = asyncio.get_running_loop().create_task(self._begin(topic))
            self._beginning[topic] = beginning
            beginning.add_done_callback(lambda task: self._begun(topic, task))
        await shared(beginning)

    async def _begin(self, topic: str) -> None:
        # The newest message too, to know it again.
        began, newest = steady(), await self._receiver.follow_read(topic, 1, None)
        followed = self._topics[topic] = _Followed(newest, began)
        if topic in self._early:
            self._read(topic, followed)

    def _begun(self, topic: str, task: asyncio.Task[None]) -> None:
        del self._beginning[topic]
        self._early.discard(topic)
        if not task.cancelled():
            task.exception()  # marks it as retrieved; the waiting callers get it too

    def end(self, topic: str) -> None:
        """Follow ``topic`` no more."""
        beginning = self._beginning.get(topic)
        if beginning is not None:
            beginning.cancel()
        followed = self._topics.pop(topic, None)
        if followed is not None and followed.task is not None:
            followed.task.cancel()

    def came(self, topic: str, entry: Entry) -> Awaitable[None] | None:
        """Take a published message; deliver it if it is the next one, or read what is missing."""
        followed = self._topics.get(topic)
        if followed is None:
            if topic in self._beginning:
                self._early.add(topic)
            return None
        before, followed.live = followed.live, entry.offset
        if followed.task is not None:
            followed.again = True
            return None
        if entry.offset == 1 and not followed.epoch:  # the first message of all
            followed.epoch = entry.epoch
        if entry.epoch == followed.epoch:
            if entry.offset == followed.offset + 1:
                return self._deliver(topic, followed, entry, late=False)
            if before < entry.offset <= followed.offset and not followed.differs(entry):
                return None  # it has been read from the stream
        self._read(topic, followed)
        return None

    def reconnected(self, topics: set[str]) -> None:
        """Read what was published while there was no connection."""
        for topic in topics:
            followed = self._topics.get(topic)
            if followed is not None:
                followed.live = 0
                self._read(topic, followed)

    def _deliver(
        self, topic: str, followed: _Followed, entry: Entry, *, late: bool
    ) -> Awaitable[None] | None:
        followed.offset = entry.offset
        followed.marks.note(entry.offset, entry.mark)
        followed.forgotten = steady() + self._receiver.follow_memory_s(topic)
        return self._receiver.follow_deliver(topic, entry, late=late)

    def _read(self, topic: str, followed: _Followed) -> None:
        if followed.task is not None:
            followed.again = True
            return
        followed.task = asyncio.get_running_loop().create_task(self._catch_up(topic, followed))

    async def _catch_up(self, topic: str, followed: _Followed) -> None:
        backoff = Backoff()
        try:
            while True:
                followed.again = False
                try:
                    found = await self._receiver.follow_read(topic, ENTRIES_AT_ONCE, followed.offset)
                    lost = followed.has_lost(found)
                    if lost:
                        first = followed.before(found.part.last)
                        found = await self._receiver.follow_read(topic, ENTRIES_AT_ONCE, first, whole=True)
                except LayerUnavailable:
                    await sleep(backoff.next_s())
                    continue
                backoff.reset()
                for entry in self._checked(topic, followed, found, lost=lost):
                    pause = self._deliver(topic, followed, entry, late=True)
                    if pause is not None:
                        await pause
                if followed.offset >= found.part.last and not followed.again:
                    return
        finally:
            followed.task = None

    def _checked(self, topic: str, followed: _Followed, found: Found, *, lost: bool) -> Sequence[Entry]:
        """Return the entries that are new; note a reset if some are missing for ever.

        ``lost``: the last messages are not there any more, and what was read begins before them.
        """
        receiver, (part, entries) = self._receiver, found
        if not followed.is_of(part):
            # What was read is from the middle of another history.
            if followed.epoch and steady() < followed.forgotten:
                receiver.follow_reset(topic, "Redis has lost the history", None)
            followed.renew(part)
            followed.again = followed.again or bool(part.epoch)  # something may have come meanwhile
            return ()
        if lost:
            entries = followed.go_back(found)
        elif entries and entries[0].offset == followed.offset:
            entries = entries[1:]
        if part.epoch != followed.epoch:
            # Another process has seen that the history went back, or this one; or one after the other. Or
            # what has gone is the epoch that was begun then.
            again = part.epoch in followed.former
            if lost or not (again or (followed.went_back and part.before[:1] == (followed.epoch,))):
                receiver.follow_reset(topic, TAKEN_OVER, None)
            followed.turn(part)
            followed.went_back = again
            if again:
                receiver.follow_gone_back(topic, part.epoch)
        elif lost:
            receiver.follow_reset(topic, TAKEN_OVER, None)
            receiver.follow_gone_back(topic, part.epoch)
            followed.went_back = True
        if part.gone > followed.offset:
            receiver.follow_reset(
                topic, "the history does not reach back far enough", part.gone - followed.offset
            )
            followed.skip(part.gone)
        if not entries and followed.offset < part.last:  # the newest ones were deleted by hand
            followed.skip(part.last)
        return entries

    def position(self, topic: str) -> tuple[str, int]:
        """Return the epoch and the offset of the last message that was delivered; ("", 0) if not followed."""
        followed = self._topics.get(topic)
        return ("", 0) if followed is None else (followed.epoch, followed.offset)

    async def look(self, topic: str, within_s: float) -> None:
        """Read what there is after the last message, for ``within_s`` seconds at most."""
        self.reconnected({topic})
        followed = self._topics.get(topic)
        if followed is not None and followed.task is not None:
            await asyncio.wait((followed.task,), timeout=within_s)

    def adopt(self, topic: str, epoch: str) -> None:
        """Note the epoch of a history that has just begun, and has no message yet."""
        followed = self._topics.get(topic)
        if followed is not None and not followed.epoch and followed.offset == 0:
            followed.epoch = epoch

    async def aclose(self) -> None:
        """End all reading; the positions are kept."""
        tasks = [followed.task for followed in self._topics.values() if followed.task is not None]
        tasks += self._beginning.values()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for followed in self._topics.values():
            if followed.task is not None and followed.task.done():  # it was cancelled before its first step
                followed.task = None
