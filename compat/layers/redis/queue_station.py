"""The queue layer on one event loop: its connections, its channels, its readers.

The messages for all "!" channels of a process and event loop share one queue in Redis. One reader takes them
and pushes them into inboxes and mailboxes. So capacity is counted for each channel, and the shared queue
stays short.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Collection
from typing import TYPE_CHECKING, Any

from compat.clock import steady, wall
from compat.engine.inbox import Inbox
from compat.exceptions import LayerUnavailable
from compat.layers.redis.census import NOTE, note_of
from compat.layers.redis.kept_groups import KeptGroups
from compat.layers.redis.keys import DEFAULT_WORD, EXCLUDE_KEY, PLACE_KEY, RESERVED_KEY, lease_of
from compat.layers.redis.membership import Membership
from compat.layers.redis.own_station import OwnStation
from compat.layers.redis.plain_channels import PlainChannels
from compat.layers.redis.queue_reader import QueueReader
from compat.layers.redis.recordings import without_reserved
from compat.layers.redis.scripts import ALL, DISCARD
from compat.names import non_local_name
from compat.redis.encoding import Argument
from compat.types import Message

if TYPE_CHECKING:
    from compat.layers.redis.core import RedisChannelLayer

__all__ = ["QueueStation"]

log = logging.getLogger("compat.layers")


class QueueStation(OwnStation):
    """The queue layer on one event loop."""

    scripts = ALL

    def __init__(self, layer: RedisChannelLayer, loop: asyncio.AbstractEventLoop, client_prefix: str) -> None:
        super().__init__(layer, loop, client_prefix, layer.expiry_s, self._link_lost)
        self.layer: RedisChannelLayer = layer
        self.plain = PlainChannels(
            *(self.shards, self.keys, self.outages, layer.brpop_timeout, layer.expiry_s),
            *(self._decode_plain, self.count_drop),
        )
        self._readers: dict[int, QueueReader] = {}
        self._memberships: dict[int, Membership] = {}
        self.kept = KeptGroups(self, layer)
        self._leaving: set[asyncio.Task[None]] = set()

    # Groups

    async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
        if not self.layer.owns(self, channel):
            await self._add_elsewhere(group, channel)
            return
        if self.has_ended(channel):  # the consumer has left a task or a thread behind
            return
        with self.joins.call(group, channel):
            self.note_joined(group, channel)
            joining = self._membership(group).join(group, channel)
            if self.layer.recordings.record(group) is None:
                await joining
            else:
                self.kept.expect(group)
                await self.kept.join(group, channel, last, joining)
            await self.layer.joined(group, channel)
        if group not in self.groups_of(channel):  # it has left meanwhile
            self.kept.leave(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        if not self.layer.owns(self, channel):
            await self._discard_elsewhere(group, channel)
            return
        self._removed(group, channel)
        departing = self.layer.taken_out(group, channel)  # whether Redis can be told now or not
        await self._membership(group).leave(group, channel)
        if departing:
            await asyncio.wait(departing)

    async def _add_elsewhere(self, group: str, channel: str) -> None:
        """Add a channel of another process, which does not count it, to a group."""
        keys, key = self.keys, self.keys.group(group)
        commands: list[tuple[Argument, ...]] = [
            (b"ZADD", key, repr(wall()), channel),
            (b"EXPIRE", key, self.layer.group_expiry),
        ]
        if "!" in channel:
            of_process = (non_local_name(channel), note_of(channel))
            commands.insert(0, (b"HDEL", keys.census(group), *of_process))
        await self.shards.calls(keys.group_shard(group), commands)

    async def _discard_elsewhere(self, group: str, channel: str) -> None:
        """Remove a channel of another process from a group; that process learns of it within its lease."""
        keys, shard = self.keys, self.keys.group_shard(group)
        if "!" not in channel:
            await self.shards.call(shard, b"ZREM", keys.group(group), channel)
            return
        there = [keys.group(group), keys.census(group), keys.at(shard).joined(lease_of(channel))]
        about = (group, channel, note_of(channel), NOTE, self.layer.group_expiry)
        await self.shards.run(shard, DISCARD, there, *about)

    def leave(self, group: str, channel: str) -> None:
        """See the base class."""
        self._removed(group, channel)
        self._membership(group).withdraw(group, channel)

    def _removed(self, group: str, channel: str) -> None:
        """Record that a channel of this loop has left a group."""
        self.note_left(group, channel)
        self.kept.leave(group, channel)

    def _taken_out(self, group: str, channel: str) -> None:
        """Record that a channel of this loop was removed from a group elsewhere, or has expired."""
        self._removed(group, channel)
        self.layer.taken_out(group, channel)

    def _membership(self, group: str) -> Membership:
        shard = self.keys.group_shard(group)
        membership = self._memberships.get(shard)
        if membership is None:
            queue = f"{DEFAULT_WORD}{self.client_prefix}!" if self.layer.one_script else ""
            membership = self._memberships[shard] = Membership(
                *(self.shards, shard, self.outages, self.layer, self._is_read, queue, self._all_arrived),
                *(self.kept.reconnected, self._taken_out),
            )
        return membership

    def _all_arrived(self) -> float:
        """Return a time of ``steady()``; messages that were sent before have arrived, or have expired."""
        reader = self._readers.get(0)
        expired = steady() - self.layer.expiry_s
        return expired if reader is None else max(expired, reader.emptied)

    def hears(self, group: str) -> bool:
        """Return True if messages for ``group`` soon reach channels of this loop; False in an outage."""
        membership = self._memberships.get(self.keys.group_shard(group))
        reader = self._readers.get(self.keys.queue_shard(f"{DEFAULT_WORD}{self.client_prefix}!"))
        is_read = reader is not None and reader.error is None
        return is_read and membership is not None and group in membership.groups

    # Receiving

    async def detach(self, channel: str) -> None:
        """Remove the channel, also from its groups, now or as soon as Redis can be reached.

        This continues even if the caller is cancelled.
        """
        groups = self.groups_of(channel).copy()
        for group in groups:
            self._removed(group, channel)
        self.ended(channel)
        if groups:
            leaving = self.loop.create_task(self._leave_all(channel, groups))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._left)
            await asyncio.shield(leaving)

    def _left(self, leaving: asyncio.Task[None]) -> None:
        self._leaving.discard(leaving)
        if not leaving.cancelled():
            leaving.exception()  # marks it as retrieved; the caller gets it too, if it still waits

    async def _leave_all(self, channel: str, groups: set[str]) -> None:
        leaving = [self._membership(group).leave(group, channel) for group in groups]
        for outcome in await asyncio.gather(*leaving, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, LayerUnavailable):
                raise outcome

    async def listening(self, channel: str) -> None:
        self.listen(channel)
        await self._readers[self.keys.queue_shard(channel)].reachable()

    def listen(self, channel: str) -> None:
        """Read the channel's queue on every host, but in a cluster on its own shard.

        channels_redis sends a direct message to the host for the channel's whole name, which may be another
        host than the one on which it listens.
        """
        queue, home = self.keys.queue(channel), self.keys.queue_shard(channel)
        for shard in (home,) if self.keys.tags else range(self.keys.ring_size):
            self._reader(shard).listen(queue, at_once=shard == home)

    def _reader(self, shard: int) -> QueueReader:
        reader = self._readers.get(shard)
        if reader is None:
            layer = self.layer
            reader = self._readers[shard] = QueueReader(
                self.shards,
                shard,
                self.outages,
                layer.brpop_timeout,
                layer.expiry_s,
                self.keys.inflight,
                self._arrived,
                self._reconnected,
            )
        return reader

    def _reconnected(self) -> None:
        """Look for what has expired, or was lost with Redis, before it could be taken."""
        for membership in self._memberships.values():
            membership.look_soon()
        self.kept.reconnected(tuple(self.kept.groups))

    def _arrived(self, member: bytes, score: float) -> Awaitable[None] | None:
        """Deliver a message of the shared queue; return an awaitable to wait for (``Station.pause``)."""
        message = self.decode("the queue of this process", member)
        if message is None:
            return None
        names, text = message.pop(RESERVED_KEY, ()), message.pop(PLACE_KEY, None)
        now = self.swept()
        # An old score means that the message waited, or that the sender's clock differs; deliver it anyway.
        age = wall() - score
        expiry = self.layer.expiry
        deadline = now + (expiry - age if 0 < age < expiry else expiry)
        receipt = self.receipts.find(member[: self.layer.mark_length]) if self.receipts else None
        pause: Awaitable[None] | None = None
        try:
            if isinstance(names, str):
                self.deliver(names, message, deadline)
                pause = self.relief_after(names)
            else:
                if text is not None or self.kept.groups:
                    names, pause = self._followed(names, text, message, len(member))
                if isinstance(names, dict):
                    names = self._members(**names)
                if names:
                    self.hand_out(names, message, deadline, receipt)
        except Exception as error:  # noqa: BLE001 - bad receiver names, or nesting too deep to copy
            self.layer.count_undecodable("the queue of this process", error)
        return pause or (self.pause() if self.scheduler.backlog else None)

    def _followed(self, names: Any, text: object, message: Message, size: int) -> tuple[Any, Any]:
        """Give a group's message that has a place in its history to those who follow the group here.

        Returns the receivers that are left, and what to wait for. They are channels that were added to the
        group in another process.
        """
        found = self.layer.recordings.place(text)
        if found is None:
            if text is None:
                self._met_stranger(names)
            return names, None
        place, group = found
        entry = self.layer.recordings.kept(group, place, message, size)
        message.pop(EXCLUDE_KEY, None)
        if entry is None:
            return names, None
        if isinstance(names, list):
            # Who has joined here follows the group, or is to have no more of it (``Cursors.freeze``).
            names = [
                channel
                for channel in names
                if group not in self.groups_of(channel) and not self.kept.has_left(group, channel)
            ]
        else:
            names = ()
        return names, self.kept.came(group, entry)

    def _met_stranger(self, names: Any) -> None:
        """Note a message without a place: which group it was sent to can often only be guessed."""
        if isinstance(names, dict):
            groups = {names["group"]}
        else:
            groups = set.intersection(*(self.groups_of(channel) for channel in names)) if names else set()
            if groups - self.kept.groups.keys():
                return  # most likely one without a history
        for group in groups & self.kept.groups.keys():
            self.kept.stranger(group)

    def _members(self, group: str, version: int, but: Collection[str] = ()) -> list[str]:
        """Return the members of a group that an entry of ``fanout.lua`` is for."""
        members = self._membership(group).census.members(group, version)
        return [channel for channel in members if channel not in but] if but else members

    def _decode_plain(self, channel: str, member: bytes) -> Message | None:
        message = self.decode(f"channel {channel}", member)
        if message is not None:
            message = without_reserved(message)
            self.metrics.count_delivered()
        return message

    # Outages

    def _link_lost(self, index: int, reason: str) -> None:
        membership = self._memberships.get(index)
        if membership is not None:
            membership.lost(reason)

    # Upkeep

    async def flush(self) -> None:
        """Delete the layer's keys, and forget this loop's memberships and unread mailboxes."""
        for membership in self._memberships.values():
            membership.forget_all()
        for channel in {*self.boxes, *self._groups}:
            for group in tuple(self.groups_of(channel)):
                self._removed(group, channel)
        self.plain.forget()
        for channel, box in tuple(self.boxes.items()):
            if not isinstance(box, Inbox) and not box.waiters:
                self.drop(channel)
        await asyncio.gather(*(self._delete_all(index) for index in range(self.keys.ring_size)))

    async def _delete_all(self, index: int) -> None:
        """Delete the keys on one host that certainly belong to this prefix (``Keys.owned``)."""
        keys = self.keys.at(index)
        found = [key.decode(errors="surrogateescape") for key in await self.scan(index, keys.prefix)]
        leases = {*self.layer.client_prefixes(), *await self._names(index, keys.leases)}
        leases.update(key[len(keys.joined("")) :] for key in found if key.startswith(keys.joined("")))
        plain = {*await self._names(index, keys.channels)}
        for group in [key for key in found if key.startswith(keys.group("")) and keys.owned(key, (), ())]:
            for channel in await self._names(index, group):
                if "!" in channel:
                    leases.add(lease_of(channel))
                else:
                    plain.add(channel)
        owned = [key for key in found if keys.owned(key, leases, plain)]
        await self.delete(index, [key.encode(errors="surrogateescape") for key in owned])
        await self.forget_people(index)

    async def _names(self, index: int, key: str) -> list[str]:
        """Return the members of a sorted set of names; an empty list if the key has another type."""
        if await self.shards.call(index, b"TYPE", key) != b"zset":
            return []
        return [
            name.decode(errors="replace") for name in await self.shards.call(index, b"ZRANGE", key, 0, -1)
        ]

    def in_use(self) -> bool:
        """Return True while consumers or callers on this loop depend on its connections."""
        return bool(self.plain.waiters) or any(map(self._is_read, self.boxes))

    async def _disconnect(self) -> None:
        await super()._disconnect()
        await self.kept.aclose()
        for membership in self._memberships.values():
            await membership.aclose()
        self._memberships.clear()
        await self.plain.aclose()
        for reader in self._readers.values():
            await reader.aclose()
        self._readers.clear()
        await self.shards.aclose()
