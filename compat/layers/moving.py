"""Move a fleet from one layer to another, for example to a Redis Cluster, without a divided room.

A process with this layer listens on both, and sends by one. Restart with ``send="old"``, then ``send="new"``,
then the new layer alone: two kinds of processes run at any time, and each hears what the other sends, once.

A channel has a name on the layer that its process sends by, with a mark (``moving-old``, ``moving-new``), so
that others know where it is read. When it joins a group, it gets a second name on the other layer, its twin.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal

from compat.engine.inbox import Inbox
from compat.engine.shielding import whole
from compat.engine.subscription import pushes
from compat.exceptions import InvalidChannelLayerError
from compat.layers import channel_layers, known_layers
from compat.layers.base import BaseChannelLayer, SendResult
from compat.layers.history import History
from compat.layers.joins import Joins
from compat.layers.moving_reads import Job, Received, Twin, found
from compat.layers.options import check_options
from compat.layers.presence.moving import MovesPresence
from compat.layers.values import KeyValues
from compat.types import Message

__all__ = ["MovingChannelLayer"]

Side = Literal["old", "new"]
SIDES: tuple[Side, Side] = ("old", "new")
MARK = re.compile(r"\.moving-(old|new)\.")


class _Own:
    """A channel of this process, which has a consumer's inbox, or a twin on the other layer, or both."""

    __slots__ = ("groups", "inbox", "twin")

    def __init__(self) -> None:
        self.inbox: Inbox | None = None
        self.twin: str | None = None
        self.groups: set[str] = set()


