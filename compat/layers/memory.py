"""The in-memory layer: groups that push straight into inboxes. One process only.

It has the interface and the limits of ``channels.layers.InMemoryChannelLayer`` (Channels 4.3). Where that
one sweeps all channels on every receive, expiry is checked here at the head of a mailbox. Channels that no
consumer has are swept once per ``expiry`` seconds, a millisecond at a time; those of consumers never.
"""

from __future__ import annotations

import asyncio
import random
import string
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Any

from compat.clock import steady
from compat.exceptions import ChannelFull
from compat.inbox import Event, Inbox, Mailbox, Overflow, Retired
from compat.layers.base import (
    BaseChannelLayer,
    Capacities,
    SendResult,
    check_capacities,
    check_options,
    is_number,
    require_message,
)
from compat.layers.copies import copier, private
from compat.layers.upstream_names import PrivateNamesOfMemory
from compat.layers.values import MemoryValues
from compat.types import Message
from compat.wakeups import wakeups_of

__all__ = ["InMemoryChannelLayer"]

SWEEP_S = 0.001
"""For how long one call sweeps at most; the next one goes on with it."""

_AS_LETTERS = bytes(ord(string.ascii_letters[byte % 52]) for byte in range(256))
"""Which letter stands for a random byte in the name of a channel."""


def _random_names(count: int) -> list[str]:
    """Twelve letters each; several at once are a quarter of the price."""
    letters = random.getrandbits(96 * count).to_bytes(12 * count, "little").translate(_AS_LETTERS).decode()
    return [letters[at : at + 12] for at in range(0, len(letters), 12)]


