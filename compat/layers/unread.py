"""What no consumer reads in the in-memory layer, and is forgotten when it expires.

Members of groups whose channel has no consumer leave ``group_expiry`` seconds after they joined. Mailboxes
whose messages have all expired are dropped, and their channels leave their groups.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Protocol

from compat.clock import steady
from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox

__all__ = ["Unread"]

SWEEP_S = 0.001
"""For how long one call sweeps at most; the next one goes on with it."""


class Layer(Protocol):
    """What this module needs of the layer."""

    expiry: float
    group_expiry: float
    channels: dict[str, Inbox | Mailbox]

    def _forget(self, channel: str, box: Inbox | Mailbox) -> None: ...

    def _leave(self, group: str, channel: str) -> None: ...


class Unread:
    """The members and the mailboxes of one layer that no consumer reads."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.joined: OrderedDict[tuple[str, str], float] = OrderedDict()
        """(group, channel): when it joined, by ``steady()``, the oldest first."""
        self.groups: dict[str, set[str]] = {}
        """The same by channel."""
        self.channels: OrderedDict[str, None] = OrderedDict()
        """Channels that have, or had, a mailbox; those that are looked at next come first."""
        self.next_sweep = steady() + layer.expiry
        self._left = 0
        """How many channels this sweep has not looked at."""
        self._sweeping = threading.Lock()

    def join(self, group: str, channel: str) -> None:
        """Note that ``channel`` has joined ``group`` now."""
        self.joined[group, channel] = steady()
        self.joined.move_to_end((group, channel))
        self.groups.setdefault(channel, set()).add(group)

    def leave(self, group: str, channel: str) -> None:
        """Note that ``channel`` has left ``group``, if it was a member."""
        if self.joined.pop((group, channel), None) is not None:
            groups = self.groups.get(channel, set())
            groups.discard(group)
            if not groups:
                self.groups.pop(channel, None)

    def read_by(self, inbox: Inbox, channel: str) -> None:
        """Hand the groups of ``channel`` over to ``inbox``: a consumer reads it now."""
        for group in self.groups.pop(channel, ()):
            inbox.groups.add(group)
            self.joined.pop((group, channel), None)

    def groups_of(self, channel: str) -> tuple[str, ...]:
        """Return the groups of a channel without a consumer."""
        return tuple(self.groups.get(channel, ()))

    def clear(self) -> None:
        """Forget all members."""
        self.joined.clear()
        self.groups.clear()

    def sweep(self, now: float) -> None:
        """Sweep for ``SWEEP_S``. When nothing is left, the next sweep is due in ``expiry`` seconds."""
        if self._sweeping.acquire(blocking=False):  # another thread sweeps otherwise
            try:
                if self._sweep_groups(now) and self._sweep_channels(now):
                    self.next_sweep = now + self.layer.expiry
            finally:
                self._sweeping.release()

    def _sweep_channels(self, began: float) -> bool:
        """Drop channels whose messages expired unread; return False when time is up."""
        layer = self.layer
        if not self._left:
            self._left = len(self.channels)
        while self._left and self.channels:
            self._left -= 1
            channel, _ = self.channels.popitem(last=False)
            box = layer.channels.get(channel)
            if isinstance(box, Mailbox):
                if box.events and box.retire():
                    layer._forget(channel, box)
                    for group in self.groups_of(channel):
                        layer._leave(group, channel)
                else:
                    self.channels[channel] = None
            if steady() - began > SWEEP_S:
                return False
        self._left = 0
        return True

    def _sweep_groups(self, began: float) -> bool:
        """Take out members that joined ``group_expiry`` seconds ago; return False when time is up."""
        while self.joined:
            try:
                (group, channel), joined = next(iter(self.joined.items()))
            except (RuntimeError, StopIteration):  # another thread has changed it just now
                return False
            if joined >= began - self.layer.group_expiry:
                break
            self.layer._leave(group, channel)
            if steady() - began > SWEEP_S:
                return False
        return True