class MovingChannelLayer(MovesPresence):
    """Listens on two layers of ours, and sends by one of them.

    ``old``, ``new``: aliases in ``CHANNEL_LAYERS``. ``send``: "old" or "new", the one to send by. The limits
    and the metrics are those of the layer to send by; the other's are under its alias. Raises
    InvalidChannelLayerError.
    """

    extensions = ["groups", "flush"]  # noqa: RUF012 - a list, as in Channels

    def __init__(self, *, old: str = "", new: str = "", send: str = "", **unknown: Any) -> None:
        check_options(type(self).__name__, unknown, ("old", "new", "send"))
        if send not in SIDES:
            raise InvalidChannelLayerError(
                f"send={send!r}: expected 'old' (first restart) or 'new' (second restart)"
            )
        if old == new:
            raise InvalidChannelLayerError(f"old and new are both {old!r}: expected two aliases")
        self.old = _layer_to_move("old", old)
        self.new = _layer_to_move("new", new)
        self.side: Side = "old" if send == "old" else "new"
        self.sending, self.other = (self.old, self.new) if send == "old" else (self.new, self.old)
        super().__init__(self.sending.expiry, self.sending.capacity, on_overflow=self.sending.on_overflow)
        self.channel_capacity = self.sending.channel_capacity
        self.metrics = self.sending.metrics
        self._own: dict[str, _Own] = {}
        self._kept: dict[str, deque[Received]] = {}
        """Messages that came on one layer at the moment at which a caller got another one."""
        self._joins = Joins(self._lists, self._leave)

    # Channels

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return the name of a new channel of this process on the layer to send by."""
        name: str = await self.sending.new_channel(_marked(prefix, self.side))
        return name

    async def send(self, channel: str, message: Message) -> None:
        """Send by the layer on which ``channel`` is read; raises what that layer raises."""
        await self._read_on(channel).send(channel, message)

    async def receive(self, channel: str) -> Message:
        """Wait for the next message of ``channel`` on either layer; a cancelled call loses no message.

        A call that waits already when its channel joins a first group hears it on the layer to send by alone.
        """
        return (await self._first(channel, self._received)).message

    async def take(self, channel: str) -> Job:
        """Wait for a worker's next message on either layer; see ``take()`` of the streams layer."""
        return await self._first(channel, self._taken)

    async def _received(self, layer: Any, channel: str) -> Job:
        return Received(await layer.receive(channel), lambda received: self._keep(channel, received))

    async def _taken(self, layer: Any, channel: str) -> Job:
        if not hasattr(layer, "take"):
            return await self._received(layer, channel)
        taken: Job = await layer.take(channel)
        return taken

    def _keep(self, channel: str, received: Received) -> None:
        self._kept.setdefault(channel, deque()).append(received)

    async def _first(self, channel: str, read: Callable[[Any, str], Awaitable[Job]]) -> Job:
        kept = self._kept.get(channel)
        if kept:
            received = kept.popleft()
            if not kept:
                del self._kept[channel]
            return received
        tasks = [asyncio.ensure_future(read(layer, name)) for layer, name in self._readers(channel)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            for message in found(tasks)[0]:
                message.put_back()
            raise
        messages, errors = found(tasks)
        if not messages:
            raise errors[0] if errors else asyncio.CancelledError
        for message in messages[1:]:
            message.put_back()
        return messages[0]

    def _readers(self, channel: str) -> list[tuple[Any, str]]:
        """Return the layers on which ``channel`` is read, each with the channel's name there."""
        own = self._own.get(channel)
        if own is not None and own.twin is not None:
            return [(self.sending, channel), (self.other, own.twin)]
        if MARK.search(channel) or "!" in channel:
            return [(self._read_on(channel), channel)]
        return [(self.old, channel), (self.new, channel)]

    def _read_on(self, channel: str) -> Any:
        """Return the layer on which ``channel`` is read; without a mark, it is the one to send by."""
        mark = MARK.search(channel) if isinstance(channel, str) else None
        return getattr(self, mark[1]) if mark else self.sending

    # Pushing (compat.layers.base.PushLayer)

    def attach(self, channel: str, inbox: Inbox) -> None:
        """Push every message for ``channel`` on either layer into ``inbox``; called on the inbox's loop."""
        self.sending.attach(channel, inbox)
        own = self._own.setdefault(channel, _Own())
        own.inbox = inbox
        if own.twin is not None:
            self.other.attach(own.twin, Twin(inbox))

    async def detach(self, channel: str) -> None:
        """Undo ``attach``, and leave every group on both layers."""
        own = self._own.pop(channel, None)
        leaving = [self.sending.detach(channel)]
        if own is not None and own.twin is not None:
            leaving.append(self.other.detach(own.twin))
        await whole(_all(leaving))

    # Groups

    async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
        """Add ``channel`` to ``group`` on both layers.

        After an error a channel that was no member is one on neither, unless a call beside this one adds it;
        a plain channel is one on neither.
        ``last``: see ``InMemoryChannelLayer``; the layer to send by has the messages. Raises RuntimeError for
        a channel of another process, and what the layers raise: a name has to be valid on both. If its
        consumer ends meanwhile, the channel is a member on neither.
        """
        name = await self._twin(channel)
        if name is None:
            return
        self._attend_twin(channel, name)
        own = self._own.get(channel)
        try:
            with self._joins.call(group, channel):
                if own is not None:
                    own.groups.add(group)
                await self.sending.group_add(group, channel, last)
                await self.other.group_add(group, name, 0)
        except BaseException:
            if self._own.get(channel) is not own or not self._lists(group, channel):
                await whole(_all(self._leaving(group, channel, name), quiet=True))
            raise
        # It has ended, or has left.
        if own is not None and (self._own.get(channel) is not own or not self._lists(group, channel)):
            await whole(_all(self._leaving(group, channel, name), quiet=True))

    def _lists(self, group: str, channel: str) -> bool:
        own = self._own.get(channel)
        return own is not None and group in own.groups

    def _leave(self, group: str, channel: str) -> None:
        self._joins.left(group, channel)
        if (own := self._own.get(channel)) is not None:
            own.groups.discard(group)

    def require_group(self, group: object) -> None:
        """Raise TypeError if ``group`` is not a valid name on both layers."""
        self.sending.require_group(group)
        self.other.require_group(group)

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove ``channel`` from ``group`` on both layers."""
        self._leave(group, channel)
        await whole(_all(self._leaving(group, channel, self._twin_of(channel))))

    def _leaving(self, group: str, channel: str, name: str) -> list[Awaitable[None]]:
        """Return the calls that remove a channel from a group, and its twin ``name``."""
        leaving: list[Awaitable[None]] = [
            self._take_out(self.sending, group, channel, channel),
            self._take_out(self.other, group, channel, name),
        ]
        own = self._own.get(channel)
        if own is not None and own.inbox is None and not own.groups:  # the twin was there for them alone
            del self._own[channel]
            leaving.append(self.other.detach(name))
        return leaving

    async def _take_out(self, layer: BaseChannelLayer, group: str, channel: str, there: str) -> None:
        """Remove a channel from a group of one layer, unless another call has added it meanwhile."""
        if not self._lists(group, channel) or there not in (channel, self._twin_of(channel)):
            await layer.group_discard(group, there)

    async def group_send(self, group: str, message: Message, exclude: Iterable[str] = ()) -> SendResult:
        """Send to all members of ``group`` by the layer to send by, on which all of them listen."""
        result: SendResult = await self.sending.group_send(group, message, exclude)
        return result

    def _twin_of(self, channel: str) -> str:
        own = self._own.get(channel)
        return channel if own is None or own.twin is None else own.twin

    async def _twin(self, channel: str) -> str | None:
        """Return the name of ``channel`` on the other layer; a plain one has the same. None: it has ended."""
        if not isinstance(channel, str) or (MARK.search(channel) is None and "!" not in channel):
            return channel
        if not self.sending.made_here(channel):
            raise RuntimeError(
                f"group_add() takes channels of this process while a layer moves, not {channel!r}: each "
                "process joins its own on both layers. Let the consumer itself call group_add()"
            )
        own = self._own.get(channel)
        if own is not None and own.twin is not None:
            return own.twin
        twin: str = await self.other.new_channel(_marked("specific.", "new" if self.side == "old" else "old"))
        if own is None or self._own.get(channel) is own:
            own = self._own.setdefault(channel, _Own())
            if own.twin is None:
                own.twin = twin
                if own.inbox is not None:
                    self.other.attach(twin, Twin(own.inbox))
                return twin
        await self.other.detach(twin)  # another call has made one meanwhile, or its consumer has ended
        if self._own.get(channel) is own:
            return own.twin
        return None if own.inbox is not None else await self._twin(channel)

    async def history(self, group: str, count: int | None = None, *, since: str | None = None) -> History:
        """Return earlier messages from the layer to send by; see the base class."""
        sending: BaseChannelLayer = self.sending
        return await sending.history(group, count, since=since)

    async def position(self, group: str) -> str:
        """Return the position on the layer to send by; see the base class."""
        return str(await self.sending.position(group))

    async def forget(self, group: str, id: str | None = None) -> int:
        """Delete from the histories of both layers that have one; see the base class."""
        layers = [layer for layer in (self.sending, self.other) if layer.rules.of(group)]
        return max([int(await layer.forget(group, id)) for layer in layers or [self.sending]])

    # Blocking forms

    def send_sync(self, channel: str, message: Message) -> Any:
        """Call ``send`` from code without an event loop, and block; RuntimeError if a loop runs here."""
        return self._read_on(channel).send_sync(channel, message)

    def group_send_sync(self, group: str, message: Message, exclude: Iterable[str] = ()) -> SendResult:
        """Call ``group_send`` from code without an event loop, and block."""
        result: SendResult = self.sending.group_send_sync(group, message, exclude)
        return result

    # Upkeep

    @property
    def key_values(self) -> KeyValues:
        """Those of the old layer: all processes but the last kind know them."""
        values: KeyValues = self.old.key_values
        return values

    def depth(self) -> int:
        """Return how many messages wait in this process."""
        return int(self.old.depth()) + int(self.new.depth())

    async def flush(self) -> None:
        """Flush both layers."""
        self._kept.clear()
        for channel, own in tuple(self._own.items()):
            for group in tuple(own.groups):
                self._leave(group, channel)
            if own.inbox is None:
                self._own.pop(channel, None)
        await _all([self.old.flush(), self.new.flush()])

    async def close_pools(self) -> None:
        """Close this loop's connections, unless channels depend on them; they reopen when needed."""
        await _all([layer.close_pools() for layer in (self.old, self.new) if hasattr(layer, "close_pools")])


def _layer_to_move(option: str, alias: str) -> Any:
    """Return the layer under ``alias``; raise InvalidChannelLayerError unless it can be moved."""
    entry: Any = channel_layers.configs.get(alias)
    if entry is None and alias not in channel_layers:
        raise InvalidChannelLayerError(
            f"{option}={alias!r}: expected an alias of CHANNEL_LAYERS ({known_layers()})"
        )
    backend = entry.get("BACKEND") if isinstance(entry, Mapping) else None
    if str(backend).endswith(MovingChannelLayer.__name__):
        raise InvalidChannelLayerError(
            f"{option}={alias!r} is a moving layer: expected one of the layers between which it moves"
        )
    layer = channel_layers[alias]
    if not pushes(layer) or not hasattr(layer, "made_here"):
        raise InvalidChannelLayerError(
            f"{option}={alias!r} is {type(layer).__name__}: only the layers of this library can be moved. In "
            'place of channels_redis take the layer of this library, without "UPSTREAM": its wire format '
            "is the same"
        )
    return layer


def _marked(prefix: str, side: Side) -> str:
    return f"{prefix.rstrip('.')}.moving-{side}."


async def _all(calls: Iterable[Awaitable[Any]], *, quiet: bool = False) -> None:
    """Await all calls; raise the first error after that, unless ``quiet``."""
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not quiet:
            raise outcome
