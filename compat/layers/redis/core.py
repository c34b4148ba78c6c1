"""The queue layer: a message waits in Redis, in the format of channels_redis 4.3, until its process takes it.

A process with this layer and one with the real channels_redis share channels and groups if they have the same
``prefix``, ``serializer_format``, ``random_prefix_length`` and ``symmetric_encryption_keys``.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from compat.engine.events import Overflow
from compat.exceptions import ChannelFull
from compat.layers.base import SendResult, require_message
from compat.layers.options import Capacities
from compat.layers.redis.keys import RESERVED_KEY
from compat.layers.redis.layer import RedisLayer, log
from compat.layers.redis.own_channels import OwnChannels
from compat.layers.redis.queue_sending import QueueSending
from compat.layers.redis.queue_station import QueueStation
from compat.layers.redis.recordings import Recordings
from compat.layers.redis.serializers import BaseMessageSerializer, digest_of_key
from compat.layers.redis.taken import Taken, take_in_background
from compat.layers.redis.upstream_names import PrivateNamesOfQueue
from compat.redis.commands import Commands
from compat.redis.loops import background
from compat.types import Message, is_number

__all__ = ["ChannelFull", "RedisChannelLayer"]


class RedisChannelLayer(OwnChannels[QueueStation], PrivateNamesOfQueue):
    """Channels and groups in Redis, for any number of processes.

    The options are those of channels_redis 4.3, and:
    ``lease``: seconds after which the members of a process that died have left their groups.
    ``on_overflow``: what a consumer's full inbox does ("drop", "drop_oldest", "close").
    ``on_disconnect``, ``on_reconnect``, ``on_reset``: see ``RedisLayer``.

    Messages of one sender arrive in order and at most once, and are kept while a receiver cannot be reached.
    Losses are counted in ``metrics``, or lie in one of its gaps: Redis hands a message over and forgets it.
    """

    brpop_timeout = 5
    """Seconds that a blocking read lasts; between two reads the list of queues is updated."""
    options = (
        *("hosts", "prefix", "expiry", "group_expiry", "capacity", "channel_capacity"),
        *("symmetric_encryption_keys", "random_prefix_length", "serializer_format"),
        *("lease", "on_overflow", "on_disconnect", "on_reconnect", "on_reset", "history", "presence"),
    )

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
        lease: float = 60,
        on_overflow: Overflow = "drop",
        on_disconnect: Any = None,
        on_reconnect: Any = None,
        on_reset: Any = None,
        history: Mapping[Any, Any] | None = None,
        presence: Mapping[Any, Any] | None = None,
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
        for name, value in (("group_expiry", group_expiry), ("lease", lease), ("expiry", max(expiry, 1))):
            if not is_number(value) or not 1 <= value < math.inf:
                raise ValueError(f"{name} must be a number of seconds, 1 or more, not {value!r}")
        self.expiry_s = max(1, int(expiry))
        self.group_expiry = int(group_expiry)
        self.lease = int(lease)
        self.recordings = Recordings(
            self, self.rules, self.keys.QUEUE_HISTORY, self.keys.group_shard, self.group_expiry
        )
        self.round_robin = itertools.count()
        self.one_script = self.ring_size == 1 and not self.keys.tags and not channel_capacity
        """One script can do a whole ``group_send``: there is one host, and all channels have one capacity."""
        shipped = type(self).serialize is RedisLayer.serialize
        shipped = shipped and type(self._serializer).serialize is BaseMessageSerializer.serialize
        self.mark_length: int = self._serializer.random_prefix_length if shipped else 0
        """Length in bytes of the random prefix that identifies a message; 0 with another serializer."""
        self.tag_key = digest_of_key(symmetric_encryption_keys[0]) if symmetric_encryption_keys else b""
        """The key of the digests by which the messages of a channel are counted; empty without encryption."""
        self._sending = QueueSending(self)

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
        await self._sending.send(commands, channel, message)

    @property
    def taking(self) -> Callable[[str], Awaitable[Taken]] | None:
        """``receive()`` of plain channels for a worker, which may put back what it has not begun to handle.

        It is None if a subclass receives in its own way. The message is acknowledged, as by ``receive()``.
        """
        return self._take_plain if type(self).receive is RedisChannelLayer.receive else None

    async def _take_plain(self, channel: str) -> Taken:
        self.require_valid_channel_name(channel)
        taken = await self._stations.get(asyncio.get_running_loop()).plain.take(channel)
        taken.acknowledge()
        return taken

    async def _receive_plain(self, channel: str) -> Message:
        station = self._station()
        if station is not None:
            taken = await station.plain.take(channel)
            taken.acknowledge()
            return taken.message
        return await take_in_background(lambda: self._stations.get(background.loop).plain.take(channel))

    # Groups

    async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
        """Add ``channel`` to ``group``; raise LayerUnavailable if Redis cannot be reached.

        Do nothing for the channel of a consumer that has just ended.
        ``last``: see ``InMemoryChannelLayer``; channels that are read elsewhere get no earlier messages.
        """
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        if last:
            self.rules.require(group, last)
        station = self._station_for(channel)
        if station is None:
            await background.run(self.group_add(group, channel, last))
        else:
            await self._on(station, station.group_add(group, channel, last))

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove ``channel`` from ``group``; do nothing if it is not a member."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        station = self._station_for(channel)
        if station is None:
            await background.run(self.group_discard(group, channel))
        else:
            await self._on(station, station.group_discard(group, channel))

    async def group_send(self, group: str, message: Message, exclude: Iterable[str] = ()) -> SendResult:
        """Send ``message`` to all members of ``group`` except ``exclude``; one round trip with a single host.

        The result counts the members that got the message and those that lost it because the queue of their
        process was full or, on this event loop, their inbox. For members elsewhere it is only known that the
        queue of their process has the message; if their inbox is full, the loss is counted in that process.
        """
        return await self._by_whom(self._group_send_by, group, message, exclude)

    async def _group_send_by(
        self, commands: Commands, group: str, message: Message, exclude: Iterable[str]
    ) -> SendResult:
        require_message(message)
        self.require_valid_group_name(group)
        excluded: Collection[str] = frozenset(exclude) if exclude else ()
        return await self._sending.group_send(commands, group, message, excluded)

    # Upkeep

    def made_beside(self, layers: Mapping[str, Any]) -> None:
        """Log a warning if the prefixes of two layers on one Redis lead to equal keys."""
        for other in tuple(layers.values()):  # other threads make some meanwhile
            if not isinstance(other, RedisChannelLayer) or self.prefix == other.prefix:
                continue
            short, long = sorted((self, other), key=lambda layer: len(layer.prefix))
            hosts = {host.where for host in short.redis_hosts} & {host.where for host in long.redis_hosts}
            if hosts and long.prefix.startswith(short.prefix):
                rest = long.prefix[len(short.prefix) :]
                log.warning(
                    "%s has the prefix %r, and %s the prefix %r, on one Redis: the plain channel 'x' of the "
                    "one is the channel '%sx' of the other. Take prefixes of which none begins with another, "
                    "such as %r and %r",
                    *(long.name(), long.prefix, short.name(), short.prefix),
                    *(rest, f"{short.prefix}.", f"{long.prefix}."),
                )

    async def flush(self) -> None:
        """Delete the keys of this prefix on all hosts, and close this loop's connections.

        A key that might belong to a layer with a longer prefix is kept, and expires: it is the queue of a
        plain channel that only processes with the real channels_redis have used.
        """
        station = self._station()
        if station is None:
            await background.run(self.flush())
            self._outside.close()
            return
        await station.flush()
        await station.disconnect()

    async def wait_received(self) -> None:
        """Do nothing: received messages are already acknowledged. channels_redis has this method."""

    def connection(self, index: int) -> Redis:
        """Return a redis-py client of the host ``index`` for other commands; ValueError for a bad index."""
        if not 0 <= index < self.ring_size:
            raise ValueError(f"There are only {self.ring_size} hosts - you asked for {index}!")
        return self._stations.get(asyncio.get_running_loop()).shards.client(index)

    def _make_station(self, loop: asyncio.AbstractEventLoop, client_prefix: str) -> QueueStation:
        return QueueStation(self, loop, client_prefix)
