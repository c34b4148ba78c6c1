"""Expiry of the channels that no consumer reads, in the in-memory layer.

A channel without a consumer leaves a group ``group_expiry`` seconds after it has joined. A mailbox whose
messages have all expired is removed, and its channel leaves its groups; an empty one is removed alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from compat.clock import steady
from compat.engine.inbox import Inbox
from compat.engine.mailbox import DropCounter, Mailbox
from compat.forks import new_lock

__all__ = ["Boxes", "Unread"]

SWEEP_S = 0.001
"""Seconds that one call of ``sweep`` takes at most; the next call continues."""


class Layer(DropCounter, Protocol):
    """The parts of the layer that this module uses."""

    expiry: float
    group_expiry: float
    channels: dict[str, Inbox | Mailbox]

    def get_capacity(self, channel: str) -> int: ...

    def remove(self, channel: str, box: Inbox | Mailbox) -> None: ...

    def _leave(self, group: str, channel: str) -> None: ...


class Boxes(dict[str, "Inbox | Mailbox"]):
    """The inbox or mailbox of each channel.

    A ``send()`` that was copied from Channels brings a queue for a channel that has none: it gets a mailbox,
    which takes the same items.
    """

    def __init__(self, mailbox: Callable[[str], Mailbox]) -> None:
        super().__init__()
        self._mailbox = mailbox

    def setdefault(self, channel: str, default: Any = None) -> Any:
        """Return the inbox or mailbox of ``channel``, else ``default``, or a new mailbox in place of it."""
        if channel in self or isinstance(default, (Inbox, Mailbox)):
            return super().setdefault(channel, default)
        return super().setdefault(channel, self._mailbox(channel))


class Unread:
    """The group members and mailboxes of one layer that no consumer reads."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.joined: OrderedDict[tuple[str, str], float] = OrderedDict()
        """(group, channel): the time of joining in seconds of ``steady()``, oldest first."""
        self.groups: dict[str, set[str]] = {}
        """The groups of each channel in ``joined``."""
        self.channels: OrderedDict[str, None] = OrderedDict()
        """The channels that have, or had, a mailbox, in the order of the sweep."""
        self.next_sweep = steady() + layer.expiry
        self._left = 0
        """How many channels this sweep has not visited yet."""
        self._sweeping = new_lock()

    def mailbox(self, channel: str) -> Mailbox:
        """Return a new mailbox for a channel without a reader."""
        self.channels[channel] = None
        return Mailbox(channel, self.layer, self.layer.get_capacity(channel))

    def join(self, group: str, channel: str) -> None:
        """Record that ``channel`` joins ``group`` now."""
        self.joined[group, channel] = steady()
        self.joined.move_to_end((group, channel))
        self.groups.setdefault(channel, set()).add(group)

    def leave(self, group: str, channel: str) -> None:
        """Record that ``channel`` leaves ``group``, if it is a member."""
        if self.joined.pop((group, channel), None) is not None:
            groups = self.groups.get(channel, set())
            groups.discard(group)
            if not groups:
                self.groups.pop(channel, None)

    def read_by(self, inbox: Inbox, channel: str) -> None:
        """Move the groups of ``channel`` to ``inbox``, because a consumer reads the channel now."""
        for group in self.groups.pop(channel, ()):
            inbox.groups.add(group)
            self.joined.pop((group, channel), None)

    def groups_of(self, channel: str) -> tuple[str, ...]:
        """Return the groups of a channel without a consumer."""
        return tuple(self.groups.get(channel, ()))

    def clear(self) -> None:
        """Remove all members."""
        self.joined.clear()
        self.groups.clear()

    def sweep(self, now: float) -> None:
        """Sweep for ``SWEEP_S`` at most; once complete, the next sweep is due in ``expiry`` seconds."""
        if self._sweeping.acquire(blocking=False):  # otherwise another thread sweeps
            try:
                if self._sweep_groups(now) and self._sweep_channels(now):
                    self.next_sweep = now + self.layer.expiry
            finally:
                self._sweeping.release()

    def _sweep_channels(self, began: float) -> bool:
        """Remove channels whose messages have expired unread; return False if ``SWEEP_S`` is over."""
        layer = self.layer
        if not self._left:
            self._left = len(self.channels)
        while self._left and self.channels:
            self._left -= 1
            channel, _ = self.channels.popitem(last=False)
            box = layer.channels.get(channel)
            if isinstance(box, Mailbox):
                has_had_messages = bool(box.events)
                if box.retire():
                    layer.remove(channel, box)
                    for group in self.groups_of(channel) if has_had_messages else ():
                        layer._leave(group, channel)
                else:
                    self.channels[channel] = None
            if steady() - began > SWEEP_S:
                return False
        self._left = 0
        return True

    def _sweep_groups(self, began: float) -> bool:
        """Remove members after ``group_expiry`` seconds; return False if ``SWEEP_S`` is over."""
        while self.joined:
            try:
                (group, channel), joined = next(iter(self.joined.items()))
            except (RuntimeError, StopIteration):  # another thread has changed ``joined`` meanwhile
                return False
            if joined >= began - self.layer.group_expiry:
                break
            self.layer._leave(group, channel)
            if steady() - began > SWEEP_S:
                return False
        return True
