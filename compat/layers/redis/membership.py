"""The group memberships of this process's channels.

The groups are in Redis. A ``Membership``, one per host, keeps this process's own list of its members. It
renews entries that would expire during a long connection, adds them again after a restart of Redis, and
removes those that could not be removed during an outage. It also counts them (``census``), and renews the
lease (``leases``), also between the parts of what takes long.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Coroutine, Iterable
from functools import partial
from typing import Any

from compat.clock import steady, wall
from compat.exceptions import LayerUnavailable
from compat.layers.joins import Joins
from compat.layers.redis.census import Census
from compat.layers.redis.keys import lease_of
from compat.layers.redis.leases import TURNS, Leases, Terms
from compat.layers.redis.member_commands import MemberCommands
from compat.layers.redis.owed import Owed
from compat.layers.redis.parts import in_parts
from compat.layers.redis.scripts import LOOK, REJOIN
from compat.redis.backoff import Backoff
from compat.redis.connection import Link
from compat.redis.encoding import Argument
from compat.redis.loops import start_apart
from compat.redis.reader import Outages
from compat.redis.reasons import FOREIGN, LASTING, LOST_KEYS, MOVED
from compat.redis.shards import Shards
from compat.redis.unavailable import RedisUnavailable
from compat.redis.waiting import wait_set

__all__ = ["Membership"]

log = logging.getLogger("compat.layers")

GROUPS_PER_COMMAND = 500


class Membership:
    """The groups on one host that channels of this process are in.

    ``is_read(channel)`` tells whether a channel has a reader. A member with a reader never expires; any other
    member expires ``group_expiry`` seconds after it has joined. ``queue``: the shared queue of the channels
    that are counted; an empty one counts none. ``arrived()``: see ``Census``.
    ``entered(groups)`` is called when memberships that Redis may have lost are there again, and
    ``removed(group, channel)`` when a member has expired, or another process has removed it.
    """

    def __init__(
        self,
        shards: Shards,
        index: int,
        outages: Outages,
        terms: Terms,
        is_read: Callable[[str], bool],
        queue: str,
        arrived: Callable[[], float],
        entered: Callable[[Collection[str]], None],
        removed: Callable[[str, str], None],
    ) -> None:
        self._entered, self._removed = entered, removed
        self.census = Census(queue, arrived)
        self.outages = outages
        self.shards, self.index = shards, index
        self.terms = terms
        self.keys = terms.keys.at(index)
        self.is_read = is_read
        self.groups: dict[str, dict[str, float]] = {}
        """Group: channel: the time of joining, by the wall clock."""
        self._owed = Owed()
        self.leases = Leases(shards, index, terms)
        self._life_s = terms.group_expiry + terms.lease
        self._commands = MemberCommands(self.keys, self.census, self.groups, terms.group_expiry, self._life_s)
        self._wake = asyncio.Event()
        self._all = False
        """True if every membership must be written to Redis again."""
        self._joins = Joins(lambda group, channel: channel in self.groups.get(group, ()), self.withdraw)
        """The calls that add members; Redis may not have these members yet."""
        self._explained = False
        """True if an outage is recorded because of which members may be missing in Redis."""
        self._refreshed = 0.0
        self._entered_at = self._seen = wall()
        """When all members were written to Redis, and when all groups were seen there, by the wall clock."""
        self._task: asyncio.Task[None] | None = None

    async def join(self, group: str, channel: str) -> None:
        """Add a channel of this process to a group; if that fails, it is no member that it was not before."""
        with self._joins.call(group, channel):
            self.groups.setdefault(group, {})[channel] = wall()
            self.census.joined(group, channel)
            if self.leases.hold(lease_of(channel)):
                self._wake.set()
            self._start()
            try:
                await self.shards.calls_now(self.index, partial(self._commands.enter, group, channel))
            except BaseException:
                self._commands.listed.pop(group, None)
                raise

    def withdraw(self, group: str, channel: str) -> None:
        """Remove a channel that could not join; Redis is told soon, or when it can be reached.

        The commands that were to add it may have arrived or not.
        """
        self._forget(group, channel)
        self._owe(group, channel)

    def leave(self, group: str, channel: str) -> Coroutine[Any, Any, None]:
        """Remove a channel from this process's list, and return a coroutine that removes it from Redis.

        After LayerUnavailable it is removed as soon as Redis is back.
        """
        last = self._forget(group, channel)
        self._owed.told(group, channel)
        return self._tell(group, channel, last=last)

    async def _tell(self, group: str, channel: str, *, last: bool) -> None:
        try:
            await self.shards.calls_now(self.index, partial(self._commands.leave, group, channel, last=last))
        except BaseException:
            self._owe(group, channel)
            raise

    def lost(self, reason: str) -> None:
        """Prepare to write every membership again, because the connection broke and Redis may be empty.

        A node to which a cluster has MOVED the groups may lack the last ones; if not, it is no outage.
        """
        if self._owed.again() or self.groups:
            self._all = True
            if reason != MOVED:
                self._miss(self.shards.explain(self.shards.hosts[self.index], reason))
            self._wake.set()
            self._start()

    def look_soon(self) -> None:
        """Look whether Redis still has the leases and the groups, because it was lost to others."""
        self._wake.set()

    def _miss(self, error: RedisUnavailable, since: float | None = None) -> None:
        self._all = True
        self._wake.set()
        self.outages.lost(self.index, error, self, wall() if since is None else since)

    def _missing(self, since: float, reason: str) -> None:
        """Record an outage in which Redis answers, but has not all members of this process."""
        self._explained = True
        self._miss(self.shards.explain(self.shards.hosts[self.index], reason), since)

    def forget_all(self) -> None:
        """Forget all memberships, because the layer's keys have been deleted."""
        for group, members in tuple(self.groups.items()):
            for channel in tuple(members):
                self._forget(group, channel)
        self.census.clear()
        self._owed.clear()

    def _forget(self, group: str, channel: str) -> bool:
        """Record that a channel has left; return True if it was this process's last member of the group."""
        self.census.left(group, channel)
        self._joins.left(group, channel)
        members = self.groups.get(group)
        if members is None or members.pop(channel, None) is None or members:
            return False
        del self.groups[group]
        self._commands.listed.pop(group, None)
        return True

    def _owe(self, group: str, channel: str) -> None:
        self._owed.add(group, channel)
        self._wake.set()
        self._start()

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = start_apart(asyncio.get_running_loop(), self._keep())

    async def _keep(self) -> None:
        backoff = Backoff()
        period_s = max(min(self.terms.lease, self.terms.group_expiry) / TURNS, 0.2)
        self._wake.set()
        while True:
            await wait_set(self._wake, period_s)
            self._wake.clear()
            try:
                await self._renew()
                if self._all:  # lost again meanwhile
                    continue
                self._explained = False
                self.outages.back(self.index, self)
                backoff.reset()
                if not self.groups and not self._owed:
                    await self.leases.retire()
                if not self.groups and not self._owed:
                    return
            except RedisUnavailable as error:
                self._miss(error)
                self.census.sweep()  # names of groups that nobody could join may be a client's
                await self.shards.pause(self.index, backoff.next_s())
            except LayerUnavailable:  # the layer is being closed
                return

    async def _renew(self) -> None:
        await self._renew_leases()
        await self._settle()
        if not self._explained:
            await self._look_for_groups()
        self.census.sweep()
        refresh_s = min(self.terms.group_expiry / (TURNS + 1), self.terms.lease)
        if self._all or steady() - self._refreshed > refresh_s:
            missed, self._all, before = self._all, False, wall()
            if await self._enter_groups(tuple(self.groups)) and not self._explained:
                self._missing(self._entered_at, LOST_KEYS)
            self._refreshed, self._entered_at = steady(), before
            if missed:
                self._entered(tuple(self.groups))

    async def _renew_leases(self) -> None:
        """Renew the leases, and record an outage if one had run out, or was gone."""
        gone = await self.leases.renew()
        if gone is not None and self.groups:
            self._missing(*gone)

    async def _look_for_groups(self) -> None:
        """Record an outage if the first member of some groups is missing in Redis; they are entered again.

        Redis loses whole groups. Others may have joined one since, also of this process: they are behind the
        first one here.
        """
        asked, firsts = wall(), self._joins.firsts(self.groups)
        groups = list(firsts)
        for start in range(0, len(groups), GROUPS_PER_COMMAND):
            if self.leases.is_due():
                await self._renew_leases()
            part = groups[start : start + GROUPS_PER_COMMAND]
            keys = [self.keys.group(group) for group in part]
            missing = await self.shards.run(self.index, LOOK, keys, *(firsts[group] for group in part))
            lost = [part[number - 1] for number in missing]
            if lost and await self._enter_groups(lost) and not self._explained:
                self._missing(self._seen, LOST_KEYS)
        self._seen = asked

    async def _settle(self) -> None:
        """Remove the owed members from Redis, except channels that have joined again meanwhile.

        What Redis will always refuse to remove is forgotten.
        """
        with self._owed.telling() as by_group:
            for parts in in_parts((group, channels.copy()) for group, channels in by_group.items()):
                makes = [partial(self._commands.remove, group, channels) for group, channels in parts]
                removals = [self.shards.calls_now(self.index, make) for make in makes]
                outcomes = await asyncio.gather(*removals, return_exceptions=True)
                for (group, channels), outcome in zip(parts, outcomes, strict=True):
                    if isinstance(outcome, RedisUnavailable) and outcome.reason in LASTING:
                        self._refused(group, outcome.reason)
                    elif isinstance(outcome, BaseException):
                        raise outcome
                    del by_group[group][: len(channels)]
                if self.leases.is_due():
                    await self._renew_leases()

    def _refused(self, group: str, reason: str) -> None:
        """Log that Redis refuses commands about a group; the other groups go on."""
        if self.terms.metrics.throttle.due(("group", group)):
            log.error(
                "%s: group %s at %s cannot be kept: %s. Its members may get no messages",
                *(self.terms.name(), group, self.shards.hosts[self.index].where, reason),
            )

    async def _enter_groups(self, groups: Iterable[str]) -> bool:
        """Write the memberships of these groups again; return True if Redis had forgotten one of them."""
        lost = False
        for parts in in_parts((group, list(self.groups.get(group, ()))) for group in groups):
            lost |= await self._enter_again(parts)
            if self.leases.is_due():
                await self._renew_leases()
        return lost

    async def _enter_again(self, parts: Collection[tuple[str, Collection[str]]]) -> bool:
        """Write the memberships of some channels in each of some groups again, if they still are members."""
        now, found = await self.shards.ask_now(self.index, partial(self._rejoin, parts))
        foreign, lost, notes = found
        for group in foreign:
            self._refused(group.decode(), FOREIGN)
        for group, *channels in notes:
            await self._heed(group.decode(), [channel.decode() for channel in channels], now)
        return bool(lost)

    async def _rejoin(self, parts: Collection[tuple[str, Collection[str]]], link: Link) -> tuple[float, Any]:
        """Run the script for those that are members now; return the time, and what it has answered.

        Channels with a reader get this time as time of joining.
        """
        now = wall()
        oldest = now - self.terms.group_expiry
        keys: list[str] = []
        about: list[Argument] = [self.terms.group_expiry, self._life_s, self.census.queue]
        for group, channels in parts:
            members = self.groups.get(group, {})
            by_lease: dict[str, list[str]] = {}
            for channel in channels:
                joined = members.get(channel)
                if self._joins.is_new(group, channel):
                    continue
                if joined is not None and self.is_read(channel):
                    joined = members[channel] = now
                if joined is None or joined < oldest:
                    self._forget(group, channel)
                    self._removed(group, channel)
                    continue
                by_lease.setdefault(lease_of(channel), []).extend((repr(joined), channel))
            for lease, entries in by_lease.items():
                keys += [self.keys.group(group), self.keys.census(group), self.keys.joined(lease)]
                about += [group, self.census.told(group) or "", len(entries) // 2, *entries]
        return now, (await REJOIN.run(link.call, keys, *about) if keys else ((), (), ()))

    async def _heed(self, group: str, channels: Iterable[str], before: float) -> None:
        """Forget the members of this process that another one has removed, unless they have joined since."""
        mine = [channel for channel in channels if self.leases.holds(lease_of(channel))]
        last: list[str] = []
        for channel in mine:
            if self.groups.get(group, {}).get(channel, math.inf) <= before:
                if self._forget(group, channel):
                    last.append(channel)
                self._removed(group, channel)
        if mine:
            await self.shards.calls_now(self.index, partial(self._commands.heed, group, mine, last))

    async def aclose(self) -> None:
        """Stop renewing; if there is a connection, remove this process's members from Redis at once."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,))
        await self.leases.aclose()
