"""Plain channels of the streams layer: a worker has a message until it says that it has handled it.

A plain channel is a stream with one consumer group. What a worker has taken and not acknowledged is taken
over by another one when the worker has been silent for ``takeover`` seconds; a worker at work says every
third of this time that it is. A message that was taken ``tries`` times becomes a dead letter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from compat.clock import steady, wall
from compat.exceptions import LayerUnavailable
from compat.layers.redis.keys import Keys
from compat.layers.redis.refusals import Refusals
from compat.layers.redis.scripts import BURY, MAKE_GROUP
from compat.layers.redis.waiters import Waiters
from compat.redis.connection import Link
from compat.redis.encoding import Argument
from compat.redis.loops import start_apart
from compat.redis.reader import Outages, Reader
from compat.redis.reasons import LOST_STREAM
from compat.redis.shards import Shards
from compat.redis.unavailable import RedisUnavailable
from compat.redis.waiting import sleep, wait_set
from compat.types import Message

__all__ = ["GROUP", "Job", "Jobs"]

GROUP = "workers"
RELEASED = "nobody"
RELEASED_MS = 10**9
KEPT_DEAD = 10_000


class Terms(Protocol):
    """The attributes of a layer that ``Jobs`` uses; times are in seconds."""

    keys: Keys
    tries: int
    takeover: float
    group_expiry: int
    job_life_s: int
    """For how long a channel's messages are kept after the last send, or after a worker has last looked."""

    def count_dead(self, channel: str, tries: int) -> None: ...


class Job:
    """A message that a worker has, until it is acknowledged or given back."""

    __slots__ = ("_jobs", "_key", "channel", "id", "message", "tries")

    def __init__(self, jobs: Jobs, channel: str, id: bytes, message: Message, tries: int) -> None:
        self._jobs = jobs
        self._key = jobs.terms.keys.jobs(channel)
        self.channel = channel
        self.id = id
        self.message = message
        self.tries = tries
        """How many workers have had it, this one included."""

    def acknowledge(self) -> None:
        """Say that the message has been handled; if Redis does not hear this, another worker handles it."""
        if self._jobs.held.pop((self.channel, self.id), None) is not None:
            # In this order, because one that is not deleted would take room in the channel for ever.
            delete, acknowledge = (b"XDEL", self._key, self.id), (b"XACK", self._key, GROUP, self.id)
            self._jobs.shards.tell(self._jobs.shard_of(self.channel), delete, acknowledge)

    def put_back(self) -> None:
        """Give the message, which has not been handled, to another caller."""
        self._release(self.tries - 1)

    def failed(self) -> None:
        """Let another worker try to handle the message."""
        self._release(self.tries)

    def _release(self, tries: int) -> None:
        if self._jobs.held.pop((self.channel, self.id), None) is not None:
            claim = (b"XCLAIM", self._key, GROUP, RELEASED, 0, self.id)
            self._jobs.release(self.channel, *claim, b"IDLE", RELEASED_MS, b"RETRYCOUNT", tries, b"JUSTID")


