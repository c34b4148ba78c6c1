"""The base class of the Redis layers: options, errors, and the choice of an event loop for each call."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

from redis.exceptions import RedisError

from compat.engine.events import Overflow
from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox
from compat.exceptions import ChannelFull
from compat.layers.base import SendResult
from compat.layers.history import Rules
from compat.layers.options import Capacities, check_capacities, check_options, require_positive
from compat.layers.presence.attendance import Attendance
from compat.layers.presence.layer import KeepsPresence
from compat.layers.presence.people import Presence
from compat.layers.presence.rules import PresenceRules
from compat.layers.redis.keeping import KeepsHistories
from compat.layers.redis.keys import Keys, shard_of
from compat.layers.redis.meeting import Meeting
from compat.layers.redis.outside import Outside, SendBy
from compat.layers.redis.reports import RedisReports
from compat.layers.redis.serializers import make_crypter, registry
from compat.layers.redis.station import Station
from compat.layers.redis.values import RedisValues
from compat.redis.cluster import commands_of, make_hosts, tags_of
from compat.redis.commands import Commands
from compat.redis.encoding import Argument
from compat.redis.hosts import Host
from compat.redis.hosts_option import decode_hosts
from compat.redis.loops import PerLoop, background, is_throwaway, require_no_loop
from compat.redis.masking import without_passwords
from compat.redis.outages import event_of
from compat.redis.reasons import kind_of, reason_of, told
from compat.redis.shards import Shards
from compat.redis.unavailable import RedisUnavailable
from compat.types import Message

__all__ = ["RedisLayer"]

log = logging.getLogger("compat.layers")

T = TypeVar("T")
S = TypeVar("S", bound=Station)
START = (
    "Start redis-server there, or name a Redis that runs in CONFIG['hosts'] of CHANNEL_LAYERS, as a URL such "
    "as the one in REDIS_URL"
)


class RedisLayer(KeepsPresence, KeepsHistories, Generic[S]):
    """Base of the Redis layers; the constructor checks every option, and does not connect.

    ``on_disconnect``, ``on_reconnect``: the type of a message, such as ``"redis.disconnect"``, that every
    consumer gets when the layer loses the connection to Redis, and when it is back. ``on_reset``: of one to
    the members of a group with a history who have missed messages for ever; it gets the key ``group``.
    """

    extensions = ["groups", "flush"]  # noqa: RUF012 - a list, as in Channels
    options: Iterable[str] = ()
    """The names of the constructor's options, for errors about unknown ones."""
    ignored: Iterable[str] = ()
    """Options of the queue layer that have no effect here, accepted so that the BACKEND can be changed."""
    role_every_s = math.inf
    """Seconds between two checks that Redis is still the master, if a replica would take what is sent."""

    def __init__(
        self,
        *,
        hosts: Any,
        prefix: str,
        expiry: float,
        capacity: int,
        channel_capacity: Capacities | None,
        on_overflow: Overflow,
        on_disconnect: Any,
        on_reconnect: Any,
        on_reset: Any,
        serializer_format: str,
        serializer_options: Mapping[str, Any],
        history: Mapping[Any, Any] | None,
        presence: Mapping[Any, Any] | None,
        unknown: Mapping[str, Any],
    ) -> None:
        check_options(type(self).__name__, unknown.keys() - {*self.ignored}, self.options)
        if not isinstance(prefix, str):
            raise TypeError(f"prefix must be a str, not {prefix!r}")
        require_positive("expiry", expiry)
        check_capacities(capacity, channel_capacity)
        super().__init__(expiry, capacity, channel_capacity, on_overflow)
        self.channel_capacity = self.compile_capacities(channel_capacity or {})
        self.prefix = prefix
        self.hosts = decode_hosts(hosts)
        self.redis_hosts = make_hosts(self.hosts)
        self.ring_size = len(self.redis_hosts)
        self.meeting = Meeting(self.redis_hosts, self.name, self.metrics)
        if tags_of(self.redis_hosts) and {*"{}"} & {*prefix}:
            raise ValueError(f"prefix must have no braces with a cluster, which has its own, not {prefix!r}")
        self.keys = Keys(prefix, self.ring_size, tags_of(self.redis_hosts))
        self.on_disconnect = event_of(on_disconnect, "on_disconnect")
        self.on_reconnect = event_of(on_reconnect, "on_reconnect")
        self.on_reset = event_of(on_reset, "on_reset")
        self._stations: PerLoop[S] = PerLoop(self._new_station)
        self._outside = Outside(self)
        self._serializer = registry.get_serializer(serializer_format, **serializer_options)
        self._crypter = make_crypter(serializer_options["symmetric_encryption_keys"])
        self.rules = Rules(history, type(self).__name__)
        self.presence_rules = PresenceRules(presence)
        ageless = {**serializer_options, **({"expiry": None} if "expiry" in serializer_options else {})}
        self._of_histories = registry.get_serializer(serializer_format, **ageless)

    def __str__(self) -> str:
        return f"{type(self).__name__}(hosts={without_passwords(self.hosts)})"

    def serialize(self, message: Any) -> bytes:
        """Return ``message`` as bytes, in the format of the wire."""
        data: bytes = self._serializer.serialize(message)
        return data

    def deserialize(self, message: bytes) -> Any:
        """Return the message that ``serialize`` has turned into bytes."""
        return self._serializer.deserialize(message)

    def deserialize_kept(self, message: bytes) -> Any:
        """Return the message that ``serialize`` has turned into bytes, however long ago."""
        if type(self).deserialize is not RedisLayer.deserialize:
            return self.deserialize(message)
        return self._of_histories.deserialize(message)

    def consistent_hash(self, value: str | bytes) -> int:
        """Return the index of the host for ``value``."""
        return shard_of(value, self.ring_size)

    # Event loops

    def _new_station(self, loop: asyncio.AbstractEventLoop) -> S:
        """Return a new station: the part of this layer on ``loop``."""
        raise NotImplementedError

    def _station(self) -> S | None:
        """Return the station of the running loop, or None if the call must run on the background loop."""
        station = self._stations.here()
        if station is None:
            self._outside.carry(asyncio.get_running_loop())
        return station

    def in_background(self) -> Shards:
        """Return the connections of the background loop; call it only on that loop."""
        return self._stations.get(background.loop).shards

    async def _on(self, station: Station, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await ``coroutine`` on the loop of ``station``."""
        loop = asyncio.get_running_loop()
        if station.loop is loop:
            return await coroutine
        if is_throwaway(loop):
            self._outside.carry(loop)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, station.loop))

    async def _detached_by(self, station: Station, detaching: Coroutine[Any, Any, None]) -> None:
        """Await ``detaching`` on the loop of ``station``; it continues even if the caller is cancelled."""
        if station.loop is asyncio.get_running_loop():
            await detaching
        else:
            await asyncio.shield(self._on(station, detaching))

    def _attendance_of(self, channel: str) -> Attendance | None:
        owner = self._reader(channel)
        return owner.attendance if owner is not None and isinstance(owner.boxes.get(channel), Inbox) else None

    async def joined(self, group: str, channel: str) -> None:
        """Track a new member, if it is one still; see the base class."""
        owner = self._reader(channel) if self.presence_rules else None
        if owner is not None and group in owner.groups_of(channel):
            await super().joined(group, channel)
            if group not in owner.groups_of(channel):  # it has left meanwhile
                await self.left(group, channel)

    def _attendances_here(self) -> list[Attendance]:
        return [station.attendance for station in self._stations.all() if "attendance" in vars(station)]

    def _reader(self, channel: str) -> S | None:
        """Return the station that reads ``channel``; None if it is not in this process."""
        raise NotImplementedError

    async def _presence(self, group: str) -> Presence:
        station = self._station()
        if station is None:
            return await background.run(self._presence(group))
        return await station.attendance.read(group)

    async def close_pools(self) -> None:
        """Close this loop's connections, unless channels depend on them; they reopen when needed."""
        station = self._station()
        if station is None:
            await background.run(self.close_pools())
            self._outside.close()
        else:
            await station.disconnect()

    @property
    def key_values(self) -> RedisValues:
        """A store beside the messages, for example for sessions, with the same prefix and encryption."""
        return RedisValues(
            self.keys.prefix_for, self._command, self._crypter, partial(self.count_undecodable, "the values")
        )

    @property
    def reports(self) -> RedisReports:
        """What each process says of itself, for ``compat.fleet``."""
        return RedisReports(self)

    async def _command(self, name: str, key: str, *arguments: Argument) -> Any:
        """Return the reply to a command about ``key``, from the host of that key."""
        station = self._station()
        if station is None:
            return await background.run(self._command(name, key, *arguments))
        return await station.shards.call(self.keys.shard_in(key), name, key, *arguments)

    async def _publishing(self) -> bytes:
        """Return the command that publishes; a cluster may have another one."""
        try:
            return (await commands_of(self.redis_hosts)).publish
        except RedisError as error:
            raise self.explain(self.redis_hosts[0], reason_of(error)) from error

    async def ping(self) -> None:
        """Return when each host has answered; raise LayerUnavailable if one does not."""
        station = self._station()
        if station is None:
            return await background.run(self.ping())
        shards = range(self.keys.ring_size)
        await asyncio.gather(*(station.shards.call(shard, b"PING") for shard in shards))

    def depth(self) -> int:
        """Return how many messages wait in this process."""
        boxes = (box for station in self._stations.all() for box in tuple(station.boxes.values()))
        return sum(len(box.events) for box in boxes)

    def _prepare(self, channel: str, inbox: Inbox) -> None:
        """Tell a consumer's inbox its channel, its capacity, and that it belongs to this layer."""
        inbox.belong_to(self, channel, self.get_capacity(channel), self.on_overflow)

    # Errors and losses

    def explain(self, host: Host, reason: str) -> RedisUnavailable:
        """Return the error for a host that cannot be used now."""
        return kind_of(reason)(
            f"{self.name()} cannot use Redis at {host.where}: {told(reason, START)}",
            reason,
            partial(self._report, host.index),
        )

    @property
    def has_answered(self) -> bool:
        """True if each host has answered this process, at any time."""
        return self.meeting.all_met

    def _report(self, index: int, error: RedisUnavailable) -> None:
        """Log an outage for which a client was refused, and later its end."""
        if asyncio._get_running_loop() is None:
            background.loop.call_soon_threadsafe(self._report_on, background.loop, index, error)
        else:
            loop = asyncio.get_running_loop()
            self._report_on(background.loop if is_throwaway(loop) else loop, index, error)

    def _report_on(self, loop: asyncio.AbstractEventLoop, index: int, error: RedisUnavailable) -> None:
        if loop is asyncio._get_running_loop():
            self._stations.get(loop).refused(index, error)
        else:
            loop.call_soon_threadsafe(self._report_on, loop, index, error)

    def count_undecodable(self, source: str, error: Exception) -> None:
        """Count and log a message from ``source`` that could not be decoded; it is not delivered."""
        self.metrics.drop(
            "undecodable",
            1,
            log,
            "%s: a message in %s cannot be read (%s: %s). All processes that share a prefix must have the "
            "same serializer_format, random_prefix_length and symmetric_encryption_keys",
            self.name(),
            source,
            type(error).__name__,
            error,
            cause=type(error),
        )

    # Sending

    def _require_room(self, channel: str, box: Inbox | Mailbox | None) -> None:
        """Raise ChannelFull if the channel is in this process, at capacity, and drops what is new."""
        if box is not None and len(box.events) >= box.capacity:
            if isinstance(box, Mailbox) or box.on_overflow == "drop":
                raise ChannelFull(channel)

    async def _send_by(self, commands: Commands, channel: str, message: Message) -> None:
        """Send with ``commands``, on any event loop or thread."""
        raise NotImplementedError

    async def _group_send_by(
        self, commands: Commands, group: str, message: Message, exclude: Iterable[str]
    ) -> SendResult:
        """Send to a group with ``commands``, on any event loop or thread."""
        raise NotImplementedError

    def _by_whom(self, by: SendBy[T], *arguments: Any) -> Coroutine[Any, Any, T]:
        """Return the coroutine of a send with the connections that the running loop can use."""
        station = self._stations.here()
        if station is None:
            return self._outside.awaited(by, *arguments)
        return by(station.shards, *arguments)

    # Blocking forms

    def send_sync(self, channel: str, message: Message) -> Any:
        """Call ``send`` from code without an event loop, and block; RuntimeError if a loop runs here."""
        require_no_loop("layer.send(…)")
        if _is_ours(self.send):
            return self._outside.blocking(self._send_by, channel, message)
        return background.call(self.send(channel, message))

    def group_send_sync(self, group: str, message: Message, exclude: Iterable[str] = ()) -> SendResult:
        """Call ``group_send`` from code without an event loop, and block."""
        require_no_loop("layer.group_send(…)")
        if _is_ours(self.group_send):
            return self._outside.blocking(self._group_send_by, group, message, exclude)
        result: SendResult = background.call(self.group_send(group, message, exclude))
        return result

    def group_add_sync(self, group: str, channel: str, **options: Any) -> None:
        """Call ``group_add`` from code without an event loop, and block."""
        require_no_loop("layer.group_add(…)")
        background.call(self.group_add(group, channel, **options))

    def group_discard_sync(self, group: str, channel: str) -> None:
        """Call ``group_discard`` from code without an event loop, and block."""
        require_no_loop("layer.group_discard(…)")
        background.call(self.group_discard(group, channel))


def _is_ours(method: Callable[..., Any]) -> bool:
    """Return False if a subclass or a test has replaced the method; then the replacement must be called."""
    return str(getattr(method, "__module__", "")).startswith("compat.layers.redis.")
