"""The "!" channels of a process: their names, the station that reads each of them, and their mailboxes."""

from __future__ import annotations

import asyncio
import os
import uuid
from typing import Any, TypeVar

from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox, Retired
from compat.forks import new_lock
from compat.layers.redis.keys import lease_of
from compat.layers.redis.layer import RedisLayer
from compat.layers.redis.own_station import OwnStation
from compat.redis.loops import background
from compat.types import Message

__all__ = ["OwnChannels"]

S = TypeVar("S", bound=OwnStation)


class OwnChannels(RedisLayer[S]):
    """Base of the layers whose channels are named ``<word>.<client prefix>!<32 hex digits>``.

    The client prefix is that of a station, so that a channel's name tells where it is read.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._owners: dict[str, S] = {}
        """Maps a client prefix to the station that reads its channels."""
        self._named: set[str] = set()
        """The client prefixes of which a channel is known; they outlive the loops of their stations."""
        self._client_prefix = ""
        self._pid = os.getpid()
        self._lock = new_lock()

    def _make_station(self, loop: asyncio.AbstractEventLoop, client_prefix: str) -> S:
        """Return a new station for ``loop`` that reads the channels with ``client_prefix``."""
        raise NotImplementedError

    @property
    def client_prefix(self) -> str:
        """The part of channel names before "!": 32 hex digits, different for each process and event loop."""
        stations = self._stations.all()
        if stations:
            return stations[0].client_prefix
        with self._lock:
            return self._next_client_prefix()

    def _next_client_prefix(self) -> str:
        """Return the client prefix of the next station; call it with the lock held."""
        if not self._client_prefix or self._pid != os.getpid():
            self._client_prefix = uuid.uuid4().hex
        if self._pid != os.getpid():  # a forked process does not read the channels of its parent
            self._pid, self._owners, self._named = os.getpid(), {}, set()
        return self._client_prefix

    # Channels

    async def new_channel(self, prefix: str = "specific") -> str:
        """Return a new name for a channel of this process: ``specific.<client prefix>!<32 hex digits>``."""
        station = self._station()
        if station is None:
            return await background.run(self.new_channel(prefix))
        self._named.add(station.client_prefix)
        channel = f"{prefix}.{station.client_prefix}!{uuid.uuid4().hex}"
        station.made(channel)
        return channel

    async def receive(self, channel: str) -> Message:
        """Wait for the next message of ``channel`` and return it; a cancelled call loses no message.

        A "!" channel can be read only in the process that made it (AssertionError elsewhere), and by a
        consumer or by this (RuntimeError, also if a consumer comes while the call waits). Raises
        LayerUnavailable if Redis cannot be reached at first; a later outage only makes the call wait.
        """
        self.require_valid_channel_name(channel)
        if "!" in channel:
            while True:
                mailbox = await self._own_mailbox(channel)
                try:
                    return await mailbox.next_message()
                except Retired:
                    pass  # a consumer reads it now, which the next turn says; or it was removed
        return await self._receive_plain(channel)

    async def _receive_plain(self, channel: str) -> Message:
        """Wait for the next message of a plain channel and return it."""
        raise NotImplementedError

    async def _own_mailbox(self, channel: str) -> Mailbox:
        """Return the mailbox of a "!" channel of this process, whichever event loop reads it."""
        owner = self._owner(channel)
        station = self._station()
        if owner is station:
            return await owner.mailbox(channel)
        if owner.loop.is_closed() and station is None:
            return await background.run(self._own_mailbox(channel))
        if owner.loop.is_closed() and station is not None:
            station.adopt(owner)
            with self._lock:
                self._owners = {
                    prefix: station if other is owner else other for prefix, other in self._owners.items()
                }
            return await station.mailbox(channel)
        if not owner.loop.is_running():
            raise RuntimeError(
                "Two event loops are trying to receive() on one channel layer at once! "
                f"{channel!r} was made on another loop, which does not run now"
            )
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(owner.mailbox(channel), owner.loop))

    # Pushing (compat.layers.base.PushLayer)

    def attach(self, channel: str, inbox: Inbox) -> None:
        """Push every message for ``channel`` into ``inbox`` from now on; called on the inbox's loop."""
        self._prepare(channel, inbox)
        owner = self._owner(channel)
        if owner.loop is inbox.loop:
            owner.attach(channel, inbox)
        else:
            owner.loop.call_soon_threadsafe(owner.attach, channel, inbox)

    async def detach(self, channel: str) -> None:
        """Undo ``attach``, and leave every group; during an outage Redis is told later."""
        owner = self._owner(channel)
        await self._detached_by(owner, owner.detach(channel))

    # Event loops

    def _new_station(self, loop: asyncio.AbstractEventLoop) -> S:
        with self._lock:
            prefix, self._client_prefix = self._next_client_prefix(), ""
        station = self._make_station(loop, prefix)
        with self._lock:
            self._owners[prefix] = station
        return station

    def closed(self, station: S) -> None:
        """Forget a station whose loop is being closed, unless another loop may read its channels."""
        with self._lock:
            if station.client_prefix not in self._named:
                self._owners.pop(station.client_prefix, None)

    def client_prefixes(self) -> list[str]:
        """Return the client prefixes of this process's event loops."""
        return list(self._owners)

    def owns(self, station: S, channel: str) -> bool:
        """Return True if ``station`` reads ``channel``."""
        return self._owners.get(lease_of(channel)) is station

    def made_here(self, channel: str) -> bool:
        """Return True if this layer has made ``channel`` in this process, and it has not just ended."""
        owner = self._reader(channel)
        return owner is not None and not owner.has_ended(channel)

    def _owner(self, channel: str) -> S:
        client_prefix = lease_of(channel)
        owner = self._owners.get(client_prefix)
        if owner is None:
            raise AssertionError(
                f"Wrong client prefix: {channel!r} was not made by this layer in this process, and only the "
                "process that made a channel can receive from it"
            )
        self._named.add(client_prefix)
        return owner

    def _reader(self, channel: str) -> S | None:
        return self._owners.get(lease_of(channel)) if "!" in channel else None

    def _station_for(self, channel: str) -> S | None:
        """Return the station that keeps the groups of ``channel``: its reader's, if it is in this process."""
        owner = self._reader(channel)
        return owner if owner is not None and owner.loop.is_running() else self._station()

    def _mailbox(self, channel: str) -> Inbox | Mailbox | None:
        """Return the inbox or mailbox of a channel of this process, else None."""
        owner = self._reader(channel)
        return owner.boxes.get(channel) if owner is not None else None
