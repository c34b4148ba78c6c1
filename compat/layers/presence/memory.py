"""Who is here, in this process; it is gone with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from compat.clock import steady
from compat.engine.events import One
from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox
from compat.forks import new_lock
from compat.layers.copies import copier
from compat.layers.presence.attendance import Attendance
from compat.layers.presence.layer import KeepsPresence
from compat.layers.presence.people import MAX_ENTRIES, TOO_MANY, Diff, Entry, Place, Presence, shown
from compat.layers.presence.rules import PresenceRules
from compat.redis.loops import PerLoop
from compat.types import Message

__all__ = ["KeepsPeople", "MemoryHall", "MemoryPeople"]


class _Group:
    """One group."""

    __slots__ = ("followers", "people", "version")

    def __init__(self) -> None:
        self.version = 0
        self.people: dict[str, dict[str, Entry]] = {}
        self.followers: list[Attendance] = []


class MemoryHall:
    """The people of all groups, for all event loops of the process."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._lock = new_lock()

    def enter(self, place: Place, entry: Entry) -> int:
        """See ``People``."""
        with self._lock:
            group = self._groups.setdefault(place.group, _Group())
            entries = group.people.setdefault(place.key, {})
            if (
                place.channel not in entries
                and sum(not one.leaving for one in entries.values()) >= MAX_ENTRIES
            ):
                return TOO_MANY
            before = shown(entries.values())
            known = entries.get(place.channel)
            for other in [name for name, one in entries.items() if one.leaving]:
                del entries[other]
            entries[place.channel] = entry if known is None else entry._replace(since=known.since)
            return self._changed(place, group, before)

    def depart(self, place: Place, how: str) -> tuple[bool, int]:
        """See ``People``."""
        with self._lock:
            group = self._groups.get(place.group)
            entries = {} if group is None else group.people.get(place.key, {})
            entry = entries.get(place.channel)
            if group is None or entry is None or (how == "later" and not entry.leaving):
                return True, 0
            others = any(not one.leaving for name, one in entries.items() if name != place.channel)
            if how == "soon" and not others:
                entries[place.channel] = entry._replace(leaving=True)
                return False, 0
            before = shown(entries.values())
            del entries[place.channel]
            return True, self._changed(place, group, before)

    def _changed(self, place: Place, group: _Group, before: dict[str, Any] | None) -> int:
        """Tell the followers of a person that was shown as ``before``; return the version; hold the lock."""
        after = shown(group.people[place.key].values())
        if after is None:
            del group.people[place.key]
        if before != after:
            group.version += 1
            joins = {} if after is None else {place.key: after}
            leaves = {place.key: before} if after is None and before is not None else {}
            diff = Diff(group.version, joins, leaves)
            for follower in tuple(group.followers):
                try:
                    follower.loop.call_soon_threadsafe(follower.came, place.group, diff)
                except RuntimeError:  # its loop was closed before it could end
                    group.followers.remove(follower)
        self._forget_if_empty(place.group, group)
        return group.version

    def _forget_if_empty(self, name: str, group: _Group) -> None:
        if not group.people and not group.followers:
            self._groups.pop(name, None)

    def read(self, name: str) -> Presence:
        """Return who is in a group."""
        with self._lock:
            group = self._groups.get(name)
            if group is None:
                return Presence()
            people = {key: shown(entries.values()) for key, entries in group.people.items()}
            return Presence({key: one for key, one in people.items() if one}, group.version)

    def follow(self, name: str, follower: Attendance) -> None:
        """Tell ``follower`` of changes from now on."""
        with self._lock:
            self._groups.setdefault(name, _Group()).followers.append(follower)

    def unfollow(self, name: str, follower: Attendance) -> None:
        """Tell it no more."""
        with self._lock:
            group = self._groups.get(name)
            if group is not None and follower in group.followers:
                group.followers.remove(follower)
                self._forget_if_empty(name, group)

    def clear(self) -> None:
        """Forget all people."""
        with self._lock:
            for name, group in tuple(self._groups.items()):
                group.people.clear()
                self._forget_if_empty(name, group)

    def leave_all(self, attendance: Attendance) -> None:
        """Take out the connections of an event loop that is closed."""
        mine = str(id(attendance))
        with self._lock:
            for name, group in tuple(self._groups.items()):
                for key, entries in tuple(group.people.items()):
                    for channel in [channel for channel, one in entries.items() if one.process == mine]:
                        before = shown(entries.values())
                        del entries[channel]
                        self._changed(Place(name, key, channel), group, before)


class MemoryPeople:
    """What one event loop sees of a hall; a ``People``."""

    def __init__(self, hall: MemoryHall, attendance: Attendance) -> None:
        self._hall = hall
        self._attendance = attendance

    async def enter(self, place: Place, meta: str, *, away: bool) -> int:
        """See ``People``."""
        entry = Entry(str(id(self._attendance)), away, False, meta, int(time.time() * 1000))
        return self._hall.enter(place, entry)

    async def depart(self, place: Place, how: str, *, last: bool) -> tuple[bool, int]:
        """See ``People``."""
        return self._hall.depart(place, how)

    async def read(self, group: str) -> Presence:
        """See ``People``."""
        return self._hall.read(group)

    async def aclose(self) -> None:
        """Take out the connections of this event loop, which is closed."""
        self._hall.leave_all(self._attendance)

    async def follow(self, group: str) -> None:
        """See ``People``."""
        self._hall.follow(group, self._attendance)

    def unfollow(self, group: str) -> None:
        """See ``People``."""
        self._hall.unfollow(group, self._attendance)


class KeepsPeople(KeepsPresence):
    """Base of the in-memory layer: its hall, and who is in it of each event loop's connections."""

    channels: dict[str, Inbox | Mailbox]

    def open_hall(self, presence: Mapping[Any, Any] | None) -> None:
        """Make the hall; ``presence``: the option."""
        self.presence_rules = PresenceRules(presence)
        self._hall = MemoryHall()
        self._attendances = PerLoop(self._new_attendance)

    async def entered(self, group: str, channel: str, *, new: bool) -> None:
        """Track a member by the option ``presence``; if that fails, one that is ``new`` is none any more."""
        try:
            await self.joined(group, channel)
        except BaseException:  # also when cancelled
            attendance = self._attendance_of(channel)
            attendee = None if attendance is None else attendance.attendees.get(channel)
            if new and (attendee is None or group not in attendee.metas):  # no call beside this one enters it
                await self.group_discard(group, channel)
            raise

    def empty_hall(self) -> None:
        """Forget who is here: the layer is flushed."""
        for attendance in self._attendances.all():
            attendance.clear()
        self._hall.clear()

    def _new_attendance(self, loop: asyncio.AbstractEventLoop) -> Attendance:
        return Attendance(loop, partial(MemoryPeople, self._hall), self._tell_changes, self.name)

    def _tell_changes(self, channels: Iterable[str], message: Message) -> None:
        one: One = ((steady() + self.expiry, message, copier(dict(message))),)
        for channel in channels:
            inbox = self.channels.get(channel)
            if isinstance(inbox, Inbox) and not inbox.offer(one):
                self.count_drop(channel, "overflow")

    def _attendances_here(self) -> Iterable[Attendance]:
        return self._attendances.all()

    def _attendance_of(self, channel: str) -> Attendance | None:
        inbox = self.channels.get(channel)
        return self._attendances.get(inbox.loop) if isinstance(inbox, Inbox) else None

    async def _presence(self, group: str) -> Presence:
        attendance = self._attendances.here()
        return self._hall.read(group) if attendance is None else await attendance.read(group)