class Jobs:
    """The callers of one event loop that wait for plain channels, and the messages that they have."""

    def __init__(
        self,
        shards: Shards,
        terms: Terms,
        outages: Outages,
        name: str,
        block_s: float,
        decode: Callable[[str, bytes], Message | None],
    ) -> None:
        self.shards = shards
        self.terms = terms
        self.name = name
        """The name of this event loop in the consumer groups."""
        self.decode = decode
        self.held: dict[tuple[str, bytes], Job] = {}
        self._waiters: Waiters[Job] = Waiters(lambda channel: self._readers[self.shard_of(channel)].changed())
        self._readers = [JobReader(self, index, outages, block_s) for index in range(len(shards.hosts))]
        self._renewing: asyncio.Task[None] | None = None
        self._releasing: set[asyncio.Task[None]] = set()

    def shard_of(self, channel: str) -> int:
        """Return the host of a plain channel."""
        return self.terms.keys.shard_in(channel)

    async def take(self, channel: str) -> Job:
        """Wait for the next message of ``channel``; a cancelled call gives its message back.

        Raises LayerUnavailable if Redis cannot be reached at first; a later outage only makes the call wait.
        """
        return await self._waiters.wait(channel)

    def wanted(self, index: int) -> dict[str, int]:
        """Return the channels of a host that callers wait for, and how many do."""
        counts = self._waiters.counts()
        return {channel: count for channel, count in counts.items() if self.shard_of(channel) == index}

    def give(self, channel: str, id: bytes, body: bytes, tries: int) -> None:
        """Give a message to the caller that has waited longest, or back to Redis if none waits."""
        message = self.decode(channel, body)
        job = self.held[channel, id] = Job(self, channel, id, message or {}, tries)
        if message is None:  # it cannot be read, and has been counted
            job.acknowledge()
            return
        if self._renewing is None or self._renewing.done():
            self._renewing = start_apart(asyncio.get_running_loop(), self._renew())
        if not self._waiters.give(channel, job):
            job.put_back()

    def failed(self, index: int, error: RedisUnavailable) -> None:
        """Raise LayerUnavailable in the callers of a host that has never been reached."""
        host = self.shards.hosts[index]
        self._waiters.fail(self.wanted(index), lambda: self.shards.explain(host, error.reason))

    def release(self, channel: str, *claim: Argument) -> None:
        """Send the command that releases a message, and look for it then: perhaps a caller here waits."""
        releasing = asyncio.get_running_loop().create_task(self._release(channel, claim))
        self._releasing.add(releasing)
        releasing.add_done_callback(self._releasing.discard)

    async def _release(self, channel: str, claim: tuple[Argument, ...]) -> None:
        try:
            await self.shards.call(self.shard_of(channel), *claim)
        except LayerUnavailable:
            return  # it will be taken over
        self._readers[self.shard_of(channel)].look_again(channel)

    async def _renew(self) -> None:
        """Say that the held messages are being handled, so that nobody takes them over."""
        while self.held:
            await sleep(self.terms.takeover / 3)
            for channel, id in tuple(self.held):
                key = self.terms.keys.jobs(channel)
                claim = (b"XCLAIM", key, GROUP, self.name, 0, id, b"JUSTID")
                self.shards.tell(self.shard_of(channel), claim, (b"EXPIRE", key, self.terms.job_life_s))

    def in_use(self) -> bool:
        """Return True while a caller waits or has a message."""
        return bool(self._waiters or self.held)

    async def aclose(self) -> None:
        """Stop reading, and give back what has not been acknowledged; waiting callers are not cancelled."""
        for job in tuple(self.held.values()):
            job.failed()
        if self._renewing is not None:
            self._renewing.cancel()
        if self._releasing:
            await asyncio.wait(self._releasing, timeout=1)
        for reader in self._readers:
            await reader.aclose()


