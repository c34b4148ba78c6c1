"""How many members of each group one process has, so that a message need not carry their names.

A process writes its count and a version next to the members of a group. While the counts of all processes
add up to the number of members, ``fanout.lua`` stores one entry per process with the version instead of the
names, however many members there are. The process that reads it looks up who its members were at that
version. Members of processes with channels_redis are not counted; a group that has some is sent to by name.

Whoever takes a channel of another process out of a group leaves a note there (``note_of``), so that the
process does not enter it again. Until it has read the note, messages are sent by name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from compat.clock import steady

__all__ = ["NOTE", "Census", "note_of"]

KEPT_CHANGES = 10_000
"""Changes of a group that are kept for messages on their way; older messages reach the members of today."""


NOTE = "1000000000:0"
"""What stands in a note: a count which no group has, so that the counts do not add up."""

Change = tuple[int, str, bool, float]
"""A version, the member that has joined or left with it, True if it has joined, and when (``steady()``)."""


def note_of(channel: str) -> str:
    """Return the field of a census that says that another process has removed ``channel`` from the group."""
    return f"-{channel}"


class Roll:
    """The counted members of one group, and their recent changes."""

    __slots__ = ("changes", "members")

    def __init__(self) -> None:
        self.members: dict[str, None] = {}
        self.changes: deque[Change] = deque(maxlen=KEPT_CHANGES)


class Census:
    """The members of one process whose names begin with ``queue``; an empty ``queue`` counts nobody.

    ``arrived()`` returns a time of ``steady()``: messages that were sent before it have arrived, or expired.
    """

    def __init__(self, queue: str, arrived: Callable[[], float]) -> None:
        self.queue = queue
        self._arrived = arrived
        self._rolls: dict[str, Roll] = {}
        self._version = 0

    def joined(self, group: str, channel: str) -> None:
        """Count a new member."""
        self._change(group, channel, has_joined=True)

    def left(self, group: str, channel: str) -> None:
        """Count a member no more."""
        self._change(group, channel, has_joined=False)

    def told(self, group: str) -> str | None:
        """Return ``"<members>:<version>"`` for a group, or None if it has no counted members."""
        roll = self._rolls.get(group)
        return f"{len(roll.members)}:{self._version}" if roll is not None and roll.members else None

    def members(self, group: str, version: int) -> list[str]:
        """Return the members that a group had at ``version``."""
        roll = self._rolls.get(group)
        if roll is None:
            return []
        if not roll.changes or roll.changes[-1][0] <= version:
            return list(roll.members)
        then = dict(roll.members)
        for changed, channel, has_joined, _ in reversed(roll.changes):
            if changed <= version:
                break
            if has_joined:
                then.pop(channel, None)
            else:
                then[channel] = None
        return list(then)

    def _change(self, group: str, channel: str, *, has_joined: bool) -> None:
        if not self.queue or not channel.startswith(self.queue):
            return
        roll = self._rolls.get(group)
        if roll is None:
            if not has_joined:
                return
            roll = self._rolls[group] = Roll()
        if (channel in roll.members) is has_joined:
            return
        if has_joined:
            roll.members[channel] = None
        else:
            del roll.members[channel]
        self._version += 1
        roll.changes.append((self._version, channel, has_joined, steady()))
        _forget(roll.changes, self._arrived())

    def clear(self) -> None:
        """Remove all members."""
        self._rolls.clear()

    def sweep(self) -> None:
        """Forget old changes and empty groups, which no message on its way can refer to."""
        arrived = self._arrived()
        for group, roll in tuple(self._rolls.items()):
            _forget(roll.changes, arrived)
            if not roll.members and not roll.changes:
                del self._rolls[group]


def _forget(changes: deque[Change], before: float) -> None:
    while changes and changes[0][3] < before:
        changes.popleft()
