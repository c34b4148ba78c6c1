"""The in-memory layer: channels and groups of one process, pushed straight into inboxes.

It has the interface and the limits of ``channels.layers.InMemoryChannelLayer`` (Channels 4.3), which looks
for expired messages in all channels at every receive. This one checks a message when it is taken; once per
``expiry`` seconds it sweeps channels without a consumer, for a millisecond at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from compat.clock import steady
from compat.engine.cursors import Position
from compat.engine.events import One, Overflow
from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox, Retired
from compat.engine.parts import scheduler_of
from compat.exceptions import ChannelFull
from compat.forks import new_lock
from compat.layers.base import SendResult, require_message
from compat.layers.copies import copier, sent
from compat.layers.history import Rules
from compat.layers.memory_history import KeepsHistories, MemoryHistories, offer_placed, pass_by
from compat.layers.new_names import NewNames
from compat.layers.options import IN_MEMORY, Capacities, check_capacities, check_options
from compat.layers.presence.memory import KeepsPeople
from compat.layers.unread import Boxes, Unread
from compat.layers.upstream_names import PrivateNamesOfMemory
from compat.layers.values import MemoryValues
from compat.types import Message, is_number

__all__ = ["InMemoryChannelLayer"]


class InMemoryChannelLayer(KeepsPeople, KeepsHistories, PrivateNamesOfMemory):
    """Channels and groups of this process.

    ``expiry`` and ``group_expiry`` are in seconds. ``group_expiry`` applies only to members that no consumer
    reads, so a long connection stays in its groups. ``channels``: the inbox or mailbox of each name.
    ``groups``: ``{channel: time it joined}`` of each group.
    """

    extensions = ["groups", "flush"]  # noqa: RUF012 - a list, as in Channels
    detaches_at_once = True
    """``detach()`` never waits."""

    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        on_overflow: Overflow = "drop",
        *,
        history: Mapping[Any, Any] | None = None,
        presence: Mapping[Any, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_options(type(self).__name__, kwargs, IN_MEMORY)
        check_capacities(capacity, channel_capacity)
        for name, value in (("expiry", expiry), ("group_expiry", group_expiry)):
            if not is_number(value):
                raise ValueError(f"{name} must be a number of seconds, not {value!r}")
        super().__init__(expiry, capacity, channel_capacity, on_overflow)
        self.channel_capacity = self.compile_capacities(channel_capacity or {})
        self.group_expiry = group_expiry
        self._unread = Unread(self)
        self.channels: dict[str, Inbox | Mailbox] = Boxes(self._unread.mailbox)
        self.groups: dict[str, dict[str, float]] = {}
        self.rules = Rules(history, type(self).__name__)
        self.histories = MemoryHistories(self.rules)
        self.open_hall(presence)
        self.key_values = MemoryValues()  # such as sessions
        self._names = NewNames()
        self._changing = new_lock()
        """Held to replace or remove an entry of ``channels``, and to enter and remove members of groups."""

    # Channels

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return a new name such as ``specific..inmemory!QhZkWbDcYeRt``, in the form that Channels uses."""
        return self._names.next(prefix)

    def made_here(self, channel: str) -> bool:
        """Return True for every channel with a "!": there is no other process."""
        return "!" in channel

    def attach(self, channel: str, inbox: Inbox) -> None:
        """Push the messages of ``channel`` into ``inbox``, beginning with those that wait already."""
        inbox.belong_to(self, channel, self.get_capacity(channel), self.on_overflow)
        with self._changing:
            waiting = self.channels.get(channel)
            self.channels[channel] = inbox
            if isinstance(waiting, Inbox):
                inbox.groups.update(waiting.groups)
            self._unread.read_by(inbox, channel)
        if isinstance(waiting, Mailbox):
            for deadline, message in waiting.hand_over():
                inbox.push(message, deadline)

    async def detach(self, channel: str) -> None:
        """Remove ``channel``, also from its groups."""
        with self._changing:
            inbox = self.channels.pop(channel, None)
            if isinstance(inbox, Inbox):
                groups = tuple(inbox.groups)
                inbox.groups.clear()
            else:  # no consumer reads the channel, only receive()
                groups = self._unread.groups_of(channel)
                if inbox is not None:
                    inbox.hand_over()
        for group in groups:
            self._leave(group, channel)

    async def send(self, channel: str, message: Message) -> None:
        """Put a copy of ``message`` into ``channel``.

        Raises TypeError for a bad name or a message that is not a dict, ChannelFull at capacity.
        """
        require_message(message)
        if channel not in self.channels:  # the name of a known channel is valid
            self.require_valid_channel_name(channel)
        if "__asgi_channel__" in message:
            raise AssertionError("a message may not carry the reserved key '__asgi_channel__'")
        now = steady()
        # Channels sweeps in receive(). A send sweeps only if no receive() has done so for a while.
        if now >= self._unread.next_sweep + self.expiry:
            self._unread.sweep(now)
        if not (kept := self._deliver(channel, sent(message), now + self.expiry)):
            if self._policy(channel) == "drop":
                raise ChannelFull(channel)
            self.count_drop(channel, "overflow")
        self.metrics.count_sent(int(kept))
        scheduler = scheduler_of(asyncio.get_running_loop())
        if scheduler.backlog:
            await scheduler.relief()

    async def receive(self, channel: str) -> Message:
        """Wait for the next message of ``channel`` (a full name); a cancelled call loses no message.

        Raises TypeError for a bad name, RuntimeError if a consumer reads the channel.
        """
        if channel not in self.channels:
            self.require_valid_channel_name(channel)
        now = steady()
        if now >= self._unread.next_sweep:
            self._unread.sweep(now)
        while True:
            mailbox = self.box(channel)
            if isinstance(mailbox, Inbox):
                raise RuntimeError(
                    f"channel {channel!r} is read by a consumer; its messages go to the consumer's handlers, "
                    "and receive() is for channels that no consumer has"
                )
            try:
                return await mailbox.next_message()
            except Retired:
                pass  # another thread has just retired it, so look the channel up again
            finally:
                if mailbox.retire():
                    self.remove(channel, mailbox)

    # Groups

    async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
        """Add ``channel`` to ``group``; raises TypeError for a bad name.

        ``last``: how many earlier messages of the group it gets first, each through its own handler, where
        the group has a history (otherwise ImproperlyConfigured is raised); None: as many as ``on_join`` of
        ``CONFIG["history"]`` says, if it is new.
        """
        if group not in self.groups:
            self.require_valid_group_name(group)
        if channel not in self.channels:
            self.require_valid_channel_name(channel)
        rule = self.rules.require(group, last) if last else self.rules.of(group) if self.rules else None
        new = channel not in self.groups.get(group, ())
        if rule is None:
            self.enter(group, channel)
        else:
            await self.histories.join(self, group, channel, rule, last)
        if self.presence_rules:
            await self.entered(group, channel, new=new)

    def enter(self, group: str, channel: str) -> None:
        """Make ``channel`` a member of ``group``."""
        with self._changing:
            inbox = self.channels.get(channel)
            if isinstance(inbox, Inbox):
                inbox.groups.add(group)
            else:
                self._unread.join(group, channel)
            self.groups.setdefault(group, {})[channel] = time.time()

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove ``channel`` from ``group``; do nothing if it is not a member."""
        if group not in self.groups:
            self.require_valid_group_name(group)
        inbox = self.channels.get(channel)
        if inbox is None:
            self.require_valid_channel_name(channel)
        elif isinstance(inbox, Inbox):
            inbox.groups.discard(group)
            if inbox.cursors is not None:
                inbox.cursors.end(group)
        self._leave(group, channel)
        if self.presence_rules:
            await self.left(group, channel)

    async def group_send(self, group: str, message: Message, exclude: Iterable[str] = ()) -> SendResult:
        """Give every member of ``group`` a copy of ``message``, except those in ``exclude``.

        A member at capacity loses a message according to ``on_overflow``; the loss is counted in the metrics
        and in the result, and logged.
        """
        require_message(message)
        members: Collection[str] | None = self.groups.get(group)
        rules = self.rules
        rule = rules.of(group) if rules else None
        if members is None and self.require_valid_group_name(group) and rule is None:
            return SendResult(0, 0)
        now = steady()
        if now >= self._unread.next_sweep:
            self._unread.sweep(now)
        excluded: Collection[str] = frozenset(exclude) if exclude else ()
        # The members share one copy that no consumer changes; each makes its own when it takes the message.
        place: tuple[str, Position] | None = None
        shared: Any = sent(message)
        if rule is not None and rule.keeps(shared):
            with self.histories.lock:
                place = group, self.histories.append(group, rule, shared, excluded).position
                members = tuple(self.groups.get(group, ()))
            self.metrics.count_recorded(0)
        if type(self).send is not InMemoryChannelLayer.send:
            return await self._send_to_each([name for name in members or () if name not in excluded], message)
        deadline = now + self.expiry
        fresh = copier(shared)
        one: One = ((deadline, shared, fresh),)
        loop = asyncio.get_running_loop()
        channels = self.channels
        delivered = dropped = 0
        for channel in list(members or ()):  # a snapshot: other threads may join meanwhile
            inbox: Any = channels.get(channel)  # a mailbox has no loop
            if excluded and channel in excluded:
                if place is not None and isinstance(inbox, Inbox) and inbox.cursors is not None:
                    pass_by(inbox, place, loop)
                continue
            if inbox is not None and inbox.loop is loop:
                kept = inbox.offer(one)
                if kept and place is not None and inbox.cursors is not None:
                    inbox.cursors.note(one[0], *place)
            elif place is not None and isinstance(inbox, Inbox) and inbox.cursors is not None:
                inbox.loop.call_soon_threadsafe(offer_placed, inbox, one, place)
                kept = True
            else:
                kept = self._deliver(channel, fresh(), deadline)
            if kept:
                delivered += 1
            else:
                dropped += 1
                self.count_drop(channel, "overflow")
        self.metrics.count_sent(delivered)
        scheduler = scheduler_of(loop)
        if scheduler.backlog:
            await scheduler.relief()
        return SendResult(delivered, dropped)

    async def _send_to_each(self, channels: list[str], message: Message) -> SendResult:
        """Send through the overridden ``send()`` of a subclass, so that it sees every message."""
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
        """Delete all messages and groups; running consumers keep their channels, and are in no group."""
        for channel, inbox in tuple(self.channels.items()):
            if isinstance(inbox, Inbox):
                inbox.own().clear()
                inbox.groups.clear()
                if inbox.cursors is not None:
                    inbox.cursors.lose()
            else:
                inbox.hand_over()
                self.remove(channel, inbox)
        self.groups.clear()
        self.histories.clear()
        self.empty_hall()
        self._unread.clear()

    async def close(self) -> None:
        """Do nothing; Channels has this method."""

    def depth(self) -> int:
        """Return how many messages wait in this process."""
        return sum(len(inbox.events) for inbox in tuple(self.channels.values()))

    def box(self, channel: str) -> Inbox | Mailbox:
        """Return the inbox or mailbox of ``channel``; a new mailbox if it has none."""
        box = self.channels.get(channel)
        return self.channels.setdefault(channel, self._unread.mailbox(channel)) if box is None else box

    def remove(self, channel: str, box: Inbox | Mailbox) -> None:
        """Remove a mailbox that has been retired, or an inbox whose loop is closed."""
        with self._changing:
            if self.channels.get(channel) is box:
                del self.channels[channel]

    def _deliver(self, channel: str, message: Message, deadline: float) -> bool:
        """Push into the channel's inbox or mailbox; return False if a message was lost to overflow."""
        mailbox = self.box(channel)
        while isinstance(mailbox, Mailbox):
            stored = mailbox.push(message, deadline)
            if stored or not mailbox.retired:
                return stored
            self.remove(channel, mailbox)  # the thread that has retired it may not have done so yet
            mailbox = self.box(channel)
        if mailbox.loop is asyncio._get_running_loop():
            return mailbox.push(message, deadline)
        try:
            mailbox.push_threadsafe(message, deadline)
        except RuntimeError:  # its loop was closed before the consumer could end
            self.remove(channel, mailbox)
            for group in tuple(mailbox.groups):
                self._leave(group, channel)
            self.count_drop(channel, "gone")
        return True

    def _policy(self, channel: str) -> Overflow:
        inbox = self.channels.get(channel)
        return inbox.on_overflow if isinstance(inbox, Inbox) else "drop"

    def _leave(self, group: str, channel: str) -> None:
        with self._changing:
            members = self.groups.get(group)
            if members is not None:
                members.pop(channel, None)
                if not members:
                    self.groups.pop(group, None)
            if self._unread.joined:
                self._unread.leave(group, channel)
