"""What an event loop knows of the people in one group, and whom it tells of changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from compat.layers.presence.people import Diff, Place, Presence
from compat.redis.waiting import shared

__all__ = ["DIFF", "Following", "People", "Show", "Watched"]

DIFF = "presence.diff"
"""The type of the message about who has come and left."""
GATHER_S, GATHER_MORE = 0.1, 10_000
"""Changes of so many seconds are told at once, and of a second more for so many who hear them."""
WRITTEN_S = 1.0
"""How long it is waited for a change of one's own before all is read again."""

Show = Callable[[str], None]
"""Sends a JSON object, as text, to a page."""
Tell = Callable[[Iterable[str], dict[str, Any]], None]


class Following(Protocol):
    """Where changes come from."""

    async def read(self, group: str) -> Presence:
        """Return who is in a group; raise LayerUnavailable."""
        raise NotImplementedError

    async def follow(self, group: str) -> None:
        """Pass all changes on from now on (``Watched.came``); raise LayerUnavailable."""

    def unfollow(self, group: str) -> None:
        """Pass them on no more."""


class People(Following, Protocol):
    """Keeps who is here; its methods raise LayerUnavailable."""

    async def enter(self, place: Place, meta: str, *, away: bool) -> int:
        """Add a connection, or change what is told of it; return the version, or TOO_MANY."""
        raise NotImplementedError

    async def depart(self, place: Place, how: str, *, last: bool) -> tuple[bool, int]:
        """Take a connection out; return False if that is to be repeated after a while, and the version.

        ``how``: "soon", "later" (the repetition) or "now". ``last``: this event loop has no other one in the
        group.
        """
        raise NotImplementedError

    async def aclose(self) -> None:
        """End all work."""


