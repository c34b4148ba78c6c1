"""What both Redis layers have on one event loop: connections, mailboxes, and the groups of each channel.

A station's coroutines run on its loop only; from other loops and threads they are carried there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from compat.clock import wall
from compat.engine.inbox import Event, Inbox
from compat.engine.mailbox import Mailbox
from compat.engine.parts import scheduler_of
from compat.layers.copies import copier
from compat.layers.redis.receipts import Receipt, Receipts
from compat.redis.backoff import Backoff
from compat.redis.connection import RedisUnavailable
from compat.redis.outages import OutageLog
from compat.redis.scripts import Script
from compat.redis.shards import Shards
from compat.types import Message

if TYPE_CHECKING:
    from compat.layers.redis.layer import RedisLayer

__all__ = ["Station"]

log = logging.getLogger("compat.layers")


class Station:
    """Base of the two layers' parts on one event loop."""

    scripts: Sequence[Script] = ()
    """The scripts to load into Redis with each connection: a command without a reply has no second try."""

    def __init__(
        self, layer: RedisLayer[Any], loop: asyncio.AbstractEventLoop, link_lost: Callable[[int, str], None]
    ) -> None:
        self.loop = loop
        self.keys = layer.keys
        self.metrics = layer.metrics
        self.count_drop = layer.count_drop
        self.shards = Shards(layer.redis_hosts, layer.explain, link_lost, self.scripts, self)
        self.receipts = Receipts()
        self.outages = OutageLog(layer, self.shards, self.announce)
        self.scheduler = scheduler_of(loop)
        self.boxes: dict[str, Inbox | Mailbox] = {}
        """What each channel of this loop is read from."""
        self._groups: dict[str, set[str]] = {}
        """The groups of channels that no consumer reads; a consumer's inbox has its own."""
        self._layer = layer
        self._probes: dict[int, asyncio.Task[None]] = {}

    # Who is in which group

    def groups_of(self, channel: str) -> set[str]:
        """The groups that a channel of this loop has joined."""
        box = self.boxes.get(channel)
        return box.groups if isinstance(box, Inbox) else self._groups.get(channel, set())

    def note_joined(self, group: str, channel: str) -> None:
        box = self.boxes.get(channel)
        groups = box.groups if isinstance(box, Inbox) else self._groups.setdefault(channel, set())
        groups.add(group)

    def note_left(self, group: str, channel: str) -> None:
        groups = self.groups_of(channel)
        groups.discard(group)
        if not groups:
            self._groups.pop(channel, None)

    def take_over(self, channel: str, inbox: Inbox) -> None:
        """Let ``inbox`` be what the channel is read from; what has come already goes into it first."""
        waiting = self.boxes.get(channel)
        inbox.groups.update(self._groups.pop(channel, ()))
        self.boxes[channel] = inbox
        if isinstance(waiting, Mailbox):
            while waiting.events:
                deadline, message = waiting.events.popleft()
                if not self._push(channel, inbox, message, deadline):
                    self.count_drop(channel, "overflow")

    def require_mailbox(self, channel: str) -> Mailbox:
        """The channel's mailbox, made if there is none; RuntimeError when a consumer reads the channel."""
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

    def decode(self, source: str, data: bytes) -> Message | None:
        """A message that came from ``source``; None, counted and logged, if it cannot be read."""
        try:
            message = self._layer.deserialize(data)
            if not isinstance(message, dict):
                raise TypeError(f"it is not a dict but {type(message).__name__}")
        except Exception as error:  # noqa: BLE001 - whatever a serializer raises; the reader must go on
            self._layer.count_undecodable(source, error)
            return None
        return message

    def pause(self) -> Awaitable[None]:
        """Return what to await before more is handed out, where the scheduler has a backlog.

        A chunk of a socket has more messages than an inbox has places, and its reader takes one in a turn.
        """
        return self.scheduler.relief()

    def hand_out(
        self, channels: Iterable[str], message: Message, deadline: float, receipt: Receipt | None = None
    ) -> None:
        """Give each of the channels a copy of its own; a consumer's is made when it takes it (``Event``)."""
        fresh = copier(message)  # type: ignore[arg-type]
        event: Event = (deadline, message, fresh)
        boxes, loop, delivered = self.boxes, self.loop, 0
        dropped = gone = elsewhere = 0
        for channel in channels:
            box = boxes.get(channel)
            if isinstance(box, Inbox) and box.loop is loop:
                if box.offer(event):
                    delivered += 1
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
        """Put a message into what the channel is read from, or count what became of it.

        Returns False where it was full, None where nothing reads it any more.
        """
        box = self.boxes.get(channel) or self.unknown(channel)
        if box is None:
            self.metrics.lose("gone")
            return None
        if self._push(channel, box, message, deadline):
            self.metrics.count_delivered()
            return True
        self.count_drop(channel, "overflow")
        return False

    def unknown(self, channel: str) -> Mailbox | None:
        """Where to keep a message for a channel that has nothing to be read from; None: nowhere."""
        return None

    def gone(self, channel: str) -> None:
        """The loop of the channel's consumer was closed before the consumer could end."""
        self.boxes.pop(channel, None)

    def _push(self, channel: str, box: Inbox | Mailbox, message: Message, deadline: float) -> bool:
        if isinstance(box, Mailbox) or box.loop is self.loop:
            return box.push(message, deadline)
        try:
            box.push_threadsafe(message, deadline)
        except RuntimeError:
            self.gone(channel)
            self.metrics.lose("gone")
        return True

    def announce(self, message: Message) -> None:
        """Give every channel that is read an event of the layer's own."""
        for channel, box in tuple(self.boxes.items()):
            if isinstance(box, Inbox) or box.waiters:
                if not self._push(channel, box, dict(message), float("inf")):
                    self.count_drop(channel, "overflow")

    # Outages

    def refused(self, index: int, error: RedisUnavailable) -> None:
        """A client was turned away because a host cannot be used: log it, and when that is over."""
        if index not in self._probes:
            self.outages.lost(index, error, self, wall())
            probe = self._probes[index] = self.loop.create_task(self._probe(index))
            probe.add_done_callback(lambda task: self._probes.pop(index, None))

    async def _probe(self, index: int) -> None:
        """Ask a host until it answers."""
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

    def in_use(self) -> bool:
        """True while consumers or callers on this loop depend on its connections."""
        raise NotImplementedError

    async def disconnect(self) -> None:
        """Close every connection, unless they are in use; they are opened again when they are needed."""
        if not self.in_use():
            await self._disconnect()

    async def _disconnect(self) -> None:
        """Close every connection."""
        for probe in self._probes.values():
            probe.cancel()

    async def aclose(self) -> None:
        """Close every connection, for good."""
        await self._disconnect()
