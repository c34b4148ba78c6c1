"""The commands that tell Redis which channels have joined or left a group, and how many are counted there."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from compat.clock import wall
from compat.layers.redis.census import Census, note_of
from compat.layers.redis.keys import Keys, lease_of
from compat.redis.encoding import Argument

__all__ = ["MemberCommands"]

Members = Mapping[str, Mapping[str, float]]
Commands = list[tuple[Argument, ...]]


class MemberCommands:
    """Makes the commands for one host, which say what is true at that moment: ``groups`` has the members.

    ``census`` knows of them already. ``expiry_s``: of a group; ``life_s``: of the list of groups that a
    process has.
    """

    def __init__(self, keys: Keys, census: Census, groups: Members, expiry_s: int, life_s: int) -> None:
        self.keys, self.census, self.groups = keys, census, groups
        self.listed: dict[str, str] = {}
        """The groups that are in that list in Redis, or on their way there; with the channel that says so."""
        self._expiry_s, self._life_s = expiry_s, life_s

    def count(self, group: str, *channels: str) -> Commands:
        """Return the commands that write how many members of a group are counted here.

        They come after those that add a member, and before those that remove one: while the counts say too
        little, messages are sent to the members by their names. ``channels``: what other processes have noted
        about them is over.
        """
        queue, key, told = self.census.queue, self.keys.census(group), self.census.told(group)
        outdated = [note_of(channel) for channel in channels]
        commands: Commands = []
        if queue and told is not None:
            commands.append((b"HSET", key, queue, told))
        elif queue:
            outdated.append(queue)
        if outdated:
            commands.append((b"HDEL", key, *outdated))
        return commands

    def enter(self, group: str, channel: str) -> Commands:
        """Return the commands that enter a new member; none if it has left meanwhile."""
        if channel not in self.groups.get(group, ()):
            return []
        key = self.keys.group(group)
        commands: Commands = [
            (b"ZADD", key, repr(wall()), channel),
            (b"EXPIRE", key, self._expiry_s),
            *self.count(group, channel),
        ]
        if self.listed.setdefault(group, channel) == channel:  # a cluster may let them be made again
            joined = self.keys.joined(lease_of(channel))
            commands += [
                (b"EXPIRE", self.keys.census(group), self._expiry_s),
                (b"SADD", joined, group),
                (b"EXPIRE", joined, self._life_s),
            ]
        return commands

    def leave(self, group: str, channel: str, *, last: bool) -> Commands:
        """Return the commands that take a member out; none if it has joined again.

        ``last``: no other channel of the process was in the group then.
        """
        if channel in self.groups.get(group, ()):
            return []
        return [*self.remove(group, (channel,)), *self._unlist(group, (channel,) if last else ())]

    def remove(self, group: str, channels: Collection[str]) -> Commands:
        """Return the commands that remove the channels that are not members any more."""
        members = self.groups.get(group, ())
        gone = [channel for channel in channels if channel not in members]
        commands = self.count(group, *gone)
        if gone:
            commands.append((b"ZREM", self.keys.group(group), *gone))
        return commands

    def heed(self, group: str, channels: Collection[str], last: Collection[str]) -> Commands:
        """Return the commands that note that ``channels`` are out, some of which were the ``last`` ones."""
        return [*self._unlist(group, last), *self.count(group, *channels)]

    def _unlist(self, group: str, last: Collection[str]) -> Commands:
        """Return the commands that say that no channel of the processes of the ``last`` members is left."""
        if group in self.groups:
            return []
        return [(b"SREM", self.keys.joined(lease_of(channel)), group) for channel in last]
