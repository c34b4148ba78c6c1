"""The groups of one event loop whose messages are followed: each in its order, and none left out.

It also keeps the newest messages of those with a history, so that many who join at once, or come back, cost
one look into Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from compat.clock import steady
from compat.engine.cursors import Position
from compat.engine.inbox import Inbox
from compat.layers.history import Rule
from compat.layers.redis.keeping import KeepsHistories
from compat.layers.redis.receipts import Receipt
from compat.layers.redis.recordings import is_told
from compat.layers.redis.station import Station
from compat.layers.tail import Kept, Tail, admit, events_of, missed_by
from compat.redis.streams.follower import Follower, Found

__all__ = ["KeptGroups"]

TAIL_ENTRIES = 100
TAIL_BYTES = 256 * 1024
"""What is kept here of a group that has members here, or ``on_join`` messages, if these are more."""
FRESH_S = 1.0
"""Seconds for which newcomers may get what has been forgotten meanwhile."""


class _Group:
    """A group with members here."""

    __slots__ = (
        *("filled", "forgets", "fresh", "joining", "least", "loading", "members", "rule", "tail", "tainted"),
    )

    def __init__(self, rule: Rule | None) -> None:
        self.rule = rule
        self.least = 0 if rule is None else rule.on_join
        """How many messages somebody who joins has wanted."""
        self.members: dict[str, None] = {}
        """In the order of joining."""
        self.joining = 0
        """How many are about to become members."""
        self.tail: Tail | None = None
        self.filled = 0
        """How many messages ``tail`` has, if there are as many."""
        self.fresh = 0.0
        """Until when nothing of ``tail`` has been forgotten, by ``steady()``, as far as is known."""
        self.forgets = 0
        self.tainted = 0
        """Up to this offset, there have been messages that are not in the history."""
        self.loading: asyncio.Task[None] | None = None


class KeptGroups:
    """The followed groups of one station; ``on_reset(group)`` is told that messages are lost for ever."""

    def __init__(
        self, station: Station, layer: KeepsHistories, on_reset: Callable[[str], None] | None = None
    ) -> None:
        self.groups: dict[str, _Group] = {}
        self.follower = Follower(self)
        self._station = station
        self._layer = layer
        self._recordings = layer.recordings
        self._on_reset = on_reset

    # Members

    def expect(self, group: str) -> dict[str, None]:
        """Return the members of a group that somebody joins; they are not replaced until it has ended."""
        found = self.groups.get(group)
        if found is None:
            found = self.groups[group] = _Group(self._recordings.rules.of(group))
        return found.members

    def members(self, group: str) -> Collection[str]:
        """Return the members of a group."""
        found = self.groups.get(group)
        return () if found is None else found.members

    async def join(self, group: str, channel: str, last: int | None, ready: Awaitable[None]) -> None:
        """Give ``channel`` the last messages of a group, and all that come from now on.

        Call ``expect`` first. After ``ready``, the group's messages come to this station. A channel that has
        left meanwhile does not become a member.
        """
        found, station = self.groups[group], self._station
        found.joining += 1
        try:
            await ready
            await self.follower.begin(group)
            new = channel not in found.members
            count = last if last is not None else found.rule.on_join if found.rule and new else 0
            if found.rule is not None:
                await self._prepare(group, found, found.rule, channel, count, last)
            # From here on without an await, so that nothing comes twice, or not at all.
            if group not in station.groups_of(channel):
                return
            if found.rule is not None and (new or count):
                self._admit(group, found, channel, count, last)
            found.members[channel] = None
        finally:
            found.joining -= 1

    async def _prepare(
        self, group: str, found: _Group, rule: Rule, channel: str, count: int, last: int | None
    ) -> None:
        """Have in ``found.tail`` what ``channel`` gets first."""
        box = self._station.boxes.get(channel)
        position = self.position(group)
        if not position.epoch and isinstance(box, Inbox) and box.cursors is not None:
            # So that its client can say later that it had nothing yet.
            self.follower.adopt(group, await self._recordings.begin(self._station.shards, group))
            position = self.position(group)
        if found.tail is None:
            self._new_tail(found, position.offset + 1)
        missed = missed_by(box, last)
        since = None if missed is None else missed.since(group)
        if since is not None and since.epoch == position.epoch:
            count = max(count, min(position.offset - since.offset, rule.count), 1)
        if count:
            await self._load(group, found, count)

    def _admit(self, group: str, found: _Group, channel: str, count: int, last: int | None) -> None:
        """Give ``channel`` what it gets first."""
        station, tail = self._station, found.tail
        box = station.boxes.get(channel) or station.unknown(channel)
        if box is None:
            return
        deadline, capacity = steady() + self._layer.expiry, self._layer.get_capacity(channel)
        if isinstance(box, Inbox) and box.loop is not station.loop:
            events = [] if tail is None else events_of(tail.last(count), deadline)
            box.loop.call_soon_threadsafe(box.replay, events, capacity)
            given = len(events)
        else:
            given = admit(
                *(box, group, tail, self.position(group), count),
                missed=missed_by(box, last),
                tainted=found.tainted,
                deadline=deadline,
                capacity=capacity,
            )
        station.metrics.count_replayed(given)

    def leave(self, group: str, channel: str) -> bool:
        """Remove a member; return True if the group has none any more, and has been forgotten."""
        found = self.groups.get(group)
        if found is None:
            return False
        found.members.pop(channel, None)
        if found.members or found.joining:
            return False
        del self.groups[group]
        self.follower.end(group)
        if found.loading is not None:
            found.loading.cancel()
        return True

    def position(self, group: str) -> Position:
        """Return the place of the last message that came."""
        return Position(*self.follower.position(group))

    # The newest messages

    @staticmethod
    def _new_tail(found: _Group, start: int) -> Tail:
        most = 0 if found.rule is None else min(found.rule.count, max(found.least, TAIL_ENTRIES))
        found.tail, found.filled = Tail(most, TAIL_BYTES, found.least, start), 0
        return found.tail

    async def _load(self, group: str, found: _Group, count: int) -> None:
        """Make sure that the last ``count`` messages are in the tail, if there are as many."""
        found.least = max(found.least, count)
        if found.filled < count or steady() >= found.fresh:
            if found.loading is None:
                found.loading = asyncio.get_running_loop().create_task(self._fill(group, found, count))
                found.loading.add_done_callback(lambda task: _loaded(found, task))
            await asyncio.shield(found.loading)

    async def _fill(self, group: str, found: _Group, count: int) -> None:
        asked, has = steady(), found.filled >= count
        most = max(count, TAIL_ENTRIES)
        read = await self.follow_read(group, 0 if has else most, None)
        if has and read.part.forgets != found.forgets:
            read, has = await self.follow_read(group, most, None), False
        found.fresh, found.forgets = asked + FRESH_S, read.part.forgets
        found.tainted = max(found.tainted, read.part.tainted)
        epoch, offset = self.position(group)
        before = found.tail
        if has or before is None or found.rule is None or read.part.epoch != epoch:
            return
        part, entries = read
        filled = self._new_tail(found, entries[0].offset if entries else part.gone + 1)
        for entry in (*entries, *(entry for entry in before.entries if entry.offset > part.last)):
            if entry.offset <= offset and is_told(found.rule, entry):
                filled.add(entry)
        found.filled = most

    # What comes

    def came(self, group: str, entry: Kept) -> Awaitable[None] | None:
        """Take a message; return what ``Follower.came`` does."""
        return self.follower.came(group, entry)

    def stranger(self, group: str) -> None:
        """Note that somebody who knows nothing of histories has sent to a group: it is not in its history."""
        record, found = self._recordings.record(group), self.groups.get(group)
        if record is None or found is None:
            return
        offset = self.position(group).offset + 1
        found.tainted = max(found.tainted, offset)
        shard, (_, position) = self._recordings.where(group)
        self._station.shards.tell(
            shard,
            (b"HSET", position, b"tainted", offset),
            (b"EXPIRE", position, record.position_s),
        )
        self._layer.count_stranger(group)

    @property
    def follow_memory_s(self) -> float:
        """See ``Receiver``: a lower bound, because groups differ."""
        records = (self._recordings.record(group) for group in self.groups)
        return min((record.position_s for record in records if record is not None), default=0)

    def follow_deliver(self, group: str, entry: Kept, /, *, late: bool) -> Awaitable[None] | None:
        """See ``Receiver``."""
        station = self._station
        found = self.groups.get(group)
        receipt: Receipt | None = station.receipts.take(entry.mark.encode()) if station.receipts else None
        if found is None or not entry.message:
            if receipt is not None:
                receipt.note(0, 0, 0)
            return None
        if found.rule is not None:
            tail = found.tail
            if tail is None or (tail.entries and tail.entries[-1].epoch != entry.epoch):
                tail = self._new_tail(found, entry.offset)
            if is_told(found.rule, entry):
                tail.add(entry)
        members = tuple(found.members)
        if entry.excluded:
            members = tuple(channel for channel in members if channel not in entry.excluded)
        if late:
            station.metrics.count_filled()
        deadline = steady() + self._layer.expiry
        try:
            station.hand_out(members, entry.message, deadline, receipt, (group, entry.position))
        except Exception as error:  # noqa: BLE001 - nesting too deep to copy
            self._layer.count_undecodable(f"group {group}", error)
        return station.pause() if station.scheduler.backlog else None

    def follow_reset(self, group: str, /, reason: str, lost: int | None) -> None:
        """See ``Receiver``."""
        found = self.groups.get(group)
        if found is not None:
            found.tail = None
            for channel in found.members:
                box = self._station.boxes.get(channel)
                if isinstance(box, Inbox) and box.cursors is not None:
                    box.cursors.end(group)
            self._layer.count_reset(group, reason, lost)
            if self._on_reset is not None:
                self._on_reset(group)

    async def follow_read(self, group: str, /, most: int, first: int | None) -> Found:
        """See ``Receiver``."""
        return await self._recordings.read(self._station.shards, group, most, first)

    def reconnected(self, groups: Collection[str]) -> None:
        """Read what was sent to these groups while nothing came."""
        self.follower.reconnected({group for group in groups if group in self.groups})

    def adopt(self, other: KeptGroups) -> None:
        """Go on where ``other`` was, whose event loop is closed."""
        for group in other.groups:
            self.follower.take_over(other.follower, group)

    async def aclose(self) -> None:
        """End all reading."""
        loading = [found.loading for found in self.groups.values() if found.loading is not None]
        for task in loading:
            task.cancel()
        await self.follower.aclose()


def _loaded(found: _Group, task: asyncio.Task[Any]) -> None:
    found.loading = None
    if not task.cancelled():
        task.exception()  # marks it as retrieved; the waiting callers get it too