class InMemoryChannelLayer(BaseChannelLayer, PrivateNamesOfMemory):
    """Channels and groups of this process.

    ``expiry`` and ``group_expiry`` are in seconds; ``group_expiry`` applies to members that no consumer of
    this process reads, so a long connection never falls out of its groups. State: ``channels`` maps a name
    to its mailbox, ``groups`` maps a group to ``{channel: time it joined}``.
    """

    extensions = ("groups", "flush")
    detaches_at_once = True
    """``detach()`` waits for nothing."""

    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        on_overflow: Overflow = "drop",
        **kwargs: Any,
    ) -> None:
        check_options(
            type(self), kwargs, ("expiry", "group_expiry", "capacity", "channel_capacity", "on_overflow")
        )
        check_capacities(capacity, channel_capacity)
        for name, value in (("expiry", expiry), ("group_expiry", group_expiry)):
            if not is_number(value):
                raise ValueError(f"{name} must be a number of seconds, not {value!r}")
        super().__init__(expiry, capacity, channel_capacity, on_overflow)
        self.channel_capacity = self.compile_capacities(channel_capacity or {})
        self.group_expiry = group_expiry
        self.channels: dict[str, Inbox | Mailbox] = {}
        self.groups: dict[str, dict[str, float]] = {}
        self.key_values = MemoryValues()
        """What else is kept beside the messages, such as sessions."""
        self._names: list[str] = []
        """For channels that are to come."""
        self._unread: OrderedDict[tuple[str, str], float] = OrderedDict()
        """(group, channel) where no consumer has the channel: when it joined, by ``steady()``, in order."""
        self._unread_groups: dict[str, set[str]] = {}
        """The same by channel."""
        self._unread_channels: OrderedDict[str, None] = OrderedDict()
        """Channels that have, or had, a mailbox; those that are looked at next come first."""
        self._to_sweep = 0
        """How many of them this sweep has not looked at."""
        self._next_sweep = steady() + expiry
        self._sweeping = threading.Lock()
        self._changing = threading.Lock()
        """Held to replace or to remove what ``channels`` has for a name."""

    # Channels

    async def new_channel(self, prefix: str = "specific.") -> str:
        """A name such as ``specific..inmemory!QhZkWbDcYeRt``, as upstream makes them."""
        try:
            name = self._names.pop()
        except IndexError:
            self._names += _random_names(64)
            name = self._names.pop()
        return f"{prefix}.inmemory!{name}"

    def attach(self, channel: str, inbox: Inbox) -> None:
        """Push what is sent to ``channel`` into ``inbox``; what waited for it already comes first."""
        inbox.channel = channel
        inbox.owner = self
        inbox.capacity = self.get_capacity(channel)
        inbox.on_overflow = self.on_overflow
        with self._changing:
            waiting = self.channels.get(channel)
            self.channels[channel] = inbox
        if isinstance(waiting, Mailbox):
            for deadline, message in waiting.hand_over():
                inbox.push(message, deadline)
        elif waiting is not None:
            inbox.groups.update(waiting.groups)
        for group in self._unread_groups.pop(channel, ()):
            inbox.groups.add(group)
            self._unread.pop((group, channel), None)

    async def detach(self, channel: str) -> None:
        """Forget ``channel`` and take it out of its groups."""
        inbox = self.channels.pop(channel, None)
        if isinstance(inbox, Inbox):
            for group in inbox.groups:
                self._leave(group, channel)
            inbox.groups.clear()
        else:  # it was read by receive()
            for group in tuple(self._unread_groups.get(channel, ())):
                self._leave(group, channel)

    async def send(self, channel: str, message: Message) -> None:
        """Put a copy of ``message`` into ``channel``.

        Raises TypeError for a bad name or a message that is not a dict, ChannelFull at capacity.
        """
        require_message(message)
        if channel not in self.channels:  # a known name has been checked
            self.require_valid_channel_name(channel)
        if "__asgi_channel__" in message:
            raise AssertionError("a message may not carry the reserved key '__asgi_channel__'")
        # A send comes second to a receive, as upstream sweeps when it receives; but where nobody does…
        self._sweep_if_due(patience=self.expiry)
        if not self._deliver(channel, private(message), steady() + self.expiry):
            if self._policy(channel) == "drop":
                raise ChannelFull(channel)
            self.count_drop(channel, "overflow")
        self.metrics.sent += 1
        wakeups = wakeups_of(asyncio.get_running_loop())
        if wakeups.crowd:
            await wakeups.relief()

    async def receive(self, channel: str) -> Message:
        """Wait for the next message of ``channel``, by its full name; a cancelled call loses nothing."""
        if channel not in self.channels:
            self.require_valid_channel_name(channel)
        self._sweep_if_due()
        while True:
            mailbox = self._mailbox(channel)
            if isinstance(mailbox, Inbox):
                raise RuntimeError(
                    f"channel {channel!r} is read by a consumer; its messages go to the consumer's handlers, "
                    "and receive() is for channels that no consumer has"
                )
            try:
                return await mailbox.get()
            except Retired:
                pass  # in another thread, a moment ago
            finally:
                if mailbox.retire():
                    self._forget(channel, mailbox)

    # Groups

    async def group_add(self, group: str, channel: str) -> None:
        """Add ``channel`` to ``group``; raises TypeError for a bad name."""
        if group not in self.groups:
            self.require_valid_group_name(group)
        inbox = self.channels.get(channel)
        if inbox is None:
            self.require_valid_channel_name(channel)
        if isinstance(inbox, Inbox):
            inbox.groups.add(group)
        else:
            self._unread[group, channel] = steady()
            self._unread.move_to_end((group, channel))
            self._unread_groups.setdefault(channel, set()).add(group)
        self.groups.setdefault(group, {})[channel] = time.time()

    async def group_discard(self, group: str, channel: str) -> None:
        """Take ``channel`` out of ``group``; silent where it is not a member."""
        if group not in self.groups:
            self.require_valid_group_name(group)
        inbox = self.channels.get(channel)
        if inbox is None:
            self.require_valid_channel_name(channel)
        elif isinstance(inbox, Inbox):
            inbox.groups.discard(group)
        self._leave(group, channel)

    async def group_send(self, group: str, message: Message, exclude: Iterable[str] = ()) -> SendResult:
        """Give every member of ``group`` a copy of ``message``, but those in ``exclude``.

        A member at capacity loses a message, as its overflow policy says; that is counted and logged, and
        in the result.
        """
        require_message(message)
        members = self.groups.get(group)
        if members is None:
            self.require_valid_group_name(group)
            return SendResult(0, 0)
        now = steady()
        if now >= self._next_sweep:
            self._sweep(now)
        excluded: Collection[str] = frozenset(exclude) if exclude else ()
        if type(self).send is not InMemoryChannelLayer.send:
            return await self._send_to_each([name for name in members if name not in excluded], message)
        deadline = now + self.expiry
        # The members share a copy that nobody changes, and make their own of it when they take it.
        shared = copier(message)()  # type: ignore[arg-type]
        fresh = copier(shared)  # type: ignore[arg-type]
        event: Event = (deadline, shared, fresh)
        loop = asyncio.get_running_loop()
        channels = self.channels
        delivered = dropped = 0
        for channel in list(members):  # a snapshot: other threads may join meanwhile
            if excluded and channel in excluded:
                continue
            inbox = channels.get(channel)
            if inbox is not None and inbox.loop is loop:
                kept = inbox.offer(event)  # pyright: ignore[reportAttributeAccessIssue]  # a mailbox has no loop
            else:
                kept = self._deliver(channel, fresh(), deadline)
            if kept:
                delivered += 1
            else:
                dropped += 1
                self.count_drop(channel, "overflow")
        self.metrics.sent += 1
        self.metrics.delivered += delivered
        wakeups = wakeups_of(loop)
        if wakeups.crowd:
            await wakeups.relief()
        return SendResult(delivered, dropped)

    async def _send_to_each(self, channels: list[str], message: Message) -> SendResult:
        """``group_send`` of a subclass with a ``send()`` of its own, which is to see every message."""
        dropped = 0
        for channel in channels:
            try:
                await self.send(channel, message)
            except ChannelFull:
                dropped += 1
                self.count_drop(channel, "overflow")
        return SendResult(len(channels) - dropped, dropped)

    # Upkeep

    async def flush(self) -> None:
        """Empty every channel and group. Consumers that run go on, outside all groups."""
        for channel, inbox in tuple(self.channels.items()):
            if isinstance(inbox, Inbox):
                inbox.events.clear()
                inbox.groups.clear()
            else:
                self._forget(channel, inbox)
        self.groups.clear()
        self._unread.clear()
        self._unread_groups.clear()

    async def close(self) -> None:
        """Nothing to close; here because upstream has it."""

    def depth(self) -> int:
        """How many messages wait in this process."""
        return sum(len(inbox.events) for inbox in tuple(self.channels.values()))

    def _mailbox(self, channel: str) -> Inbox | Mailbox:
        mailbox = self.channels.get(channel)
        if mailbox is None:
            made = Mailbox(channel, self, self.get_capacity(channel))
            mailbox = self.channels.setdefault(channel, made)
            self._unread_channels[channel] = None
        return mailbox

    def _forget(self, channel: str, box: Inbox | Mailbox) -> None:
        with self._changing:
            if self.channels.get(channel) is box:
                del self.channels[channel]

    def _deliver(self, channel: str, message: Message, deadline: float) -> bool:
        """Push into the channel's mailbox, wherever it is read; False when a message was lost to overflow."""
        mailbox = self._mailbox(channel)
        while isinstance(mailbox, Mailbox):
            stored = mailbox.push(message, deadline)
            if stored or not mailbox.retired:
                return stored
            self._forget(channel, mailbox)  # another thread is about to, or has
            mailbox = self._mailbox(channel)
        if mailbox.loop is asyncio._get_running_loop():
            return mailbox.push(message, deadline)
        try:
            mailbox.push_threadsafe(message, deadline)
        except RuntimeError:  # its loop was closed before the consumer could end
            self._forget(channel, mailbox)
            for group in mailbox.groups:
                self._leave(group, channel)
            self.count_drop(channel, "gone")
        return True

    def _policy(self, channel: str) -> Overflow:
        inbox = self.channels.get(channel)
        return inbox.on_overflow if isinstance(inbox, Inbox) else "drop"

    def _leave(self, group: str, channel: str) -> None:
        members = self.groups.get(group)
        if members is not None:
            members.pop(channel, None)
            if not members:
                self.groups.pop(group, None)
        if self._unread and self._unread.pop((group, channel), None) is not None:
            groups = self._unread_groups.get(channel, set())
            groups.discard(group)
            if not groups:
                self._unread_groups.pop(channel, None)

    def _sweep_if_due(self, patience: float = 0) -> None:
        now = steady()
        if now >= self._next_sweep + patience:
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        """Sweep for ``SWEEP_S``. When nothing is left, the next sweep is due in ``expiry`` seconds."""
        if self._sweeping.acquire(blocking=False):  # another thread sweeps otherwise
            try:
                if self._sweep_groups(now) and self._sweep_channels(now):
                    self._next_sweep = now + self.expiry
            finally:
                self._sweeping.release()

    def _sweep_channels(self, began: float) -> bool:
        """Drop channels whose messages expired unread: they have no reader, and leave their groups."""
        if not self._to_sweep:
            self._to_sweep = len(self._unread_channels)
        while self._to_sweep and self._unread_channels:
            self._to_sweep -= 1
            channel, _ = self._unread_channels.popitem(last=False)
            box = self.channels.get(channel)
            if isinstance(box, Mailbox):
                if box.events and box.retire():
                    self._forget(channel, box)
                    for group in tuple(self._unread_groups.get(channel, ())):
                        self._leave(group, channel)
                else:
                    self._unread_channels[channel] = None
            if steady() - began > SWEEP_S:
                return False
        self._to_sweep = 0
        return True

    def _sweep_groups(self, began: float) -> bool:
        """Take out of their groups who joined ``group_expiry`` seconds ago and has no consumer."""
        while self._unread:
            try:
                (group, channel), joined = next(iter(self._unread.items()))
            except (RuntimeError, StopIteration):  # another thread has changed it just now
                return False
            if joined >= began - self.group_expiry:
                break
            self._leave(group, channel)
            if steady() - began > SWEEP_S:
                return False
        return True
