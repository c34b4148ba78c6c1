"""The connections of one event loop that are present in groups.

Who is here is kept by a ``People``, in this process or in Redis. This part knows the connections: it enters
them, says when their clients are away, and takes them out some seconds after their end, so that a page which
is loaded again is not seen to leave.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from compat.exceptions import LayerUnavailable
from compat.layers.presence.attendee import Attendee, Told
from compat.layers.presence.people import MAX_ENTRIES, TOO_MANY, Diff, Place, Presence
from compat.layers.presence.watching import People, Show, Tell, Watched
from compat.metrics import Throttle

__all__ = ["GRACE_S", "Attendance"]

log = logging.getLogger("compat.layers")

GRACE_S = 5.0
"""Seconds after the end of a connection until its person has left, if there is no other connection."""
AT_ONCE = 500
MOST = 100_000  # departures that are kept in an outage, in which clients may try to enter for hours


class Attendance:
    """The connections of one event loop. ``tell(channels, message)`` puts a message into their inboxes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        people: Callable[[Attendance], People],
        tell: Tell,
        name: Callable[[], str],
    ) -> None:
        self.loop = loop
        self.attendees: dict[str, Attendee] = {}
        self.groups: dict[str, Watched] = {}
        self.people = people(self)
        self._tell = tell
        self._name = name
        self._departing: dict[Place, asyncio.TimerHandle | str] = {}
        """Connections that have ended; if their departure is not noted yet, how they depart."""
        self._settling: set[int] = set()  # the hosts that are told of departures again
        self._unsaid: set[tuple[str, str]] = set()
        """Groups and connections of which it could not be said that the client is away, or is back."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._throttle = Throttle()

    # Connections

    def attend(self, channel: str, scope: Any, name: str, *, hears: bool, by_rule: bool) -> None:
        """Note a connection; it is present in a group after ``enter``."""
        self.attendees[channel] = Attendee(scope, name, hears=hears, by_rule=by_rule)

    async def enter(self, place: Place, meta: str) -> None:
        """Make a connection present; raise LayerUnavailable."""
        group, key, channel = place
        attendee = self.attendees.get(channel)
        if attendee is None:
            return
        while attendee.name_in(group) not in (None, key):  # another one may come while the first one leaves
            await self.depart(group, channel, "now")
            if self.attendees.get(channel) is not attendee:
                return  # it has ended meanwhile
        departing = self._departing.pop(place, None)
        if isinstance(departing, asyncio.TimerHandle):
            departing.cancel()
        told = attendee.metas[group] = Told(key, meta, attendee.metas.get(group))
        watched = self._watched(group)
        watched.channels.add(channel)
        try:
            if attendee.hears:
                watched.hearing[channel] = None
                await watched.follow()
            if not self._is(attendee, place, told):  # it has ended meanwhile
                told.fails()
                return
            version = await self.people.enter(place, meta, away=attendee.away)
            watched.written(version)
            if version == TOO_MANY:
                self._forget(place)
                self._too_many(place)
            else:
                told.is_kept()
                if not self._is_here(attendee, place) and place not in self._departing:
                    self.in_background(self._depart(place, "soon"))
        except BaseException:
            told.fails()
            self._take_back(attendee, place, told)
            raise

    def _take_back(self, attendee: Attendee, place: Place, told: Told) -> None:
        """Undo a call of ``enter`` that has failed; without an answer, the connection may be present."""
        if not self._is(attendee, place, told):
            return
        if (before := told.standing()) is not None:
            attendee.metas[place.group] = before
        else:
            del attendee.metas[place.group]
            self.in_background(self._depart(place, "now"))

    def _is(self, attendee: Attendee, place: Place, told: Told) -> bool:
        """Return True if that is what is told of a connection, which has not ended."""
        return self.attendees.get(place.channel) is attendee and attendee.metas.get(place.group) is told

    def _is_here(self, attendee: Attendee, place: Place) -> bool:
        """Return True if a connection has not ended, and is in the group as this person."""
        return self.attendees.get(place.channel) is attendee and attendee.name_in(place.group) == place.key

    def _too_many(self, place: Place) -> None:
        if self._throttle.due(place.key):
            log.warning(
                "%s: person %r has more than %d connections in group %s; the others are not counted. Is the "
                "key of a person the same for everybody?",
                self._name(),
                place.key,
                MAX_ENTRIES,
                place.group,
            )

    async def depart(self, group: str, channel: str, how: str = "soon") -> None:
        """Make a connection absent from ``group``, "now" or "soon"; without Redis that is noted later."""
        attendee = self.attendees.get(channel)
        told = None if attendee is None else attendee.metas.pop(group, None)
        if told is not None:
            self._watched(group).hearing.pop(channel, None)
            await self._depart(Place(group, told.key, channel), how)

    async def _depart(self, place: Place, how: str) -> None:
        attendee = self.attendees.get(place.channel)
        if attendee is not None and self._is_here(attendee, place):
            return  # it has entered again
        if how == "later" and place not in self._departing:
            return  # it has entered again and left, or all is forgotten
        self._departing.pop(place, None)
        self._departing[place] = how  # behind the others: if it fails, it is their turn first
        last = self._watched(place.group).channels == {place.channel}
        try:
            departed, version = await self.people.depart(place, how, last=last)
        except LayerUnavailable:
            if place in self._departing and len(self._departing) > MOST:  # it has most likely not entered
                del self._departing[place]
                self._forget(place)
            return  # ``settle`` tries again
        if place not in self._departing:
            return  # it has entered again, or all is forgotten
        self._watched(place.group).written(version)
        if departed:
            del self._departing[place]
            self._forget(place)
        else:
            self._departing[place] = self.loop.call_later(GRACE_S, self._later, place)

    def _later(self, place: Place) -> None:
        self.in_background(self._depart(place, "later"))

    def _forget(self, place: Place) -> None:
        attendee = self.attendees.get(place.channel)
        if attendee is not None and attendee.name_in(place.group) not in (None, place.key):
            return  # it is here as another person
        if attendee is not None:
            attendee.metas.pop(place.group, None)
        watched = self._watched(place.group)
        watched.channels.discard(place.channel)
        watched.hearing.pop(place.channel, None)
        self._drop_if_unused(place.group, watched)

    def _drop_if_unused(self, group: str, watched: Watched) -> None:
        if watched.is_unused() and self.groups.get(group) is watched:
            del self.groups[group]
            watched.end()

    def away(self, channel: str, away: bool) -> None:
        """Note that a connection's client is away, or has come back."""
        attendee = self.attendees.get(channel)
        if attendee is not None and attendee.turns(away=away):
            for group, told in attendee.metas.items():
                self.in_background(self._say_away(group, channel, attendee, told))

    async def _say_away(self, group: str, channel: str, attendee: Attendee, told: Told) -> None:
        try:
            await self._enter_again(group, channel, attendee, told)
        except LayerUnavailable:
            self._unsaid.add((group, channel))

    async def _enter_again(self, group: str, channel: str, attendee: Attendee, told: Told) -> None:
        place = Place(group, told.key, channel)
        if self._is(attendee, place, told):
            await self.people.enter(place, told.meta, away=attendee.away)
            if not self._is_here(attendee, place) and place not in self._departing:
                await self._depart(place, "soon")  # it has left meanwhile, perhaps before it entered again

    def end(self, channel: str) -> None:
        """Note the end of a connection; its person leaves after ``GRACE_S``, if there is no other one."""
        attendee = self.attendees.pop(channel, None)
        for group, told in () if attendee is None else attendee.metas.items():
            self._watched(group).hearing.pop(channel, None)
            self.in_background(self._depart(Place(group, told.key, channel), "soon"))

    def present(self) -> int:
        """Return in how many groups its connections are present, all together; call it from any thread."""
        return sum(len(attendee.metas) for attendee in tuple(self.attendees.values()))

    async def again(self, wanted: Callable[[str], bool]) -> None:
        """Enter all connections again in the groups that are ``wanted``: they had been given up."""
        calls = [
            (group, channel, attendee, told)
            for channel, attendee in self.attendees.items()
            for group, told in attendee.metas.items()
            if wanted(group)
        ]
        for start in range(0, len(calls), AT_ONCE):
            await asyncio.gather(*(self._enter_again(*call) for call in calls[start : start + AT_ONCE]))

    def settle(self, host_of: Callable[[str], int], silent: Collection[int]) -> None:
        """Repeat what could not be noted; departures only from groups whose hosts are not ``silent``."""
        again: dict[int, list[tuple[Place, str]]] = {}
        busy = {*silent, *self._settling}
        for place, how in self._departing.items():
            if isinstance(how, str) and (host := host_of(place.group)) not in busy:
                again.setdefault(host, []).append((place, how))
        for host, departures in again.items():
            self._settling.add(host)
            self.in_background(self._depart_again(host, departures))
        unsaid, self._unsaid = self._unsaid, set()
        for group, channel in unsaid:
            attendee = self.attendees.get(channel)
            if attendee is not None and group in attendee.metas:
                self.in_background(self._say_away(group, channel, attendee, attendee.metas[group]))
        for watched in tuple(self.groups.values()):
            watched.retry_if_lost()

    async def _depart_again(self, host: int, departures: list[tuple[Place, str]]) -> None:
        try:
            for start in range(0, len(departures), AT_ONCE):
                part = departures[start : start + AT_ONCE]
                calls = (self._depart(*departure) for departure in part)
                for outcome in await asyncio.gather(*calls, return_exceptions=True):
                    self.report(outcome)
                if all(isinstance(self._departing.get(place), str) for place, _ in part):
                    break  # the host is still away, or refuses them: they come last next time
        finally:
            self._settling.discard(host)

    # Who is here

    async def read(self, group: str) -> Presence:
        """Return who is in ``group``; raise LayerUnavailable.

        A group with connections of this event loop is followed from now on, so that many who ask cost little.
        """
        watched = self.groups.get(group)
        return await (self.people.read(group) if watched is None else watched.people())

    async def show(self, group: str, channel: str, show: Show) -> Callable[[], None]:
        """Send who is in ``group`` to the page of a connection, and what changes, until ``end()``."""
        watched = self._watched(group)
        try:
            await watched.show(channel, show)
        finally:
            self._drop_if_unused(group, watched)

        def end() -> None:
            if watched.pages.get(channel) is show:
                del watched.pages[channel]
                self._drop_if_unused(group, watched)

        return end

    def _watched(self, group: str) -> Watched:
        found = self.groups.get(group)
        if found is None:
            found = self.groups[group] = Watched(group, self.loop, self.people, self._tell)
        return found

    def came(self, group: str, diff: Diff) -> None:
        """Take a change."""
        watched = self.groups.get(group)
        if watched is not None:
            watched.came(diff)

    def clear(self) -> None:
        """Forget who is where: the layer is flushed."""
        for watched in self.groups.values():
            watched.end()
        self.groups.clear()
        for attendee in self.attendees.values():
            attendee.metas.clear()
        self._cancel_timers()
        self._departing.clear()
        self._unsaid.clear()

    def _cancel_timers(self) -> None:
        for departing in self._departing.values():
            if isinstance(departing, asyncio.TimerHandle):
                departing.cancel()

    # Work

    def in_background(self, doing: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Await ``doing`` in a task that ends with this attendance; return the task."""
        task = self.loop.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self.report(task.exception())

    def report(self, error: BaseException | None) -> None:
        """Log an error, once a minute if it is the same; an outage is logged elsewhere."""
        if (
            error is not None
            and not isinstance(error, LayerUnavailable)
            and self._throttle.due((type(error), str(error)))
        ):
            log.error("%s: presence: %s: %s", self._name(), type(error).__name__, error, exc_info=error)

    def refused(self, error: LayerUnavailable) -> None:
        """Log once a minute that a server answers, but does not do what is needed."""
        if self._throttle.due(str(error)):
            log.warning("%s: presence: its people will be taken to have left: %s", self._name(), error)

    async def aclose(self) -> None:
        """End all work; who is present stays so, until the lease of this event loop ends."""
        self._cancel_timers()
        for watched in self.groups.values():
            watched.cancel()
        for task in self._tasks:
            task.cancel()
        await self.people.aclose()
