"""The part of a layer that its users see of presence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from asgiref.sync import async_to_sync

from compat.layers.base import BaseChannelLayer
from compat.layers.presence.attendance import Attendance
from compat.layers.presence.people import Place, Presence, key_of, meta_text
from compat.layers.presence.rules import PresenceRules
from compat.layers.presence.watching import Show
from compat.names import RESERVED, person_group
from compat.types import Message

__all__ = ["PERSON", "KeepsPresence"]

PERSON = "compat.person"
"""The type of the message in which a consumer gets one for its person."""

T = TypeVar("T")


class KeepsPresence(BaseChannelLayer):
    """Base of the layers that know who is in a group: the people whose connections are tracked."""

    presence_rules: PresenceRules
    """The option ``presence``: the groups whose members are tracked."""
    tracks = False
    """True once a connection was tracked in this process."""

    # For users

    async def presence(self, group: str) -> Presence:
        """Return who is in ``group``, on all servers: ``{key: {"metas": [{…}], "away": False}}``.

        Raises TypeError for a bad name, LayerUnavailable without Redis.
        """
        self.require_group(group)
        return await self._presence(group)

    async def track(self, group: str, channel: str, key: Any, meta: Mapping[str, Any] | None = None) -> None:
        """Make the connection with ``channel`` present in ``group``, until it ends or ``untrack``.

        ``key`` names its person: a user, or a str, int or UUID. ``meta``: what is told of it, at most 1 KiB
        as JSON. Another call replaces both. Raises TypeError, ValueError, and LayerUnavailable without Redis.
        """
        self.require_group(group)
        if group.startswith(RESERVED):
            raise ValueError(f"presence: group {group!r} is one of the library's own")
        place, told = Place(group, key_of(key), channel), meta_text(meta)
        attendance = self._attendance_of(channel)
        if attendance is None:
            raise ValueError(
                f"presence: channel {channel!r} is not that of a consumer in this process; track() takes "
                "self.channel_name, while the consumer runs"
            )
        self.attend(channel, {}, hears=False)
        attendee, persons = attendance.attendees[channel], person_group(place.key)
        if persons not in attendee.persons:
            await self.group_add(persons, channel)
            attendee.persons.add(persons)
        await _on(attendance, attendance.enter(place, told))

    async def untrack(self, group: str, channel: str) -> None:
        """Make a connection absent from ``group``, at once; do nothing if it is not present."""
        attendance = self._attendance_of(channel)
        if attendance is not None:
            await _on(attendance, attendance.depart(group, channel, "now"))

    async def send_to_user(self, key: Any, message: Message) -> Any:
        """Send ``message`` to every connection of a person, on all servers; return what ``group_send`` does.

        These are the connections that are present in a group as ``key``, or have been. A consumer without a
        handler for the message ignores it.
        """
        return await self.group_send(person_group(key_of(key)), {"type": PERSON, "message": message})

    def presence_sync(self, group: str) -> Presence:
        """Call ``presence`` from code without an event loop, and block."""
        return async_to_sync(self.presence)(group)

    def send_to_user_sync(self, key: Any, message: Message) -> Any:
        """Call ``send_to_user`` from code without an event loop, and block."""
        return self.group_send_sync(person_group(key_of(key)), {"type": PERSON, "message": message})

    def present(self) -> int:
        """Return in how many groups the connections of this process are present, all together."""
        return sum(attendance.present() for attendance in self._attendances_here())

    # For the engine

    def attend(self, channel: str, scope: Any, *, hears: bool, name: str = "", by_rule: bool = True) -> None:
        """Note the scope of a connection, and whether its consumer handles ``presence.diff``.

        ``name``: the channel of which it is the twin. ``by_rule``: the groups that it joins make it present.
        """
        attendance = self._attendance_of(channel)
        if attendance is not None and channel not in attendance.attendees:
            attendance.attend(channel, scope, name or channel, hears=hears, by_rule=by_rule)
            self.tracks = True

    def away(self, channel: str, away: bool) -> None:
        """Note that the client of a connection is away, or has come back."""
        attendance = self._attendance_of(channel)
        if attendance is not None:
            attendance.away(channel, away)

    def departs(self, channel: str) -> None:
        """Note that a connection ends."""
        attendance = self._attendance_of(channel)
        if attendance is not None:
            attendance.end(channel)

    async def show(self, group: str, channel: str, show: Show) -> Callable[[], None] | None:
        """Send who is in ``group`` to the page of a connection by ``show(text)``, and then what changes.

        Returns a function that ends it; None if the connection has ended. Call both on its event loop.
        """
        attendance = self._attendance_of(channel)
        return None if attendance is None else await attendance.show(group, channel, show)

    # For the layers

    async def joined(self, group: str, channel: str) -> None:
        """Track a new member of a group by the option ``presence``; raise what ``track`` does."""
        rule = None if group.startswith(RESERVED) else self.presence_rules.of(group)
        attendance = None if rule is None else self._attendance_of(channel)
        attendee = None if attendance is None else attendance.attendees.get(channel)
        if rule is None or attendee is None or not attendee.by_rule:
            return
        told = attendee.metas.get(group)
        if told is None or not told.kept:  # a call that enters it now may still fail
            key = rule.who(attendee.scope, attendee.name)
            if key is not None:
                await self.track(group, channel, key, rule.told(attendee.scope))

    async def left(self, group: str, channel: str) -> None:
        """Make a member absent that has left a group of the option ``presence``, soon."""
        attendance = self._attendance_of(channel) if self.presence_rules.of(group) else None
        if attendance is not None:
            await _on(attendance, attendance.depart(group, channel))

    def taken_out(self, group: str, channel: str) -> set[asyncio.Task[Any]]:
        """Call ``left`` in a task, which goes on if the caller is cancelled; return it, if there is one.

        Call this on the event loop of ``channel``.
        """
        attendance = self._attendance_of(channel) if self.presence_rules.of(group) else None
        return set() if attendance is None else {attendance.in_background(attendance.depart(group, channel))}

    async def take_out(self, group: str, channel: str, leave: Callable[[str, str], None]) -> None:
        """Call ``leave(group, channel)``, and wait until the member is absent; see ``taken_out``."""
        leave(group, channel)
        if departing := self.taken_out(group, channel):
            await asyncio.wait(departing)

    def _attendance_of(self, channel: str) -> Attendance | None:
        """Return where the consumer with ``channel`` is noted; None if it is not in this process."""
        raise NotImplementedError

    def _attendances_here(self) -> Iterable[Attendance]:
        """Return those of this process's event loops that have connections."""
        raise NotImplementedError

    async def _presence(self, group: str) -> Presence:
        raise NotImplementedError


async def _on(attendance: Attendance, doing: Coroutine[Any, Any, T]) -> T:
    """Await ``doing`` on the loop of ``attendance``."""
    if attendance.loop is asyncio.get_running_loop():
        return await doing
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(doing, attendance.loop))
