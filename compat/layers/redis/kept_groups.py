"""The groups of one event loop whose messages are followed: in order, and without gaps.

It also keeps the newest messages of those with a history, so that many who join at once, or come back, cost
one look into Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Coroutine
from functools import partial
from typing import Any

from compat.clock import steady
from compat.engine.cursors import Position
from compat.engine.inbox import Inbox
from compat.layers.history import Rule
from compat.layers.redis.followed_group import TAIL_ENTRIES, FollowedGroup
from compat.layers.redis.keeping import KeepsHistories
from compat.layers.redis.receipts import Receipt
from compat.layers.redis.recordings import is_told
from compat.layers.redis.station import Station
from compat.layers.tail import Kept, admit, events_of, missed_by
from compat.redis.streams.follower import Follower
from compat.redis.streams.receiver import Found
from compat.redis.waiting import shared

__all__ = ["KeptGroups"]

SLACK = 50
"""How many messages may come while missed ones are read."""
TRIES = 3
LATE_S = 1.0
"""How long it is waited for messages that a client has had elsewhere."""
FRESH_S = 1.0
"""Seconds for which new members may still get messages that have been forgotten."""


class KeptGroups:
    """The followed groups of one station."""

    def __init__(self, station: Station, layer: KeepsHistories) -> None:
        self.groups: dict[str, FollowedGroup] = {}
        self.follower = Follower(self)
        self._station = station
        self._layer = layer
        self._recordings = layer.recordings
        self._tasks: set[asyncio.Task[None]] = set()

    # Members

    def expect(self, group: str) -> dict[str, None]:
        """Return the members of a group that somebody joins; they are not replaced until it has ended."""
        found = self.groups.get(group)
        if found is None:
            rule = self._recordings.rules.of(group)
            found = self.groups[group] = FollowedGroup(rule, self._layer.expiry)
        return found.members

    def members(self, group: str) -> Collection[str]:
        """Return the members of a group."""
        found = self.groups.get(group)
        return () if found is None else found.members

    def has_left(self, group: str, channel: str) -> bool:
        """Return True if ``channel`` was a member of a group here, and is not any more."""
        found = self.groups.get(group)
        return found is not None and channel in found.left

    async def join(self, group: str, channel: str, last: int | None, ready: Awaitable[None]) -> None:
        """Give ``channel`` the last messages of a group, and all that come from now on.

        Call ``expect`` first. After ``ready``, the group's messages come to this station. A channel that has
        left meanwhile does not become a member.
        """
        found, rule = self.groups[group], self.groups[group].rule
        found.enter()
        try:
            await ready
            await self.follower.begin(group)
            if rule is not None:
                new = channel not in found.members
                await self._prepare(group, found, rule, channel, found.first(last, new=new), new=new)
            # From here on without an await, so that nothing comes twice, or not at all.
            if group not in self._station.groups_of(channel):
                return
            new = channel not in found.members
            if rule is not None and (new or last):
                self._admit(group, found, channel, found.first(last, new=new), new=new)
            found.add(channel)
        finally:
            found.leave()

    async def _prepare(
        self, group: str, found: FollowedGroup, rule: Rule, channel: str, count: int, *, new: bool
    ) -> None:
        """Put the messages that ``channel`` gets first into ``found.tail``."""
        box = self._station.boxes.get(channel)
        if not self.position(group).epoch and isinstance(box, Inbox) and box.cursors is not None:
            # So that its client can say later that it had nothing yet.
            self.follower.adopt(group, await self._recordings.begin(self._station.shards, group))
        if found.tail is None:
            found.begin_tail(self.position(group).offset + 1)
        missed = missed_by(box, new=new)
        since = None if missed is None else missed.since(group)
        if since is None:
            if count:
                await self._load(group, found, count)
            return
        position = self.position(group)
        if since.epoch == position.epoch and since.offset > position.offset:  # its former process was ahead
            await self.follower.look(group, LATE_S)
        for _ in range(TRIES):  # while it is read, more messages come
            position = self.position(group)
            if since.epoch != position.epoch or since.offset > position.offset:
                await self._load(group, found, count)
                return
            needed = min(position.offset - since.offset + SLACK, rule.count)
            await self._load(group, found, max(count, needed))
            if found.tail is None or found.tail.start <= max(since.offset, found.gone) + 1:
                return

    def _admit(self, group: str, found: FollowedGroup, channel: str, count: int, *, new: bool) -> None:
        """Give ``channel`` the messages that it gets first."""
        station, tail = self._station, found.tail
        box = station.boxes.get(channel) or station.unknown(channel)
        if box is None:
            return
        deadline = steady() + self._layer.expiry
        if isinstance(box, Inbox) and box.loop is not station.loop:
            events = [] if tail is None else events_of(tail.last(count), deadline)
            box.loop.call_soon_threadsafe(box.replay, events)
            given = len(events)
        else:
            given = admit(
                *(box, group, tail, self.position(group), count),
                missed=missed_by(box, new=new),
                tainted=found.tainted,
                deadline=deadline,
                leave=partial(found.remove, channel),
            )
        station.metrics.count_replayed(given)

    def leave(self, group: str, channel: str) -> bool:
        """Remove a member; return True if it was the last one, so that the group has been forgotten."""
        found = self.groups.get(group)
        if found is None:
            return False
        found.remove(channel)
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

    async def _load(self, group: str, found: FollowedGroup, count: int) -> None:
        """Make sure that the last ``count`` messages are in the tail, if there are as many."""
        found.wants(count)
        for _ in range(TRIES):
            if found.has(count) and steady() < found.fresh:
                return
            if found.loading is None:
                found.load(self._station.loop.create_task(self._fill(group, found, count)))
            if found.loading is not None:
                await shared(found.loading)  # somebody else may have wanted fewer

    async def _fill(self, group: str, found: FollowedGroup, count: int) -> None:
        asked, before, has = steady(), self.position(group), found.has(count)
        most = self._recordings.most(group, max(found.least, TAIL_ENTRIES))
        read = await self.follow_read(group, 0 if has else most, None)
        if has and read.part.forgets != found.forgets:
            read, has = await self.follow_read(group, most, None), False
        found.look(read.part, asked + FRESH_S)
        position, (epoch, newest) = self.position(group), read.part[:2]
        # Another epoch, or a later message, and nothing has come: perhaps its sender has died in between
        if epoch != position.epoch or (position == before and newest > position.offset):
            await self.follower.look(group, LATE_S)
        position = self.position(group)
        if not has and read.part.epoch == position.epoch:
            found.fill(read, most, position.offset)

    # What comes

    def came(self, group: str, entry: Kept) -> Awaitable[None] | None:
        """Take a message, perhaps of a group that is not followed; return what ``Follower.came`` does."""
        pause = self.follower.came(group, entry)
        receipts = self._station.receipts
        receipt = receipts.take(entry.mark.encode()) if receipts else None
        if receipt is not None:  # it is delivered later, or was an earlier one for all members: do not wait
            receipt.note(0, 0, 0)
        return pause

    def stranger(self, group: str) -> None:
        """Note a message of a sender without histories (channels_redis): it is not in the group's history."""
        found = self.groups.get(group)
        if found is not None:
            found.taint(self.position(group).offset + 1)
            self._in_background(self._taint(group, found))
            self._layer.count_stranger(group)

    async def _taint(self, group: str, found: FollowedGroup) -> None:
        found.taint(await self._recordings.taint(self._station.shards, group))

    def _in_background(self, doing: Coroutine[Any, Any, None]) -> None:
        task = self._station.loop.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # an outage, which is logged elsewhere

    def follow_memory_s(self, group: str, /) -> float:
        """See ``Receiver``."""
        record = self._recordings.record(group)
        return 0 if record is None else record.position_s

    def follow_gone_back(self, group: str, epoch: str, /) -> None:
        """See ``Receiver``."""
        self._in_background(self._recordings.gone_back(self._station.shards, group, epoch))

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
                tail = found.begin_tail(entry.offset)
            if is_told(found.rule, entry):
                tail.add(entry)
        if late:
            station.metrics.count_filled()
        deadline, place = steady() + self._layer.expiry, (group, entry.position)
        members = tuple(found.members)
        if entry.excluded:
            self._pass_by([channel for channel in members if channel in entry.excluded], place)
            members = tuple(channel for channel in members if channel not in entry.excluded)
        try:
            station.hand_out(members, entry.message, deadline, receipt, place, late=late)
        except Exception as error:  # noqa: BLE001 - nesting too deep to copy
            self._layer.count_undecodable(f"group {group}", error)
        return station.pause() if station.scheduler.backlog else None

    def _pass_by(self, channels: Collection[str], place: tuple[str, Position]) -> None:
        """Note for the clients of ``channels`` that a message is not for them."""
        for channel in channels:
            box = self._station.boxes.get(channel)
            if isinstance(box, Inbox) and box.cursors is not None:
                box.cursors.note(None, *place)

    def follow_reset(self, group: str, /, reason: str, lost: int | None) -> None:
        """See ``Receiver``."""
        found = self.groups.get(group)
        if found is not None:
            found.begin_tail(self.position(group).offset + 1)
            for channel in found.members:
                box = self._station.boxes.get(channel)
                if isinstance(box, Inbox) and box.cursors is not None:
                    box.cursors.lose()
            self._layer.count_reset(group, reason, lost)
            if self._layer.on_reset is not None:
                self._station.tell(tuple(found.members), {**self._layer.on_reset, "group": group})

    async def follow_read(self, group: str, /, most: int, first: int | None, *, whole: bool = False) -> Found:
        """See ``Receiver``."""
        return await self._recordings.read(self._station.shards, group, most, first, whole=whole)

    def reconnected(self, groups: Collection[str]) -> None:
        """Read the messages that were sent to these groups while the connection was lost."""
        self.follower.reconnected({group for group in groups if group in self.groups})

    async def aclose(self) -> None:
        """End all reading."""
        loading = [found.loading for found in self.groups.values() if found.loading is not None]
        for task in (*loading, *self._tasks):
            task.cancel()
        await self.follower.aclose()
