"""The pub/sub layer: Redis passes messages straight to the subscribed processes, and stores nothing.

It uses the wire format of channels_redis 4.3's pub/sub layer. Processes with either one share channels and
groups if they have the same ``prefix``, ``serializer_format`` and ``symmetric_encryption_keys``. A process
without a connection to Redis misses the messages of that time; ``metrics`` records these gaps.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compat.engine.events import Overflow
from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox, Retired
from compat.layers.base import SendResult, require_message
from compat.layers.options import Capacities, without_strange
from compat.layers.redis.keys import EXCLUDE_KEY, PLACE_KEY
from compat.layers.redis.layer import RedisLayer
from compat.layers.redis.pubsub_station import PubSubStation
from compat.layers.redis.recordings import PASSING, Recordings, Written, without_reserved
from compat.layers.redis.upstream_names import PrivateNamesOfPubSub
from compat.names import is_counted
from compat.redis.commands import Commands
from compat.redis.loops import background
from compat.redis.streams.history import NOWHERE
from compat.types import Message

__all__ = ["RedisPubSubChannelLayer"]

POSITION_S = 86400
"""Seconds for which the position of a history is kept after its messages."""


class RedisPubSubChannelLayer(RedisLayer[PubSubStation], PrivateNamesOfPubSub):
    """Channels and groups over Redis pub/sub, for any number of processes.

    The options are those of channels_redis 4.3, and some that it ignores: ``capacity`` (default 1000;
    unlimited there), ``channel_capacity``, ``expiry`` (seconds; None, the default: messages do not expire),
    and ``on_overflow``. ``on_disconnect``, ``on_reconnect``, ``on_reset``: see ``RedisLayer``.

    Messages of one sender arrive in order, and each at most once. ``group_send`` knows whether any process
    got the message, not how many members, and counts those on this event loop that lost it to a full inbox.
    """

    ping_interval = 1.0
    """Seconds between two checks that the connection is alive, and so the precision of recorded gaps."""
    role_every_s = ping_interval
    options = (
        *(
            "hosts",
            "prefix",
            "on_disconnect",
            "on_reconnect",
            "symmetric_encryption_keys",
            "serializer_format",
        ),
        *("capacity", "channel_capacity", "expiry", "on_overflow", "on_reset", "history", "presence"),
    )
    ignored = ("group_expiry", "random_prefix_length", "lease")

    def __init__(
        self,
        hosts: Sequence[Any] | None = None,
        prefix: str = "asgi",
        on_disconnect: Any = None,
        on_reconnect: Any = None,
        *,
        symmetric_encryption_keys: Sequence[str | bytes] | None = None,
        serializer_format: str = "msgpack",
        capacity: int = 1000,
        channel_capacity: Capacities | None = None,
        expiry: float | None = None,
        on_overflow: Overflow = "drop",
        on_reset: Any = None,
        history: Mapping[Any, Any] | None = None,
        presence: Mapping[Any, Any] | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(
            hosts=hosts,
            prefix=prefix,
            expiry=math.inf if expiry is None else expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
            on_overflow=on_overflow,
            on_disconnect=on_disconnect,
            on_reconnect=on_reconnect,
            on_reset=on_reset,
            serializer_format=serializer_format,
            serializer_options={"symmetric_encryption_keys": symmetric_encryption_keys},
            history=history,
            presence=presence,
            unknown=without_strange(type(self).__name__, unknown, (*self.options, *self.ignored)),
        )
        self.recordings = Recordings(
            self,
            self.rules,
            self.keys.PUBSUB_HISTORY,
            lambda group: self.keys.shard_in(self.keys.topic(group)),
            POSITION_S,
        )
        self.owners: dict[str, PubSubStation] = {}
        """Maps a channel of this process to the station that reads it."""

    # Channels

    detaches_at_once = True  # on the loop of the channel, which is its consumer's

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Subscribe to a new channel and return its name; raise LayerUnavailable without Redis."""
        station = self._station()
        if station is None:
            return await background.run(self.new_channel(prefix))
        channel = f"{self.prefix}{prefix}{uuid.uuid4().hex}"
        await station.open_channel(channel)
        return channel

    def made_here(self, channel: str) -> bool:
        """Return True if ``channel`` is read in this process."""
        return channel in self.owners

    async def send(self, channel: str, message: Message) -> None:
        """Publish ``message`` to ``channel``; it is lost if the channel has no reader now.

        Raises TypeError for a message that is not a dict or cannot be serialized, ChannelFull if the channel
        belongs to this process and is at capacity, LayerUnavailable without Redis.
        """
        await self._by_whom(self._send_by, channel, message)

    async def _send_by(self, commands: Commands, channel: str, message: Message) -> None:
        require_message(message)
        _require_name("channel", channel)
        owner = self.owners.get(channel)
        self._require_room(channel, owner.boxes.get(channel) if owner is not None else None)
        topic, body = self.keys.channel_topic(channel), self.encoded(message)
        if not await self._publish(commands, topic, body, counted=is_counted(channel)):
            self.count_drop(channel, "gone")

    async def receive(self, channel: str) -> Message:
        """Wait for the next message of ``channel`` and return it; subscribe first if necessary.

        A cancelled call loses no message if another call follows within a minute; after that the channel is
        unsubscribed. Raises LayerUnavailable without Redis, RuntimeError if a consumer reads the channel.
        """
        _require_name("channel", channel)
        while True:
            owner, mailbox = await self._opened(channel)
            try:
                return await mailbox.next_message()
            except Retired:
                pass  # a consumer reads it now, which the next turn says; or it was removed
            except asyncio.CancelledError:
                _call_on(owner, channel)
                raise

    async def _opened(self, channel: str) -> tuple[PubSubStation, Mailbox]:
        """Return the mailbox of a channel, and the station that reads it; raise what ``receive`` does."""
        owner = self.owners.get(channel)
        if owner is None or owner.loop.is_closed():
            owner = self._station()
        if owner is None:
            mailbox = await background.run(self._open_in_background(channel))
            return self.owners[channel], mailbox
        if not owner.loop.is_running():
            raise RuntimeError(f"channel {channel!r} is read on another event loop, which does not run now")
        return owner, await self._on(owner, owner.open_channel(channel))

    async def _open_in_background(self, channel: str) -> Mailbox:
        return await self._stations.get(background.loop).open_channel(channel)

    # Pushing (compat.layers.base.PushLayer)

    def attach(self, channel: str, inbox: Inbox) -> None:
        """Push every message for ``channel`` into ``inbox`` from now on; called on the inbox's loop."""
        self._prepare(channel, inbox)
        owner = self.owners.get(channel) or self._station()
        if owner is None:
            owner = self._stations.get(background.loop)
        if owner.loop is inbox.loop:
            owner.attach(channel, inbox)
        else:
            owner.loop.call_soon_threadsafe(owner.attach, channel, inbox)

    async def detach(self, channel: str) -> None:
        """Undo ``attach``, and leave every group."""
        owner = self.owners.get(channel)
        if owner is not None:
            await self._detached_by(owner, owner.detach(channel))

    # Groups

    def require_group(self, group: object) -> None:
        """Raise TypeError unless ``group`` is a non-empty str; channels_redis has no other rules here."""
        _require_name("group", group)

    def _reader(self, channel: str) -> PubSubStation | None:
        return self.owners.get(channel)

    async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
        """Add a channel of this process to ``group``; ``last``: see ``InMemoryChannelLayer``.

        Raises RuntimeError for a channel of another process, LayerUnavailable without Redis.
        """
        self.require_group(group)
        owner = self.owners.get(channel)
        if owner is None:
            raise RuntimeError(
                "You can only call group_add() on channels that exist in-process.\n"
                "Consumers are encouraged to use the common pattern:\n"
                f"   self.channel_layer.group_add({group!r}, self.channel_name)"
            )
        if last:
            self.rules.require(group, last)
        await self._on(owner, owner.join(group, channel, last))

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove ``channel`` from ``group``; do nothing if it is not a member."""
        self.require_group(group)
        owner = self.owners.get(channel)
        if owner is not None:
            await self._on(owner, self.take_out(group, channel, owner.leave))

    async def group_send(self, group: str, message: Message, exclude: Iterable[str] = ()) -> SendResult:
        """Publish ``message`` to all members of ``group`` except ``exclude``.

        The excluded names travel in an additional key of the message. Processes with the real channels_redis
        do not know this key, so their members get the message even if they are excluded.
        """
        return await self._by_whom(self._group_send_by, group, message, exclude)

    async def _group_send_by(
        self, commands: Commands, group: str, message: Message, exclude: Iterable[str]
    ) -> SendResult:
        require_message(message)
        self.require_group(group)
        excluded = list(exclude)
        if excluded or EXCLUDE_KEY in message or PLACE_KEY in message:
            message = without_reserved(message)
        if excluded:
            message[EXCLUDE_KEY] = excluded
        topic = self.keys.topic(group)
        rule = self.rules.of(group) if self.rules else None
        if rule is not None and rule.keeps(message):
            written = self.recordings.write(group, message)
            mark, body = written.mark.encode(), written.body
            publishing = self._record(commands, group, topic, written)
        else:
            body = self.encoded(message if rule is None else {**message, PLACE_KEY: PASSING})
            mark = topic.encode() + body
            publishing = self._publish(commands, topic, body)
        station = commands.station
        if station is None or not station.hears(topic):
            heard = await publishing
            return SendResult(None if heard else 0, 0)
        receipt = station.receipts.expect(mark)
        try:
            await publishing
            if not receipt.came:
                await receipt.complete()
        finally:
            if not receipt.came:
                station.receipts.forget(mark, receipt)
        return SendResult(None, receipt.dropped)

    async def _record(self, commands: Commands, group: str, topic: str, written: Written) -> int:
        """Append a message to its group's history and publish it; return how many connections have got it."""
        record, command = self.recordings.record(group), await self._publishing()
        assert record is not None
        shard, keys = self.recordings.where(group)
        at_once = written.at != NOWHERE
        offset, epoch, heard = await record.append(
            commands, shard, keys, written.body, written.at, topic, command if at_once else b""
        )
        self.metrics.count_recorded(len(written.body))
        if at_once:
            self.metrics.count_sent()
            return heard
        placed = self.recordings.placed(written, epoch, offset, group)
        return await self._publish(commands, topic, self.encoded(placed))

    async def _publish(self, commands: Commands, topic: str, body: bytes, *, counted: bool = True) -> int:
        """Return how many connections have got the message."""
        command = await self._publishing()
        heard: int = await commands.call(self.keys.shard_in(topic), command, topic, body)
        if counted:
            self.metrics.count_sent()
        return heard

    # Upkeep

    async def flush(self) -> None:
        """Leave all groups, and remove all channels of this loop that have no reader."""
        station = self._station()
        if station is None:
            await background.run(self.flush())
            self._outside.close()
        else:
            await station.flush()

    @property
    def channels(self) -> dict[str, Inbox | Mailbox]:
        """The channels of this process."""
        return {name: box for station in self._stations.all() for name, box in station.boxes.items()}

    @property
    def groups(self) -> dict[str, set[str]]:
        """The groups' pub/sub channels, each with its members in this process."""
        groups: dict[str, set[str]] = {}
        for station in self._stations.all():
            for topic, members in station.groups.items():
                groups.setdefault(topic, set()).update(members)
        return groups

    def _new_station(self, loop: asyncio.AbstractEventLoop) -> PubSubStation:
        return PubSubStation(self, loop)


def _call_on(station: PubSubStation, channel: str) -> None:
    """Tell the channel's station that a ``receive()`` was cancelled."""
    if station.loop is asyncio.get_running_loop():
        station.given_up(channel)
    elif not station.loop.is_closed():
        station.loop.call_soon_threadsafe(station.given_up, channel)


def _require_name(kind: str, name: object) -> None:
    """Raise TypeError unless ``name`` is a non-empty str; channels_redis has no other rules here either."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"{kind} name must be a non-empty str, not {name!r}")