class JobReader(Reader):
    """Fetches the messages that callers wait for from one host."""

    scripts = (BURY, MAKE_GROUP)

    def __init__(self, jobs: Jobs, index: int, outages: Outages, block_s: float) -> None:
        super().__init__(jobs.shards, index, outages, block_s)
        self._jobs = jobs
        self._ever = False
        self._change = asyncio.Event()
        self._waits_for: dict[str, int] = {}
        self._grouped: set[str] = set()
        """The channels whose consumer group is there."""
        self._looked: dict[str, float] = {}
        """The channels in which nothing was left to take over, until a time of ``steady()``."""
        self._refusals = Refusals(block_s)

    def changed(self) -> None:
        """Start, or interrupt the blocking read, because the waiting callers have changed."""
        self._change.set()
        self.start()
        if self._blocked and self._wanted() != self._waits_for:
            self.interrupt()

    def _wanted(self) -> dict[str, int]:
        wanted = self._jobs.wanted(self.index)
        return {channel: wanted[channel] for channel in self._refusals.without(wanted)}

    def look_again(self, channel: str) -> None:
        """Look for messages of ``channel`` that have been released, before more are read."""
        self._looked.pop(channel, None)
        self.interrupt()

    def connected(self) -> None:
        self._grouped.clear()
        self._looked.clear()

    def failed(self, error: RedisUnavailable) -> None:
        if not self._ever:
            self._jobs.failed(self.index, error)

    async def serve(self, link: Link) -> None:
        lost = False
        while not link.closed:
            self._change.clear()
            wanted = self._wanted()
            if not wanted and self._jobs.wanted(self.index):
                await wait_set(self._change, self._refusals.wait_s())
                continue
            if not wanted:
                self.proven(wall())
                await self._change.wait()
                continue
            asked = wall()
            if not await self._make_groups(link, wanted):
                continue
            self.proven(asked)
            try:
                await self._turn(link, wanted)
            except RedisUnavailable as error:
                if lost or error.reason != LOST_STREAM:
                    raise
                lost = True  # which is no outage, unless making the groups again does not help
                self._grouped.clear()
            else:
                lost = False

    async def _turn(self, link: Link, wanted: dict[str, int]) -> None:
        """Take messages over from the channels for which it is time to, or read new ones."""
        now = steady()
        self._looked = {channel: until for channel, until in self._looked.items() if until > now}
        due = {channel: count for channel, count in wanted.items() if channel not in self._looked}
        if due:
            until = now + min(self._jobs.terms.takeover / 2, self.block_s)
            self._looked.update(dict.fromkeys(due, until))
            for channel in await self._take_over(link, due):  # there may be more
                self._looked.pop(channel, None)
            if not wanted.keys() <= self._looked.keys():  # or something was released meanwhile
                return
        if wanted == self._wanted():  # ``changed`` interrupts a read that has begun
            await self._read(link, wanted)

    async def _make_groups(self, link: Link, wanted: dict[str, int]) -> bool:
        """Make the consumer groups that are missing; return False if one is refused, and left out now."""
        errors: dict[str, RedisUnavailable] = {}
        for channel in wanted:
            if channel not in self._grouped:
                key = self._jobs.terms.keys.jobs(channel)
                try:
                    await MAKE_GROUP.run(link.call, [key], GROUP, self._jobs.terms.job_life_s)
                except RedisUnavailable as error:
                    errors[channel] = error
                else:
                    self._grouped.add(channel)
        self._ever = self._ever or len(errors) < len(wanted)
        self._refusals.leave_out(errors, self.shards.hosts[self.index].where, ever=self._ever)
        return not errors

    async def _read(self, link: Link, wanted: dict[str, int]) -> None:
        self._waits_for = wanted
        by_key = {self._jobs.terms.keys.jobs(channel).encode(): channel for channel in wanted}
        block_s = min(self.block_s, min(self._looked[channel] for channel in wanted) - steady())
        # COUNT holds for each stream: more than one channel's callers can take would have to be put back.
        count, block_ms = min(wanted.values()), max(1, int(1000 * block_s))
        read = (b"XREADGROUP", b"GROUP", GROUP, self._jobs.name, b"COUNT", count, b"BLOCK", block_ms)
        reply = await self.blocking(link, *read, b"STREAMS", *by_key, *(b">" for _ in by_key))
        for key, entries in reply or ():
            for id, fields in entries:
                self._jobs.give(by_key[key], id, fields[1], 1)

    async def _take_over(self, link: Link, wanted: dict[str, int]) -> set[str]:
        """Take messages of workers that have been silent for too long; return the channels that had some."""
        found: set[str] = set()
        idle_ms = int(1000 * self._jobs.terms.takeover)
        for channel, count in wanted.items():
            key = self._jobs.terms.keys.jobs(channel)
            link.tell(b"EXPIRE", key, self._jobs.terms.job_life_s)
            silent = await link.call(b"XPENDING", key, GROUP, b"IDLE", idle_ms, b"-", b"+", count)
            for id, _, _, tries in silent:
                found.add(channel)
                claimed = await link.call(b"XCLAIM", key, GROUP, self._jobs.name, idle_ms, id)
                if claimed and claimed[0]:  # else another worker was faster
                    await self._try_again(link, channel, id, claimed[0][1][1], tries + 1)
        return found

    async def _try_again(self, link: Link, channel: str, id: bytes, body: bytes, tries: int) -> None:
        """Give a message to a caller, unless it has been tried often enough."""
        terms = self._jobs.terms
        if tries <= terms.tries:
            self._jobs.give(channel, id, body, tries)
            return
        keys = [terms.keys.jobs(channel), terms.keys.dead(channel)]
        if await BURY.run(link.call, keys, GROUP, id, terms.group_expiry, KEPT_DEAD):
            terms.count_dead(channel, tries - 1)
