"""Send in the queue layer: which message goes into which queue, and by which script.

The sends use only ``Commands``, so they work with an event loop's shards and with a direct line.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from compat.clock import wall
from compat.exceptions import ChannelFull
from compat.forks import new_lock
from compat.layers.base import SendResult
from compat.layers.redis.keys import EXCLUDE_KEY, PLACE_KEY, RESERVED_KEY, lease_of
from compat.layers.redis.layer import RedisLayer, log
from compat.layers.redis.receipts import Receipt
from compat.layers.redis.recordings import PASSING, Written, without_reserved
from compat.layers.redis.scripts import FANOUT, FANOUT_RECORDED, MEMBERS, PUSH, SEND
from compat.layers.redis.serializers import Template
from compat.names import is_counted, non_local_name
from compat.redis.commands import Commands
from compat.redis.encoding import Argument
from compat.redis.streams.history import UNPLACED, Record
from compat.types import Message

if TYPE_CHECKING:
    from compat.layers.redis.core import RedisChannelLayer
    from compat.layers.redis.queue_station import QueueStation

__all__ = ["QueueSending", "RisingClock"]

QUEUE_FACTOR = 100
"""The queue that all channels of a process share holds at most this many times the capacity of one channel.

It is short while the process reads; this limit bounds the memory of Redis if the process hangs. It is lower
for messages that carry the names of many receivers, and for long ones (``QUEUE_BYTES``). The capacity of each
channel is checked in the process that reads it.
"""
QUEUE_BYTES = 8_000_000
"""The queue that all channels of a process share takes no more messages that would have this size together,
beyond the capacity of one channel.
"""
TAG_BYTES = 8
TAGGED_PREFIX_BYTES = 12
"""The random prefix has a tag if it is so long, so that other bytes of it still tell equal messages apart."""


class RisingClock:
    """A wall clock that never returns the same time twice in a process; its times are the scores of messages.

    Messages with equal scores would be ordered by their content.
    """

    def __init__(self) -> None:
        self._last = 0.0
        self._lock = new_lock()

    def next(self, now: float) -> float:
        """Return ``now``, or the last result plus a microsecond if that is later."""
        with self._lock:
            self._last = now if now > self._last else self._last + 1e-6
            return self._last


scores = RisingClock()


class _Kept(NamedTuple):
    """A message for the history of its group."""

    record: Record
    written: Written


class QueueSending:
    """The ``send`` and ``group_send`` of a queue layer, with arguments that have been checked."""

    def __init__(self, layer: RedisChannelLayer) -> None:
        self._layer = layer

    async def send(self, commands: Commands, channel: str, message: Message) -> None:
        """Put ``message`` into ``channel``; raise ChannelFull at capacity."""
        layer, keys = self._layer, self._layer.keys
        capacity = layer.get_capacity(channel)
        if "!" in channel:
            shard, plain = keys.queue_shard(channel), ""
            needle, member = self._countable(channel, layer.encoded({**message, RESERVED_KEY: channel}))
        else:
            shards = keys.plain_shards(channel)
            shard = shards[next(layer.round_robin) % len(shards)]
            needle, member, plain = b"", layer.encoded(message), channel
        limit = self._queue_limit(channel, 1, len(member))
        stored, expired = await commands.run(
            shard,
            SEND,
            [keys.queue(channel), keys.at(shard).channels],
            *(repr(scores.next(wall())), layer.expiry_s, capacity, limit, needle, member, plain),
        )
        if expired:
            self._count_expired(f"channel {channel}", expired)
        if not stored:
            raise ChannelFull(channel)
        if is_counted(channel):
            layer.metrics.count_sent()

    def _countable(self, channel: str, member: bytes) -> tuple[bytes, bytes]:
        """Return the bytes by which the script finds the messages of ``channel``, and the member with them.

        They are the name of the channel, unless the serializer encrypts or compresses it. Then a digest of
        the name, keyed by the first of the layer's keys, replaces a part of the random prefix. Every reader
        skips the prefix, also that of channels_redis. If it is too short for a digest, they are empty, and
        the channel is full when the queue of its process has ``capacity`` messages, as in channels_redis.
        That rule is not used for all: a busy process would refuse messages to channels that have none.
        """
        name = channel.encode()
        if name in member:
            return name, member
        if self._layer.mark_length < TAGGED_PREFIX_BYTES:
            return b"", member
        tag = hashlib.blake2b(name, digest_size=TAG_BYTES, key=self._layer.tag_key).digest()
        return tag, tag + member[TAG_BYTES:]

    async def group_send(
        self, commands: Commands, group: str, message: Message, exclude: Collection[str]
    ) -> SendResult:
        """Put ``message`` into the queues of the members of ``group``, in one script call if possible."""
        layer = self._layer
        record = layer.recordings.record(group) if layer.rules else None
        kept: _Kept | None = None
        if record is not None:
            message = without_reserved(message)
            if layer.rules.require(group).keeps(message):
                if exclude:
                    message[EXCLUDE_KEY] = list(exclude)
                kept = _Kept(record, layer.recordings.write(group, {**message, RESERVED_KEY: []}))
                message = kept.written.message
            else:
                message[PLACE_KEY] = PASSING
        elif PLACE_KEY in message:  # perhaps passed on from a client
            message = without_reserved(message)
        template = self._template(message)
        station = commands.station
        hears = layer.mark_length > 0 and station is not None and station.hears(group)
        own = station if hears else None
        if template is not None and layer.one_script:
            result = await self._group_send_in_one(commands, group, template, exclude, own, kept)
        else:
            if kept is not None:
                message = await self._recorded(commands, group, kept)
                template = self._template(message)
            result = await self._group_send_in_two(commands, group, message, template, exclude, own, kept)
        if kept is not None:
            layer.metrics.count_recorded(len(kept.written.body))
        layer.metrics.count_sent()
        return result

    async def _recorded(self, commands: Commands, group: str, kept: _Kept) -> Message:
        """Append a message to the history of a group, and return it with its place."""
        recordings, written = self._layer.recordings, kept.written
        offset, epoch, _ = await kept.record.append(
            commands, *recordings.where(group), written.body, written.at
        )
        return recordings.placed(written, epoch, offset, group)

    async def _group_send_in_one(
        self,
        commands: Commands,
        group: str,
        template: Template,
        exclude: Collection[str],
        own: QueueStation | None,
        kept: _Kept | None,
    ) -> SendResult:
        """Send with a single script. ``own`` is this loop's station if it has members, else None."""
        layer, keys = self._layer, self._layer.keys
        mark = template.head[: layer.mark_length] if kept is None else kept.written.mark.encode()
        receipt = Receipt() if own is None else own.receipts.expect(mark)
        there, history = [keys.group(group), keys.leases, keys.census(group)], tuple[Argument, ...]()
        if kept is not None:
            there += layer.recordings.where(group)[1]
            history = (template.head.find(UNPLACED.encode() + mark), *kept.record.limits())
        try:
            served, full, mine, expired = await commands.run(
                0,
                FANOUT if kept is None else FANOUT_RECORDED,
                there,
                *(repr(scores.next(wall())), layer.expiry_s, layer.group_expiry, keys.prefix),
                *(layer.capacity, layer.capacity * QUEUE_FACTOR, QUEUE_BYTES),
                *(template.head, template.tail, template.codec, own.client_prefix if own is not None else ""),
                *(group, *history, *exclude),
            )
            await self._complete(receipt, mine, kept)
        finally:
            if own is not None:
                own.receipts.forget(mark, receipt)
        return self._result(group, served, full, expired, receipt)

    @staticmethod
    async def _complete(receipt: Receipt, mine: int, kept: _Kept | None) -> None:
        """Wait until a message has come to the ``mine`` members on this loop."""
        if mine and kept is not None and not receipt.came:
            await receipt.complete()  # those who are joining now get it as an earlier one
        elif mine and kept is None and receipt.arrived < mine:
            await receipt.complete(mine)

    def _result(self, group: str, served: int, full: int, expired: int, receipt: Receipt) -> SendResult:
        if full:
            self._count_drop(group, full)
        if expired:
            self._count_expired(f"group {group}", expired)
        return SendResult(served - receipt.dropped - receipt.gone, full + receipt.dropped)

    async def _group_send_in_two(
        self,
        commands: Commands,
        group: str,
        message: Message,
        template: Template | None,
        exclude: Collection[str],
        own: QueueStation | None,
        kept: _Kept | None,
    ) -> SendResult:
        """Read the members from the group's host, then push to the hosts of their queues."""
        layer, keys = self._layer, self._layer.keys
        shard = keys.group_shard(group)
        there = [keys.group(group), keys.at(shard).leases]
        followed = () if kept is None else tuple(exclude)
        members = await commands.run(shard, MEMBERS, there, layer.group_expiry, *followed)
        queues: dict[str, list[str]] = {}
        for channel in map(bytes.decode, members):
            if channel not in exclude:
                queues.setdefault(non_local_name(channel), []).append(channel)
            elif kept is not None:  # if it is for nobody there, its process counts it
                queues.setdefault(non_local_name(channel), [])
        by_shard: dict[int, list[str]] = {}
        for queue in queues:
            by_shard.setdefault(keys.queue_shard(queue), []).append(queue)
        fill = template.fill if template is not None else self._filler(message)
        if not queues:
            fill([])  # raises for a message that cannot be serialized, even if the group has no members
        score = scores.next(wall())
        receipt, marks = Receipt(), dict[str, bytes]()
        mark = b"" if kept is None else kept.written.mark.encode()
        pushes = []
        for index, names in by_shard.items():
            arguments: list[Argument] = [repr(score), layer.expiry_s]
            for queue in names:
                names_there = queues[queue] or [queue]
                member = fill(queues[queue])
                limit = self._queue_limit(names_there[0], len(names_there), len(member))
                arguments += [limit, member]
                if own is not None and lease_of(queue) == own.client_prefix:
                    marks[queue] = mark or member[: layer.mark_length]
                    own.receipts.also(marks[queue], receipt)
            pushes.append(commands.run(index, PUSH, [keys.queue(queue) for queue in names], *arguments))
        # ``gather`` needs an event loop, which a direct line lacks; but a line has only one host.
        several = len(pushes) > 1
        served = full = mine = expired = 0
        try:
            answers = await asyncio.gather(*pushes) if several else [await push for push in pushes]
            for names, (*stored, late) in zip(by_shard.values(), answers, strict=True):
                expired += late
                for queue, is_in in zip(names, stored, strict=True):
                    count = len(queues[queue])
                    served, full = (served + count, full) if is_in else (served, full + count)
                    mine += count if is_in and queue in marks else 0
            await self._complete(receipt, mine, kept)
        finally:
            for mark in marks.values():
                commands.station.receipts.forget(mark, receipt)
        return self._result(group, served, full, expired, receipt)

    def _filler(self, message: Message) -> Callable[[list[str]], bytes]:
        """Return a function that encodes the message for each queue, as encryption requires."""
        encoded, body = self._layer.encoded, dict(message)

        def fill(names: list[str]) -> bytes:
            return encoded({**body, RESERVED_KEY: names})

        return fill

    def _queue_limit(self, channel: str, receivers: int, length: int) -> int:
        """Return how many entries the queue of a channel may have.

        ``receivers``, ``length``: how many names the new entry has, and its size in bytes.
        """
        capacity = self._layer.get_capacity(channel)
        if "!" not in channel:
            return capacity
        return max(capacity, min(capacity * QUEUE_FACTOR // receivers, QUEUE_BYTES // length))

    def _template(self, message: Message) -> Template | None:
        """Return the encoded message without its receivers' names; None if the serializer cannot do that."""
        layer = self._layer
        if type(layer).serialize is not RedisLayer.serialize:
            return None
        make = getattr(layer._serializer, "template", None)
        if make is None:
            return None
        if RESERVED_KEY in message:
            message = {key: value for key, value in message.items() if key != RESERVED_KEY}
        made: Template | None = make(message, RESERVED_KEY)
        return made

    def _count_drop(self, group: str, count: int) -> None:
        """Count members that lost a message because the queue of their process is full."""
        self._layer.metrics.drop(
            "queue full",
            count,
            log,
            "group %s: members over capacity: their process takes nothing out of its queue, or nobody reads "
            "a plain channel",
            group,
            cause=group,
        )

    def _count_expired(self, where: str, count: int) -> None:
        """Count expired messages that a send has found."""
        self._layer.metrics.drop(
            "expired",
            count,
            log,
            "%s: messages have waited in Redis for longer than the layer's expiry, and are gone",
            where,
            cause=where,
        )
