"""The streams layer: messages of groups have a history, so a process that was cut off has missed nothing.

It needs Redis 6.2, and does not exchange messages with channels_redis: all processes of a prefix use it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compat.engine.events import Overflow
from compat.exceptions import ChannelFull
from compat.layers.base import SendResult, require_message
from compat.layers.options import Capacities
from compat.layers.redis.jobs import GROUP, Job
from compat.layers.redis.keys import EXCLUDE_KEY, RESERVED_KEY, lease_of
from compat.layers.redis.layer import log
from compat.layers.redis.own_channels import OwnChannels
from compat.layers.redis.recordings import Recordings, without_reserved
from compat.layers.redis.scripts import ADD_JOB
from compat.layers.redis.streams_station import StreamsStation
from compat.layers.redis.taken import take_in_background
from compat.names import is_counted
from compat.redis.commands import Commands
from compat.redis.loops import background
from compat.redis.streams.history import Place, Record
from compat.types import Message, is_number

__all__ = ["RedisStreamsChannelLayer"]

DIRECT_FACTOR, MOST_DIRECT = 100, 2**31
"""The history of direct messages to a process holds this many times the capacity of one channel, at most so
many: Redis takes no number without a bound.
"""


class RedisStreamsChannelLayer(OwnChannels[StreamsStation]):
    """Channels and groups over Redis Streams, for any number of processes.

    ``catch_up``: how many messages of a group are kept, for ``catch_up_seconds``; a process that was cut off
    for longer is told by ``on_reset``, the type of a message to the members, which gets the key ``group``.
    For groups with a rule in ``history`` that rule counts instead. ``takeover``: seconds of silence after
    which another worker gets the message of a plain channel; after ``tries`` workers it is a dead letter.
    ``expiry``, ``capacity`` and the other options are those of the queue layer.

    Each message arrives at least once and in the order of its group, while Redis keeps its data; what is
    lost is counted or announced, except a direct message to a process that is dead. ``receive()`` of a plain
    channel acknowledges the message, ``take()`` leaves that to the caller.
    """

    block_s = 5.0
    """Seconds that a blocking read lasts."""
    ping_interval = 1.0
    """Seconds between two checks that a subscription is alive."""
    role_every_s = ping_interval
    options = (
        *("hosts", "prefix", "expiry", "group_expiry", "capacity", "channel_capacity"),
        *("symmetric_encryption_keys", "random_prefix_length", "serializer_format"),
        *("on_overflow", "on_disconnect", "on_reconnect", "on_reset"),
        *("history", "presence", "catch_up", "catch_up_seconds", "tries", "takeover"),
    )
    ignored = ("lease",)

    def __init__(
        self,
        hosts: Sequence[Any] | None = None,
        prefix: str = "asgi",
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        symmetric_encryption_keys: Sequence[str | bytes] | None = None,
        random_prefix_length: int = 12,
        serializer_format: str = "msgpack",
        *,
        history: Mapping[Any, Any] | None = None,
        presence: Mapping[Any, Any] | None = None,
        catch_up: int = 1000,
        catch_up_seconds: float = 300,
        tries: int = 5,
        takeover: float = 60,
        on_overflow: Overflow = "drop",
        on_disconnect: Any = None,
        on_reconnect: Any = None,
        on_reset: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__(
            hosts=hosts,
            prefix=prefix,
            expiry=expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
            on_overflow=on_overflow,
            on_disconnect=on_disconnect,
            on_reconnect=on_reconnect,
            on_reset=on_reset,
            serializer_format=serializer_format,
            serializer_options={
                "random_prefix_length": random_prefix_length,
                "expiry": expiry,
                "symmetric_encryption_keys": symmetric_encryption_keys,
            },
            history=history,
            presence=presence,
            unknown=unknown,
        )
        for name, value in (
            ("expiry", max(expiry, 1)),
            ("group_expiry", group_expiry),
            ("catch_up", catch_up),
            ("catch_up_seconds", catch_up_seconds),
            ("tries", tries),
            ("takeover", takeover),
        ):
            if not is_number(value) or not 1 <= value < math.inf:
                raise ValueError(f"{name} must be a number, 1 or more, not {value!r}")
        self.expiry_s = max(1, int(expiry))
        self.group_expiry = int(group_expiry)
        self.tries = int(tries)
        self.takeover = float(takeover)
        self.job_life_s = max(self.group_expiry, self.expiry_s, 2 * math.ceil(takeover))
        self.recordings = Recordings(
            self,
            self.rules,
            self.keys.STREAMS,
            lambda group: self.keys.shard_in(self.keys.history_topic(group)),
            self.group_expiry,
            always=Record(int(catch_up), int(catch_up_seconds), self.group_expiry),
            in_head=True,
        )
        self.direct = Record(
            math.ceil(min(capacity * DIRECT_FACTOR, MOST_DIRECT)), self.expiry_s, self.group_expiry
        )

    # Channels

    async def send(self, channel: str, message: Message) -> None:
        """Put ``message`` into ``channel``.

        Raises TypeError for a bad name, or for a message that is not a dict or has values that cannot be
        serialized; ChannelFull at capacity; LayerUnavailable if Redis cannot be reached. After
        LayerUnavailable the message may still arrive, if the connection broke after it was written.
        """
        await self._by_whom(self._send_by, channel, message)

    async def _send_by(self, commands: Commands, channel: str, message: Message) -> None:
        require_message(message)
        self.require_valid_channel_name(channel)
        if RESERVED_KEY in message:
            raise AssertionError(f"a message may not carry the reserved key {RESERVED_KEY!r}")
        self._require_room(channel, self._mailbox(channel))
        if "!" in channel:
            client_prefix = lease_of(channel)
            topic, keys = self.keys.direct_topic(client_prefix), self.keys.direct(client_prefix)
            body = Place.made().encode() + self.encoded({**message, RESERVED_KEY: channel})
            shard, command = self.keys.shard_in(topic), await self._publishing()
            await self.direct.append(commands, shard, keys, body, 0, topic, command)
        else:
            stored, expired = await commands.run(
                self.keys.shard_in(channel),
                ADD_JOB,
                [self.keys.jobs(channel)],
                *(self.encoded(message), self.get_capacity(channel), self.expiry_s, self.job_life_s, GROUP),
            )
            if expired:
                self.count_drop(channel, "expired", expired)
            if not stored:
                raise ChannelFull(channel)
        if is_counted(channel):
            self.metrics.count_sent()

    async def _receive_plain(self, channel: str) -> Message:
        station = self._station()
        if station is None:
            return await take_in_background(lambda: self._stations.get(background.loop).jobs.take(channel))
        job = await station.jobs.take(channel)
        job.acknowledge()
        return job.message

    async def take(self, channel: str) -> Job:
        """Wait for the next message of a plain channel, which another worker gets unless it is acknowledged.

        Call it on an event loop that lasts, such as a worker's. Raises like ``receive``.
        """
        self.require_valid_channel_name(channel)
        station = self._station()
        if station is None or "!" in channel:
            raise TypeError(f"take() is for workers and plain channels; use receive() for {channel!r} here")
        return await station.jobs.take(channel)

    # Groups

    async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
        """Add a channel of this process to ``group``; ``last``: see ``InMemoryChannelLayer``.

        Do nothing for the channel of a consumer that has just ended.
        Raises RuntimeError for any other channel, LayerUnavailable without Redis.
        """
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        owner = self._reader(channel)
        if owner is None:
            raise RuntimeError(
                f"group_add() of the streams layer takes channels of this process, not {channel!r}: each "
                "process follows a group's history for its own members. Send to a plain channel by send()"
            )
        if last:
            self.rules.require(group, last)
        await self._on(owner, owner.join(group, channel, last))

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove ``channel`` from ``group``; do nothing if it is not a member."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        owner = self._reader(channel)
        if owner is not None:
            await self._on(owner, self.take_out(group, channel, owner.leave))

    async def group_send(self, group: str, message: Message, exclude: Iterable[str] = ()) -> SendResult:
        """Append ``message`` to the history of ``group``, and publish it to all members except ``exclude``.

        The result is that of the pub/sub layer.
        """
        return await self._by_whom(self._group_send_by, group, message, exclude)

    async def _group_send_by(
        self, commands: Commands, group: str, message: Message, exclude: Iterable[str]
    ) -> SendResult:
        require_message(message)
        self.require_valid_group_name(group)
        message = without_reserved(message)
        excluded = list(exclude)
        if excluded:
            message[EXCLUDE_KEY] = excluded
        topic, written = self.keys.history_topic(group), self.recordings.write(group, message)
        station, mark = commands.station, written.mark.encode()
        record = self.recordings.record(group)
        assert record is not None
        receipt = station.receipts.expect(mark) if station is not None and station.hears(group) else None
        try:
            shard, keys = self.recordings.where(group)
            command = await self._publishing()
            _, _, heard = await record.append(commands, shard, keys, written.body, written.at, topic, command)
            self.metrics.count_sent()
            self.metrics.count_recorded(len(written.body))
            if receipt is None:
                return SendResult(None if heard else 0, 0)
            if not receipt.came:
                await receipt.complete()
            return SendResult(None, receipt.dropped)
        finally:
            if station is not None and receipt is not None and not receipt.came:
                station.receipts.forget(mark, receipt)

    # Losses

    def count_dead(self, channel: str, tries: int) -> None:
        """Count and log a message that has become a dead letter."""
        self.metrics.drop(
            "dead",
            1,
            log,
            "%s: a message of channel %s was taken by %d workers, and none has handled it; it is in %s now",
            self.name(),
            channel,
            tries,
            self.keys.dead(channel),
            cause=channel,
        )

    async def dead_letters(self, most: int = 10) -> dict[str, tuple[int, list[Message]]]:
        """Return for each plain channel how many dead letters it has, and the last ``most``, oldest first.

        Raises LayerUnavailable without Redis.
        """
        station = self._station()
        if station is None:
            return await background.run(self.dead_letters(most))
        return await station.dead_letters(most)

    # Upkeep

    async def flush(self) -> None:
        """Leave all groups, and delete the keys of this prefix on all hosts."""
        station = self._station()
        if station is None:
            await background.run(self.flush())
            self._outside.close()
            return
        await station.flush()
        await station.disconnect()

    @property
    def groups(self) -> dict[str, set[str]]:
        """The groups, each with its members in this process."""
        groups: dict[str, set[str]] = {}
        for station in self._stations.all():
            for group, members in station.groups.items():
                groups.setdefault(group, set()).update(members)
        return groups

    def _make_station(self, loop: asyncio.AbstractEventLoop, client_prefix: str) -> StreamsStation:
        return StreamsStation(self, loop, client_prefix)
