"""The lease of this process on one host: the sign in Redis that it is alive; and what dead ones leave behind.

Every process renews its own lease, and so learns whose has run out. It takes their members out of the groups,
beside the renewals: that may take longer than a lease lasts. Processes with the real channels_redis have no
lease, and their members stay.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Protocol

from compat.clock import steady, wall
from compat.exceptions import LayerUnavailable
from compat.layers.redis.keys import Keys
from compat.layers.redis.scripts import CLEAN, RENEW
from compat.metrics import LayerMetrics
from compat.redis.encoding import Argument
from compat.redis.reasons import LOST_KEYS
from compat.redis.shards import Shards

__all__ = ["TURNS", "Leases", "Terms"]

DEAD_AT_ONCE = 1000
"""Dead processes that one turn finds."""
GROUPS_AT_ONCE = 100
MEMBERS_AT_ONCE = 2000
"""Members of a dead process's groups that one script looks at, which takes Redis a few milliseconds."""
MISSING = 2
"""The answer of ``renew.lua`` for a lease that is not in Redis."""
HELD_UP = "this process was held up, or cut off, for more than its lease of {} s"
TURNS = 4
"""How often within a lease a process renews its own, and removes the members of dead processes.

In Redis a lease is one turn shorter than the option says. So a process that dies right after a turn is found
by another process's turn within the whole lease.
"""


class Terms(Protocol):
    """The attributes of a layer that ``Leases`` and ``Membership`` use; times are in seconds."""

    keys: Keys
    group_expiry: int
    lease: int
    metrics: LayerMetrics

    def name(self) -> str: ...


class Leases:
    """The leases on one host of the client prefixes whose channels are in groups."""

    def __init__(self, shards: Shards, index: int, terms: Terms) -> None:
        self.shards = shards
        self.index = index
        self.terms = terms
        self.keys = terms.keys.at(index)
        self._ends: dict[str, float | None] = {}
        """Client prefix: until when its lease lasts, by the wall clock; None before the first turn."""
        self._due = 0.0
        """When the next turn is due, by ``steady()``."""
        self._cleaning: asyncio.Task[None] | None = None

    def hold(self, lease: str) -> bool:
        """Renew a lease from the next turn on; return True if Redis does not have it yet."""
        return self._ends.setdefault(lease, None) is None

    def holds(self, lease: str) -> bool:
        """Return True for the lease of a channel that has joined here."""
        return lease in self._ends

    def is_due(self) -> bool:
        """Return True if the leases must be renewed before anything else."""
        return steady() >= self._due

    async def renew(self) -> tuple[float, str] | None:
        """Renew the leases, and begin to clean up after dead processes.

        Returns None if all were in force. Else senders may have left channels of this process out: returns
        since when, by the wall clock, and why. Where a lease has run out, other processes may have removed
        its channels from their groups. One that is gone before its end Redis has forgotten, and the groups
        with it.
        """
        self._due = steady() + self.terms.lease / TURNS
        lasts_s = self.terms.lease * (TURNS - 1) / TURNS
        life_s = self.terms.group_expiry + self.terms.lease
        gone: tuple[float, str] | None = None
        for lease, ends in tuple(self._ends.items()):
            asked = wall()
            there = [self.keys.leases, self.keys.joined(lease)]
            state, *dead = await self.shards.run(
                self.index, RENEW, there, *(lease, lasts_s, life_s, DEAD_AT_ONCE)
            )
            if state and ends is not None:
                found = min(ends, asked), HELD_UP.format(self.terms.lease)
                if state == MISSING and asked < ends:
                    found = ends - lasts_s, LOST_KEYS
                gone = found if gone is None else min(gone, found)
            self._ends[lease] = asked + lasts_s
            if dead and (self._cleaning is None or self._cleaning.done()):
                self._cleaning = asyncio.get_running_loop().create_task(self._clean_all(dead))
        return gone

    async def _clean_all(self, dead: Sequence[bytes]) -> None:
        for lease in dead:
            with contextlib.suppress(LayerUnavailable):  # the next turn finds it again
                await self.clean(lease.decode())

    async def clean(self, lease: str) -> None:
        """Remove the members of a dead process from its groups, and its lease."""
        keys, joined, cursor = self.keys, self.keys.joined(lease), b"0"
        groups: list[str] = []
        while True:
            if not groups:
                found = await self.shards.call(self.index, b"SRANDMEMBER", joined, GROUPS_AT_ONCE)
                groups = [group.decode() for group in found]
            of_groups = [key for group in groups for key in (keys.group(group), keys.census(group))]
            about: list[Argument] = [lease, cursor, MEMBERS_AT_ONCE, *groups]
            done = await self.shards.run(self.index, CLEAN, [keys.leases, joined, *of_groups], *about)
            if not done or (not groups and done[0] == 0):
                return
            groups, cursor = groups[done[0] :], done[1]

    async def retire(self) -> None:
        """Give up the leases while there are no members, so that they are new for the next member."""
        self._ends = dict.fromkeys(self._ends)
        if self._ends:
            await self.shards.calls(self.index, [(b"ZREM", self.keys.leases, lease) for lease in self._ends])

    async def aclose(self) -> None:
        """Stop cleaning; if there is a connection, remove this process's members from Redis at once."""
        if self._cleaning is not None and not self._cleaning.done():
            self._cleaning.cancel()
            await asyncio.wait((self._cleaning,))
        if self._ends and self.shards.is_open(self.index):
            with contextlib.suppress(LayerUnavailable):  # the leases will run out
                over = [(b"ZADD", self.keys.leases, 1, lease) for lease in self._ends]
                await self.shards.calls(self.index, over)
                for lease in self._ends:
                    await self.clean(lease)