class Watched:
    """One group. ``tell(channels, message)`` puts a message into inboxes."""

    __slots__ = (
        "_asking",
        "_early",
        "_ended",
        "_follow",
        "_following",
        "_group",
        "_joins",
        "_known",
        "_leaves",
        "_loop",
        "_source",
        "_stale",
        "_tell",
        "_text",
        "_timer",
        "_waiting",
        "_written",
        "channels",
        "hearing",
        "pages",
    )

    def __init__(self, group: str, loop: asyncio.AbstractEventLoop, source: Following, tell: Tell) -> None:
        self.channels: set[str] = set()
        """The connections of this event loop that are present, or have been a moment ago."""
        self.hearing: dict[str, None] = {}
        """Those that are told of changes."""
        self.pages: dict[str, Show] = {}
        """What sends changes to the pages of connections that watch the group."""
        self._asking = 0
        """How many pages wait for their first answer."""
        self._group = group
        self._loop = loop
        self._source = source
        self._tell = tell
        self._known: Presence | None = None
        """Who is here, while the group is followed."""
        self._early: list[Diff] | None = None
        """What has come while all is read; None while it is not."""
        self._follow: asyncio.Task[None] | None = None
        self._joins: dict[str, dict[str, Any]] = {}
        self._leaves: dict[str, dict[str, Any]] = {}
        self._text: str | None = None
        """What a page is shown of all that is known; None: no page has been, since the last change."""
        self._timer: asyncio.TimerHandle | None = None
        """Runs while changes are gathered."""
        self._written = 0
        """The version that a change of this event loop has had."""
        self._waiting: asyncio.Event | None = None
        self._ended = False
        self._following = False
        """Changes are passed on, or will be."""
        self._stale = False
        """Changes may be missing, until all has been read again."""

    def written(self, version: int) -> None:
        """Note that this event loop has made a change, which has this version."""
        self._written = max(self._written, version)

    async def people(self) -> Presence:
        """Return who is here, from now on without asking; raise LayerUnavailable."""
        known = await self._now()
        copied = {key: _copied(person) for key, person in known.items()}
        return Presence(copied, known.version)

    async def _now(self) -> Presence:
        """Return what is known, with the changes that this event loop has made; raise LayerUnavailable."""
        await self.follow()
        if self._known is not None and self._known.version < self._written:
            try:
                await asyncio.wait_for(self._reached(self._written), WRITTEN_S)
            except asyncio.TimeoutError:  # the connection that brings the changes is slow, or was cut
                self.lost()
                await self.follow()
                self._written = 0  # Redis may have lost it
        known = self._known
        assert known is not None
        return known

    async def _reached(self, version: int) -> None:
        """Wait until a change with this version has come."""
        while self._known is not None and self._known.version < version:
            self._waiting = self._waiting or asyncio.Event()
            await self._waiting.wait()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None

    async def follow(self) -> None:
        """Know who is here from now on; concurrent callers share one attempt. Raises LayerUnavailable."""
        if self._known is None or self._stale:
            self.retry()
        if self._follow is not None:
            await shared(self._follow)

    def lost(self) -> None:
        """Read again who is here: changes may be missing."""
        self._stale = True
        self.retry_if_lost()

    def retry_if_lost(self) -> None:
        """Read again if an earlier attempt has failed."""
        if self._stale and self._known is not None:
            self.retry()

    def retry(self) -> None:
        """Begin to read, unless that is under way or all is known."""
        if self._follow is None and (self._known is None or self._stale) and not self._ended:
            self._follow = self._loop.create_task(self._catch_up())
            self._follow.add_done_callback(self._followed)

    def _followed(self, task: asyncio.Task[None]) -> None:
        self._follow = None
        if task.cancelled():
            return
        if task.exception() is not None:
            self._stale = True  # ``settle`` tries again; the waiting callers get the error
        elif self._stale:  # since it has ended
            self.retry()

    async def _catch_up(self) -> None:
        if not self._following and not self._ended:
            self._following = True
            try:
                await self._source.follow(self._group)
            except BaseException:
                self._unfollow()
                raise
        self._stale = True
        while self._stale:
            self._stale, self._early = False, []
            try:
                now = await self._source.read(self._group)
            finally:
                early, self._early = self._early, None
            for diff in early:
                if diff.version == now.version + 1:
                    now.apply(diff)
                elif diff.version > now.version:  # one was missing
                    self._stale = True
            before, self._known, self._text = self._known, now, None
            self._wake()
            if before is not None:
                self._gather(Diff.between(before, now))

    def came(self, diff: Diff) -> None:
        """Take a change."""
        known = self._known
        if self._early is not None:
            self._early.append(diff)
        elif known is not None and diff.version == known.version + 1:
            known.apply(diff)
            self._text = None
            self._wake()
            self._gather(diff)
        elif known is not None and diff.version > known.version:
            self.lost()

    def _gather(self, diff: Diff) -> None:
        if not self.hearing and not self.pages:
            return
        for key in diff.leaves:
            self._joins.pop(key, None)
        self._joins.update(diff.joins)
        for key in diff.joins:
            self._leaves.pop(key, None)
        self._leaves.update(diff.leaves)
        if self._timer is None:
            wait_s = GATHER_S + (len(self.hearing) + len(self.pages)) / GATHER_MORE
            self._timer = self._loop.call_later(wait_s, self._tell_of)

    def _tell_of(self) -> None:
        self._timer = None
        joins, self._joins = self._joins, {}
        leaves, self._leaves = self._leaves, {}
        if self._known is not None and (joins or leaves):
            told: dict[str, Any] = {"group": self._group, "joins": joins, "leaves": leaves}
            told["version"] = self._known.version
            if self.hearing:
                self._tell(tuple(self.hearing), {"type": DIFF, **told})
            text = json.dumps(told, separators=(",", ":")) if self.pages else ""
            for show in tuple(self.pages.values()):
                show(text)

    async def show(self, channel: str, show: Show) -> None:
        """Send all people to the page of a connection, and from then on what changes."""
        self._asking += 1
        try:
            known = await self._now()
        finally:
            self._asking -= 1
        if self._text is None:  # many pages ask for the same, and one may ask again and again
            told = {"group": self._group, "people": known, "version": known.version}
            self._text = json.dumps(told, separators=(",", ":"))
        self.pages[channel] = show
        show(self._text)

    def is_unused(self) -> bool:
        """Return True if nobody here is in the group, watches it, or asks to."""
        return not self.channels and not self.pages and not self._asking

    def end(self) -> None:
        """Follow the group no more; who waits for an answer still gets it."""
        self._ended = True
        self._unfollow()
        if self._timer is not None:
            self._timer.cancel()

    def _unfollow(self) -> None:
        if self._following:
            self._following = False
            self._source.unfollow(self._group)

    def cancel(self) -> None:
        """End all work."""
        self.end()
        if self._follow is not None:
            self._follow.cancel()


def _copied(person: dict[str, Any]) -> dict[str, Any]:
    return {**person, "metas": [dict(meta) for meta in person["metas"]]}
