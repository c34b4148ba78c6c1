"""The part of a Redis layer on one event loop: connections, mailboxes, and the groups of each channel.

A station's coroutines run only on its loop; calls from other loops and threads are passed to it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from compat.clock import steady, wall
from compat.engine.cursors import Position
from compat.engine.events import One
from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox
from compat.engine.parts import scheduler_of
from compat.engine.scheduler import turn
from compat.layers.copies import copier
from compat.layers.joins import Joins
from compat.layers.presence.attendance import Attendance
from compat.layers.redis.people import RedisPeople
from compat.layers.redis.receipts import Receipt, Receipts
from compat.names import is_counted
from compat.redis.backoff import Backoff
from compat.redis.loops import start_apart
from compat.redis.outages import OutageLog
from compat.redis.scripts import Script
from compat.redis.shards import Shards
from compat.redis.unavailable import RedisUnavailable
from compat.tracing import carried_on
from compat.types import Message

if TYPE_CHECKING:
    from compat.layers.redis.layer import RedisLayer

__all__ = ["Station"]

KEYS_PER_COMMAND = 1000

log = logging.getLogger("compat.layers")


class Station:
    """Base of ``OwnStation`` and ``PubSubStation``."""

    scripts: Sequence[Script] = ()
    """Scripts that are loaded with each connection, because commands without a reply are not repeated."""

    def __init__(
        self, layer: RedisLayer[Any], loop: asyncio.AbstractEventLoop, link_lost: Callable[[int, str], None]
    ) -> None:
        self.loop = loop
        self.keys = layer.keys
        self.metrics = layer.metrics
        self.count_drop = layer.count_drop
        self.shards = Shards(
            layer.redis_hosts,
            layer.explain,
            link_lost,
            self.scripts,
            self,
            on_open=layer.meeting.met,
            role_every_s=layer.role_every_s,
        )
        self.receipts = Receipts()
        self.outages = OutageLog(layer, self.shards, self.announce)
        self.scheduler = scheduler_of(loop)
        self.boxes: dict[str, Inbox | Mailbox] = {}
        """The inbox or mailbox of each channel of this loop."""
        self._groups: dict[str, set[str]] = {}
        """The groups of the channels that no consumer reads; those of a consumer are in its inbox."""
        self.joins = Joins(lambda group, channel: group in self.groups_of(channel), self.leave)
        self._layer = layer
        self._probes: dict[int, asyncio.Task[None]] = {}

    @cached_property
    def attendance(self) -> Attendance:
        """Who is present in groups, of the connections of this loop; call it on the loop."""
        return Attendance(
            self.loop, partial(RedisPeople, self, self._layer), self._tell_changes, self._layer.name
        )

    def _tell_changes(self, channels: Iterable[str], message: Message) -> None:
        self.hand_out(channels, message, steady() + self._layer.expiry)

    # Who is in which group

    def groups_of(self, channel: str) -> set[str]:
        """Return the groups that a channel of this loop has joined."""
        box = self.boxes.get(channel)
        return box.groups if isinstance(box, Inbox) else self._groups.get(channel, set())

    def note_joined(self, group: str, channel: str) -> None:
        box = self.boxes.get(channel)
        groups = box.groups if isinstance(box, Inbox) else self._groups.setdefault(channel, set())
        groups.add(group)

    def leave(self, group: str, channel: str) -> None:
        """Remove a channel of this loop from a group; if Redis has to be told, it is soon."""
        raise NotImplementedError

    def note_left(self, group: str, channel: str) -> None:
        self.joins.left(group, channel)
        groups = self.groups_of(channel)
        groups.discard(group)
        box = self.boxes.get(channel)
        if isinstance(box, Inbox) and box.cursors is not None:
            box.cursors.end(group)
        if not groups:
            self._groups.pop(channel, None)

    def take_over(self, channel: str, inbox: Inbox) -> None:
        """Replace the channel's mailbox by ``inbox``, and push the waiting messages into it first."""
        waiting = self.boxes.get(channel)
        inbox.groups.update(self._groups.pop(channel, ()))
        self.boxes[channel] = inbox
        if isinstance(waiting, Mailbox):
            for deadline, message in waiting.hand_over():
                if not self._push(channel, inbox, message, deadline):
                    self.count_drop(channel, "overflow")

    def require_mailbox(self, channel: str) -> Mailbox:
        """Return the channel's mailbox, a new one if needed; RuntimeError if a consumer reads the channel."""
        box = self.boxes.get(channel)
        if isinstance(box, Inbox):
            raise RuntimeError(
                f"channel {channel!r} is read by a consumer; its messages go to the consumer's handlers, "
                "and receive() is for channels that no consumer has"
            )
        if box is None:
            layer = self._layer
            box = self.boxes[channel] = Mailbox(channel, layer, layer.get_capacity(channel))
        return box

    # What comes

    def decode(self, source: str, data: bytes, *, kept: bool = False) -> Message | None:
        """Return a message from ``source``; count and log one that cannot be decoded, and return None.

        ``kept``: it may be older than ``expiry``.
        """
        try:
            message = self._layer.deserialize_kept(data) if kept else self._layer.deserialize(data)
            if not isinstance(message, dict):
                raise TypeError(f"it is not a dict but {type(message).__name__}")
        except Exception as error:  # noqa: BLE001 - whatever a serializer raises; the reader must go on
            self._layer.count_undecodable(source, error)
            return None
        carried_on(message)
        return message

    def pause(self) -> Awaitable[None]:
        """Return an awaitable to wait for before more messages are delivered, if the scheduler has a backlog.

        One read of the socket may bring more messages than an inbox holds, and readers take one in a turn.
        """
        return self.scheduler.relief()

    def relief_after(self, channel: str) -> Awaitable[None] | None:
        """Return an awaitable to wait for after a message to ``channel``, or None.

        What reads a full mailbox has been woken, and may only have had no turn since.
        """
        box = self.boxes.get(channel)
        if isinstance(box, Mailbox) and box.full():
            return turn()
        return self.pause() if self.scheduler.backlog else None

    def hand_out(
        self,
        channels: Iterable[str],
        message: Message,
        deadline: float,
        receipt: Receipt | None = None,
        place: tuple[str, Position] | None = None,
        *,
        late: bool = False,
    ) -> None:
        """Deliver a private copy to each channel; a consumer's copy is made when it takes it (``Event``).

        ``place``: the group, and the position in its history, for consumers whose clients may come back.
        ``late``: it was missing, and comes with others; these do not count for the capacity.
        """
        fresh = copier(message)  # type: ignore[arg-type]
        one: One = ((deadline, message, fresh),)
        boxes, loop, delivered = self.boxes, self.loop, 0
        dropped = gone = elsewhere = 0
        for channel in channels:
            box = boxes.get(channel)
            if isinstance(box, Inbox) and box.loop is loop:
                if box.replay(one) if late else box.offer(one):
                    delivered += 1
                    if place is not None and box.cursors is not None:
                        box.cursors.note(one[0], *place)
                else:
                    dropped += 1
                    self.count_drop(channel, "overflow")
            elif (kept := self.deliver(channel, fresh(), deadline)) is None:
                gone += 1
            elif kept:
                elsewhere += 1
            else:
                dropped += 1
        self.metrics.count_delivered(delivered)
        if receipt is not None:
            receipt.note(delivered + elsewhere, dropped, gone)

    def deliver(self, channel: str, message: Message, deadline: float) -> bool | None:
        """Put a message into the channel's inbox or mailbox, and count the result.

        Returns True if it was stored, False if a message was lost to overflow, None if nothing reads the
        channel.
        """
        box = self.boxes.get(channel) or self.unknown(channel)
        if box is None:
            self.metrics.lose("gone")
            return None
        if self._push(channel, box, message, deadline):
            if is_counted(channel):
                self.metrics.count_delivered()
            return True
        self.count_drop(channel, "overflow")
        return False

    def unknown(self, channel: str) -> Mailbox | None:
        """Return a new mailbox for a channel without one, or None to drop its message."""
        return None

    def gone(self, channel: str) -> None:
        """Remove a channel whose consumer's loop was closed before the consumer could end."""
        self.drop(channel)

    def drop(self, channel: str) -> None:
        """Remove a channel's inbox or mailbox; callers of ``receive()`` look for another one."""
        box = self.boxes.pop(channel, None)
        if isinstance(box, Mailbox):
            box.hand_over()

    def _push(self, channel: str, box: Inbox | Mailbox, message: Message, deadline: float) -> bool:
        if isinstance(box, Mailbox) or box.loop is self.loop:
            return box.push(message, deadline)
        try:
            box.push_threadsafe(message, deadline)
        except RuntimeError:
            self._layer.departs(channel)
            self.gone(channel)
            self.metrics.lose("gone")
        return True

    def announce(self, message: Message) -> None:
        """Push a message of the layer itself to every channel that has a reader."""
        self.tell(tuple(self.boxes), message)

    def tell(self, channels: Iterable[str], message: Mapping[str, Any]) -> None:
        """Push a message of the layer itself to those of ``channels`` that have a reader."""
        for channel in channels:
            box = self.boxes.get(channel)
            if isinstance(box, Inbox) or (box is not None and box.waiters):
                if not self._push(channel, box, dict(message), float("inf")):
                    self.count_drop(channel, "overflow")

    # Outages

    def refused(self, index: int, error: RedisUnavailable, since: float | None = None) -> None:
        """Log an outage for which a client was refused, and probe the host until the outage is over.

        ``since``: when it began, by the wall clock, if that was before now.
        """
        if index not in self._probes:
            self.outages.lost(index, error, self, wall() if since is None else since)
            probe = self._probes[index] = start_apart(self.loop, self._probe(index))
            probe.add_done_callback(lambda task: self._probes.pop(index, None))

    async def _probe(self, index: int) -> None:
        """Send PING to a host until it answers."""
        backoff = Backoff()
        while True:
            await self.shards.pause(index, backoff.next_s())
            try:
                await self.shards.call(index, b"PING")
            except RedisUnavailable as error:
                self.outages.lost(index, error, self, wall())
            else:
                break
        self.outages.back(index, self)

    # Upkeep

    async def scan(self, index: int, prefix: str) -> list[bytes]:
        """Return the keys on one host that begin with ``prefix``."""
        literal = re.sub(r"([*?\[\]\\])", r"\\\1", prefix)
        found: dict[bytes, None] = {}
        cursor = b""
        while cursor != b"0":
            cursor, some = await self.shards.call(
                index, b"SCAN", cursor or b"0", b"MATCH", f"{literal}*", b"COUNT", 1000
            )
            found.update(dict.fromkeys(some))
        return list(found)

    async def delete_all(self, index: int, prefix: str) -> None:
        """Delete the keys on one host that begin with ``prefix``."""
        await self.delete(index, await self.scan(index, prefix))

    async def delete(self, index: int, keys: Sequence[bytes]) -> None:
        """Delete keys on one host."""
        for start in range(0, len(keys), KEYS_PER_COMMAND):
            await self.shards.call(index, b"DEL", *keys[start : start + KEYS_PER_COMMAND])

    async def forget_people(self, index: int) -> None:
        """Delete the keys of presence on one host."""
        keys = self.keys.at(index)
        for kind in ("presence", "present"):
            await self.delete_all(index, f"{keys.prefix}:{kind}:")
        versions = keys.last_version, keys.least_version
        await self.shards.call(index, b"DEL", keys.processes, keys.dying, *versions)
        if "attendance" in self.__dict__:
            self.attendance.clear()

    def in_use(self) -> bool:
        """Return True while consumers or callers on this loop depend on its connections."""
        raise NotImplementedError

    async def disconnect(self) -> None:
        """Close every connection unless ``in_use()``; they reopen when needed."""
        if not self.in_use():
            await self._end()

    async def _end(self) -> None:
        """Close every connection, and end the outages, because no host is used here any more."""
        try:
            await self._disconnect()
        finally:
            self.outages.closed()

    async def _disconnect(self) -> None:
        """Close every connection."""
        for probe in self._probes.values():
            probe.cancel()
        attendance = self.__dict__.pop("attendance", None)
        if attendance is not None:
            await attendance.aclose()

    async def aclose(self) -> None:
        """Close every connection, for good."""
        await self._end()
