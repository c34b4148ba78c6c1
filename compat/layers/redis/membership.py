"""Which channels of this process are in which group, and that this process is alive.

Redis has the groups; a ``Membership``, one per host, has the process' own account of its part in them. It
renews what would expire under a long connection, enters anew what a restarted Redis has forgotten, and takes
out what could not be taken out during an outage. It also renews the process' lease, and cleans up after
processes of ours whose lease has run out. Processes with real channels_redis have no lease, and are left as
they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from compat.clock import steady, wall
from compat.exceptions import LayerUnavailable
from compat.layers.redis.keys import Keys, lease_of
from compat.layers.redis.scripts import RENEW
from compat.redis.backoff import Backoff
from compat.redis.connection import Argument, RedisUnavailable
from compat.redis.reader import Outages
from compat.redis.shards import Shards
from compat.redis.waiting import wait_set

__all__ = ["Membership", "Terms"]

MEMBERS_PER_COMMAND = 200
COMMANDS_PER_TURN = 200
GROUPS_PER_CLEANING = 500
TURNS = 4
"""How often within a lease it is prolonged, and the dead are taken out.

A lease in Redis lasts one turn less than it is called: whoever dies right after a turn is found by the others
in theirs when that is over, and so has left within the whole lease.
"""


class Terms(Protocol):
    """What a ``Membership`` needs to know of its layer."""

    keys: Keys
    group_expiry: int
    lease: int


class Membership:
    """The groups on one host that channels of this process are in.

    ``is_read(channel)`` says whether somebody reads a channel: such a member never expires, any other does
    ``group_expiry`` seconds after it joined.
    """

    def __init__(
        self, shards: Shards, index: int, outages: Outages, terms: Terms, is_read: Callable[[str], bool]
    ) -> None:
        self.outages = outages
        self.shards = shards
        self.index = index
        self.terms = terms
        self.is_read = is_read
        self.groups: dict[str, dict[str, float]] = {}
        """Group: channel: when it joined."""
        self._owed: dict[tuple[str, str], None] = {}
        """(group, channel) that are still to be taken out."""
        self._leases: set[str] = set()
        """Client prefixes of channels that have joined."""
        self._held: set[str] = set()
        """Those of them whose lease was prolonged before."""
        self._wake = asyncio.Event()
        self._all = False
        """Everything is to be entered anew."""
        self._refreshed = 0.0
        self._task: asyncio.Task[None] | None = None

    async def join(self, group: str, channel: str) -> None:
        """Add a channel of this process to a group; raises LayerUnavailable, and then it is not a member."""
        members = self.groups.setdefault(group, {})
        commands: list[tuple[Argument, ...]] = self._enter(group, {channel: wall()}, first=not members)
        members[channel] = wall()
        lease = lease_of(channel)
        if lease not in self._leases:
            self._leases.add(lease)
            self._wake.set()
        self._start()
        try:
            await self.shards.calls(self.index, commands)
        except BaseException:  # also when cancelled: the commands may have arrived or not
            self._forget(group, channel)
            self._owe(group, channel)
            raise

    async def leave(self, group: str, channel: str) -> None:
        """Take a channel out of a group; raises LayerUnavailable, and then it is done as soon as possible."""
        await self.leaving(group, channel)

    def leaving(self, group: str, channel: str) -> Coroutine[Any, Any, None]:
        """``leave`` in two steps: it is done here when this returns; what is returned tells Redis."""
        last = self._forget(group, channel)
        commands: list[tuple[Argument, ...]] = [(b"ZREM", self.terms.keys.group(group), channel)]
        if last:
            commands.append((b"SREM", self.terms.keys.joined(lease_of(channel)), group))
        return self._tell(group, channel, commands)

    async def _tell(self, group: str, channel: str, commands: list[tuple[Argument, ...]]) -> None:
        try:
            await self.shards.calls(self.index, commands)
        except BaseException:
            self._owe(group, channel)
            raise

    def lost(self, reason: str) -> None:
        """The connection broke: Redis may have forgotten everything."""
        if self.groups or self._owed:
            self._miss(self.shards.explain(self.shards.hosts[self.index], reason))
            self._wake.set()
            self._start()

    def _miss(self, error: RedisUnavailable) -> None:
        self._all = True
        self.outages.lost(self.index, error, self, wall())

    def forget_all(self) -> None:
        """Redis has been emptied on purpose."""
        self.groups.clear()
        self._owed.clear()

    def _forget(self, group: str, channel: str) -> bool:
        """Note that a channel has left; True when it was the group's last of this process."""
        members = self.groups.get(group)
        if members is None or members.pop(channel, None) is None or members:
            return False
        del self.groups[group]
        return True

    def _owe(self, group: str, channel: str) -> None:
        self._owed[group, channel] = None
        self._wake.set()
        self._start()

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def _keep(self) -> None:
        backoff = Backoff()
        period_s = max(min(self.terms.lease, self.terms.group_expiry) / TURNS, 0.2)
        self._wake.set()
        while True:
            await wait_set(self._wake, period_s)
            self._wake.clear()
            try:
                await self._renew()
                self.outages.back(self.index, self)
                backoff.reset()
                if not self.groups and not self._owed:
                    await self._retire()
            except RedisUnavailable as error:
                self._miss(error)
                await self.shards.pause(self.index, backoff.next_s())
                self._wake.set()
            else:
                if not self.groups and not self._owed:
                    return

    async def _renew(self) -> None:
        await self._settle()
        for lease in tuple(self._leases):
            if await self._prolong(lease) and lease in self._held:
                self._all = True  # it had run out, so others may have taken our members out
            self._held.add(lease)
        refresh_s = min(self.terms.group_expiry / (TURNS + 1), self.terms.lease)
        if self._all or steady() - self._refreshed > refresh_s:
            self._all = False
            await self._enter_all()
            self._refreshed = steady()

    async def _retire(self) -> None:
        """Give the leases up while there are no members: one that has run out would hide the next."""
        self._held.clear()
        await self._send([(b"ZREM", self.terms.keys.leases, lease) for lease in self._leases])

    async def _settle(self) -> None:
        """Take out what is owed; a channel that has joined again meanwhile stays."""
        owed, self._owed = self._owed, {}
        commands: list[tuple[Argument, ...]] = [
            (b"ZREM", self.terms.keys.group(group), channel)
            for group, channel in owed
            if channel not in self.groups.get(group, ())
        ]
        try:
            await self._send(commands)
        except BaseException:
            self._owed = {**owed, **self._owed}
            raise

    async def _prolong(self, lease: str) -> bool:
        """Renew a lease and clean up after the dead; True when the lease was not there."""
        keys, more, was_missing = self.terms.keys, True, False
        while more:
            lasts = self.terms.group_expiry + self.terms.lease
            added, _, left = await self.shards.run(
                self.index,
                RENEW,
                [keys.leases],
                *(lease, self.terms.lease * (TURNS - 1) / TURNS, keys.prefix, GROUPS_PER_CLEANING, lasts),
            )
            was_missing = was_missing or bool(added)
            more = bool(left)
        return was_missing

    async def _enter_all(self) -> None:
        """Write every membership again, with a time of joining of now for channels that are read."""
        now = wall()
        oldest = now - self.terms.group_expiry
        commands: list[tuple[Argument, ...]] = []
        for group, members in tuple(self.groups.items()):
            for channel, joined in tuple(members.items()):
                if self.is_read(channel):
                    members[channel] = now
                elif joined < oldest:
                    self._forget(group, channel)
            if members:
                commands += self._enter(group, members, first=True)
            if len(commands) >= COMMANDS_PER_TURN:
                await self._send(commands)
                commands = []
        await self._send(commands)

    def _enter(self, group: str, members: dict[str, float], *, first: bool) -> list[tuple[Argument, ...]]:
        key = self.terms.keys.group(group)
        commands: list[tuple[Argument, ...]] = []
        entries = list(members.items())
        for start in range(0, len(entries), MEMBERS_PER_COMMAND):
            part = entries[start : start + MEMBERS_PER_COMMAND]
            commands.append((b"ZADD", key, *(item for name, joined in part for item in (repr(joined), name))))
        commands.append((b"EXPIRE", key, self.terms.group_expiry))
        if first:
            for lease in {lease_of(channel) for channel in members}:
                joined_key = self.terms.keys.joined(lease)
                commands.append((b"SADD", joined_key, group))
                commands.append((b"EXPIRE", joined_key, self.terms.group_expiry + self.terms.lease))
        return commands

    async def _send(self, commands: Iterable[tuple[Argument, ...]]) -> None:
        batch = list(commands)
        if batch:
            await self.shards.calls(self.index, batch)

    async def aclose(self) -> None:
        """Stop. While there is a connection, take this process out of its groups at once."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,))
        if self._leases and self.shards.is_open(self.index):
            await self._resign()

    async def _resign(self) -> None:
        keys = self.terms.keys
        try:
            await self._send([(b"ZADD", keys.leases, 1, lease) for lease in self._leases])
            arguments: Any = ("", self.terms.lease, keys.prefix, GROUPS_PER_CLEANING, 0)
            more = True
            while more:
                more = bool((await self.shards.run(self.index, RENEW, [keys.leases], *arguments))[2])
        except LayerUnavailable:
            pass  # the lease will run out
