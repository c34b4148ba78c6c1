"""The commands that tell Redis who has joined a group, who has left it, and how many are counted there."""

from __future__ import annotations

from compat.clock import wall
from compat.layers.redis.census import Census, note_of
from compat.layers.redis.keys import Keys, lease_of
from compat.redis.encoding import Argument

__all__ = ["MemberCommands"]

Commands = list[tuple[Argument, ...]]


class MemberCommands:
    """Makes the commands for one host. They are about members of which ``census`` knows already.

    ``expiry_s``: of a group; ``life_s``: of the list of groups that a process has.
    """

    def __init__(self, keys: Keys, census: Census, expiry_s: int, life_s: int) -> None:
        self.keys, self.census = keys, census
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

    def enter(self, group: str, channel: str, *, first: bool) -> Commands:
        """Return the commands that enter a new member, the ``first`` one of this process or not."""
        key = self.keys.group(group)
        commands: Commands = [
            (b"ZADD", key, repr(wall()), channel),
            (b"EXPIRE", key, self._expiry_s),
            *self.count(group, channel),
        ]
        if first:
            joined = self.keys.joined(lease_of(channel))
            commands += [
                (b"EXPIRE", self.keys.census(group), self._expiry_s),
                (b"SADD", joined, group),
                (b"EXPIRE", joined, self._life_s),
            ]
        return commands

    def remove(self, group: str, *channels: str) -> Commands:
        """Return the commands that take members out."""
        commands = self.count(group, *channels)
        if channels:
            commands.append((b"ZREM", self.keys.group(group), *channels))
        return commands

    def left(self, group: str, channel: str) -> tuple[Argument, ...]:
        """Return the command that tells that no channel of the channel's process is left in a group."""
        return b"SREM", self.keys.joined(lease_of(channel)), group
