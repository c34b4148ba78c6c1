"""How many members of each group one process has, so that a message need not carry their names.

A process writes its count and a version next to the members of a group. While the counts of all processes
add up to the number of members, ``fanout.lua`` stores one entry per process with the version instead of the
names, however many members there are. The process that reads it looks up who its members were at that
version. Members of processes with channels_redis are not counted; a group that has some is sent to by name.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from compat.clock import steady

__all__ = ["Census"]

KEPT_CHANGES = 10_000
"""Changes of a group that are kept for messages on their way; older messages reach the members of today."""


class Change(NamedTuple):
    """A member has joined or left."""

    version: int
    channel: str
    has_joined: bool
    at: float


class Roll:
    """The counted members of one group, and what has changed lately."""

    __slots__ = ("changes", "members")

    def __init__(self) -> None:
        self.members: dict[str, None] = {}
        self.changes: deque[Change] = deque(maxlen=KEPT_CHANGES)


class Census:
    """The members of one process whose names begin with ``queue``; an empty ``queue`` counts nobody.

    ``kept_s``: seconds after which a message that was sent before a change has arrived, or has expired.
    """

    def __init__(self, queue: str, kept_s: float) -> None:
        self.queue = queue
        self._kept_s = kept_s
        self._rolls: dict[str, Roll] = {}
        self._version = 0

    def joined(self, group: str, channel: str) -> str | None:
        """Count a new member; return what to write for the group, or None if it is not counted."""
        return self._changed(group, channel, has_joined=True)

    def left(self, group: str, channel: str) -> str | None:
        """Count a member no more; return what to write for the group, or None if it was not counted."""
        return self._changed(group, channel, has_joined=False)

    def told(self, group: str) -> str | None:
        """Return ``"<members>:<version>"`` for a group, or None if it has no counted members."""
        roll = self._rolls.get(group)
        return f"{len(roll.members)}:{self._version}" if roll is not None and roll.members else None

    def members(self, group: str, version: int) -> list[str]:
        """Return the members that a group had at ``version``."""
        roll = self._rolls.get(group)
        if roll is None:
            return []
        if not roll.changes or roll.changes[-1].version <= version:
            return list(roll.members)
        then = dict(roll.members)
        for change in reversed(roll.changes):
            if change.version <= version:
                break
            if change.has_joined:
                then.pop(change.channel, None)
            else:
                then[change.channel] = None
        return list(then)

    def _changed(self, group: str, channel: str, *, has_joined: bool) -> str | None:
        if not self.queue or not channel.startswith(self.queue):
            return None
        roll = self._rolls.get(group)
        if roll is None:
            roll = self._rolls[group] = Roll()
        if (channel in roll.members) is has_joined:
            return self.told(group)
        if has_joined:
            roll.members[channel] = None
        else:
            del roll.members[channel]
        now = steady()
        self._version += 1
        roll.changes.append(Change(self._version, channel, has_joined, now))
        while roll.changes[0].at < now - self._kept_s:
            roll.changes.popleft()
        return self.told(group) or ""

    def sweep(self) -> None:
        """Forget groups that have been empty for so long that no message for them is on its way."""
        oldest = steady() - self._kept_s
        self._rolls = {
            group: roll
            for group, roll in self._rolls.items()
            if roll.members or (roll.changes and roll.changes[-1].at >= oldest)
        }
