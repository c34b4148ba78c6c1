"""Presence while a fleet moves from one layer to another: people are on both, so each process sees all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asgiref.sync import async_to_sync

from compat.layers.base import BaseChannelLayer
from compat.layers.presence.people import Presence, connections
from compat.layers.presence.rules import PresenceRules
from compat.layers.presence.watching import Show
from compat.types import Message

__all__ = ["MovesPresence"]


class MovesPresence(BaseChannelLayer):
    """Base of the moving layer; what is heard comes from the layer to send by."""

    sending: Any
    other: Any

    @property
    def presence_rules(self) -> PresenceRules:
        """Those of the layer to send by; both should have the same."""
        rules: PresenceRules = self.sending.presence_rules
        return rules

    @property
    def tracks(self) -> bool:
        """True once a connection was tracked in this process."""
        return bool(self.sending.tracks or self.other.tracks)

    async def presence(self, group: str) -> Presence:
        """Return who is in ``group`` on either layer; the version is that of the layer to send by."""
        found: Presence = await self.sending.presence(group)
        for key, person in (await self.other.presence(group)).items():
            if key not in found or connections(found[key]) < connections(person):
                found[key] = person
        return found

    async def track(self, group: str, channel: str, key: Any, meta: Mapping[str, Any] | None = None) -> None:
        """Make a connection present on both layers; see ``KeepsPresence``."""
        twin = await self._twin(channel)
        if twin is None:
            return
        self._attend_twin(channel, twin)
        await self.sending.track(group, channel, key, meta)
        await self.other.track(group, twin, key, meta)

    async def untrack(self, group: str, channel: str) -> None:
        """Make it absent on both."""
        await self.sending.untrack(group, channel)
        await self.other.untrack(group, self._twin_of(channel))

    async def send_to_user(self, key: Any, message: Message) -> Any:
        """Send to every connection of a person, by the layer to send by."""
        return await self.sending.send_to_user(key, message)

    def present(self) -> int:
        """Return in how many groups the connections of this process are present, all together."""
        return int(self.sending.present())

    def presence_sync(self, group: str) -> Presence:
        """Call ``presence`` from code without an event loop, and block."""
        return async_to_sync(self.presence)(group)

    def send_to_user_sync(self, key: Any, message: Message) -> Any:
        """Call ``send_to_user`` from code without an event loop, and block."""
        return self.sending.send_to_user_sync(key, message)

    def attend(self, channel: str, scope: Any, *, hears: bool, by_rule: bool = True) -> None:
        """Note a connection; its twin hears nothing, because it would hear it twice."""
        self.sending.attend(channel, scope, hears=hears, by_rule=by_rule)

    async def show(self, group: str, channel: str, show: Show) -> Callable[[], None] | None:
        """Send who is here, on the layer to send by, to the page of a connection; see ``KeepsPresence``."""
        end: Callable[[], None] | None = await self.sending.show(group, channel, show)
        return end

    async def left(self, group: str, channel: str) -> None:
        """Make a member absent on both."""
        await self.sending.left(group, channel)
        await self.other.left(group, self._twin_of(channel))

    def _attend_twin(self, channel: str, twin: str) -> None:
        """Note the connection on the other layer, if it is noted on the one to send by."""
        attendance = self.sending._attendance_of(channel) if self.tracks else None
        attendee = None if attendance is None else attendance.attendees.get(channel)
        if attendee is not None:
            by_rule = attendee.by_rule
            self.other.attend(twin, attendee.scope, hears=False, name=channel, by_rule=by_rule)

    def away(self, channel: str, away: bool) -> None:
        """Note that the client of a connection is away, or has come back."""
        self.sending.away(channel, away)
        self.other.away(self._twin_of(channel), away)

    def departs(self, channel: str) -> None:
        """Note that a connection ends."""
        self.sending.departs(channel)
        self.other.departs(self._twin_of(channel))

    async def _twin(self, channel: str) -> str | None:
        """Return the name of ``channel`` on the other layer, perhaps a new one; None: it has ended."""
        raise NotImplementedError

    def _twin_of(self, channel: str) -> str:
        """Return the name of ``channel`` on the other layer; ``channel`` itself if it has none there."""
        raise NotImplementedError
