"""The part of a layer on one event loop that reads the "!" channels with one client prefix."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from compat.clock import steady
from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox
from compat.layers.redis.station import Station

if TYPE_CHECKING:
    from compat.layers.redis.own_channels import OwnChannels

__all__ = ["OwnStation"]


class OwnStation(Station):
    """Base of ``QueueStation`` and ``StreamsStation``."""

    def __init__(
        self,
        layer: OwnChannels[Any],
        loop: asyncio.AbstractEventLoop,
        client_prefix: str,
        expiry_s: int,
        link_lost: Callable[[int, str], None],
    ) -> None:
        super().__init__(layer, loop, link_lost)
        self._owns: Callable[[str], bool] = partial(layer.owns, self)
        self._closed: Callable[[], None] = partial(layer.closed, self)
        self.client_prefix = client_prefix
        self._expiry_s = expiry_s
        self._ended: dict[str, float] = {}
        """Detached channels, for which messages may still arrive, until a time of ``steady()``."""
        self._idle: set[str] = set()
        """The channels whose mailboxes were idle at the last sweep."""
        self._next_sweep = steady() + expiry_s

    def made(self, channel: str) -> None:
        """Called with the name of each new channel."""

    def listen(self, channel: str) -> None:
        """Receive the messages for ``channel``."""
        raise NotImplementedError

    async def listening(self, channel: str) -> None:
        """Receive the messages for ``channel``; raise LayerUnavailable if Redis cannot be reached now."""
        raise NotImplementedError

    async def detach(self, channel: str) -> None:
        """Remove the channel, also from its groups; this continues even if the caller is cancelled."""
        raise NotImplementedError

    def attach(self, channel: str, inbox: Inbox) -> None:
        """Push the messages of ``channel`` into ``inbox`` from now on."""
        self._ended.pop(channel, None)
        self.take_over(channel, inbox)
        self.listen(channel)

    async def mailbox(self, channel: str) -> Mailbox:
        """Return the mailbox of a channel that no consumer reads, and listen to its queue.

        Raises LayerUnavailable if Redis cannot be reached now.
        """
        self._ended.pop(channel, None)
        self.swept()
        await self.listening(channel)
        box = self.require_mailbox(channel)
        self._idle.discard(channel)
        return box

    def unknown(self, channel: str) -> Mailbox | None:
        """Return a new mailbox for a channel of this loop; None if the channel has ended or is not ours."""
        if self.has_ended(channel) or not self._owns(channel):
            return None
        return self.require_mailbox(channel)

    def _is_read(self, channel: str) -> bool:
        box = self.boxes.get(channel)
        return isinstance(box, Inbox) or (box is not None and bool(box.waiters))

    def leave_groups(self, channel: str) -> None:
        """Remove a channel of this loop from all its groups; see ``leave``."""
        for group in tuple(self.groups_of(channel)):
            self.leave(group, channel)

    def gone(self, channel: str) -> None:
        self.leave_groups(channel)
        self.ended(channel)

    def ended(self, channel: str) -> None:
        """Remember that a channel has been detached, while messages for it may still arrive."""
        self.drop(channel)
        self._ended[channel] = self.swept() + self._expiry_s  # messages to groups do not sweep

    def has_ended(self, channel: str) -> bool:
        """Return True for a detached channel, for ``expiry`` seconds or more, unless it is read again."""
        return channel in self._ended

    def swept(self) -> float:
        """Return the time, by ``steady()``, and sweep if it is due."""
        now = steady()
        if now >= self._next_sweep:
            self._sweep(now)
        return now

    def _sweep(self, now: float) -> None:
        """Remove channels that ended long ago, and mailboxes that were idle at two sweeps in a row."""
        self._next_sweep = now + self._expiry_s
        self._ended = {channel: until for channel, until in self._ended.items() if until > now}
        idle = {name for name, box in self.boxes.items() if isinstance(box, Mailbox) and box.idle()}
        # Not at the first sweep: a caller on another loop may have a mailbox without waiting for it yet.
        for channel in idle & self._idle:
            self.drop(channel)
        self._idle = idle

    def adopt(self, other: OwnStation) -> None:
        """Take over the mailboxes of a station whose loop is closed."""
        self.boxes.update({name: box for name, box in other.boxes.items() if isinstance(box, Mailbox)})

    async def aclose(self) -> None:
        try:
            await super().aclose()
        finally:
            self._closed()
