"""The histories of the in-memory layer's groups; they are gone with the process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import secrets
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol

from compat.clock import steady
from compat.engine.cursors import Position, position_of
from compat.engine.events import One
from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox
from compat.forks import new_lock
from compat.layers.base import BaseChannelLayer
from compat.layers.history import History, Rule, Rules
from compat.layers.tail import Kept, Tail, admit, missed_by
from compat.metrics import LayerMetrics

__all__ = ["KeepsHistories", "MemoryHistories", "offer_placed", "pass_by"]

LONGER_S = 600
"""Seconds for which the position of a group is kept after its messages."""
SWEPT = 2
"""Each message removes old messages, and then the position, of so many groups."""


class Joined(Protocol):
    """The layer."""

    expiry: float
    groups: dict[str, dict[str, float]]
    metrics: LayerMetrics

    def loop_of(self, channel: str) -> asyncio.AbstractEventLoop | None:
        """Return the event loop on which a consumer reads ``channel``, else None."""

    def box(self, channel: str) -> Inbox | Mailbox:
        """Return where the messages of ``channel`` wait."""
        raise NotImplementedError

    def remove(self, channel: str, box: Inbox | Mailbox) -> None:
        """Remove a mailbox that has been retired."""

    def enter(self, group: str, channel: str) -> None:
        """Add ``channel`` to ``group``."""


class _Group:
    """One group's history."""

    __slots__ = ("epoch", "offset", "quiet", "tail")

    def __init__(self, epoch: str, rule: Rule) -> None:
        self.epoch = epoch
        self.offset = 0
        self.quiet = steady() + rule.seconds + LONGER_S
        """When its position is forgotten, by ``steady()``, unless there are new messages."""
        self.tail = Tail(rule.count)

    @property
    def position(self) -> Position:
        """The place of its last message."""
        return Position(self.epoch, self.offset)


class MemoryHistories:
    """The histories of one layer, for any thread: hold ``lock`` to join a group, or to read and go on."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.lock = new_lock()
        self._groups: dict[Rule, OrderedDict[str, _Group]] = {}
        """By rule, because all groups of one are kept for the same time: the quietest group first."""
        self._aging: defaultdict[Rule, OrderedDict[str, _Group]] = defaultdict(OrderedDict)
        """Those of them that may have messages, in the same order."""

    def append(self, group: str, rule: Rule, message: dict[str, Any], excluded: Iterable[str] = ()) -> Kept:
        """Append ``message``, which must not change any more, and return its entry; hold ``lock``."""
        kept = self._current(group, rule) or self._begin(group, rule)
        kept.offset += 1
        until = steady() + rule.seconds
        kept.quiet = until + LONGER_S
        entry = Kept(kept.epoch, kept.offset, message, until, tuple(excluded))
        kept.tail.add(entry)
        self._groups[rule].move_to_end(group)
        self._aging[rule][group] = kept
        self._aging[rule].move_to_end(group)
        self._sweep(rule)
        return entry

    def _begin(self, group: str, rule: Rule) -> _Group:
        kept = _Group(secrets.token_hex(8), rule)
        self._groups.setdefault(rule, OrderedDict())[group] = kept
        self._sweep(rule)
        return kept

    def _sweep(self, rule: Rule) -> None:
        now, groups, aging = steady(), self._groups[rule], self._aging[rule]
        for _ in range(SWEPT):
            oldest = next(iter(aging), None)
            if oldest is None or aging[oldest].quiet > now + LONGER_S:
                break
            aging.pop(oldest).tail.expire()
        for _ in range(SWEPT):
            quietest = next(iter(groups))
            if groups[quietest].quiet > now:
                break
            del groups[quietest]

    def _current(self, group: str, rule: Rule) -> _Group | None:
        """Return a group's history; None if it has none, or all its messages are too old."""
        groups = self._groups.get(rule)
        found = None if groups is None else groups.get(group)
        if groups is not None and found is not None and found.quiet <= steady():
            del groups[group]
            return None
        return found

    async def join(self, layer: Joined, group: str, channel: str, rule: Rule, last: int | None) -> None:
        """Give ``channel`` the earlier messages of a group, and all that come from now on."""
        loop = layer.loop_of(channel)
        if loop is None or loop is asyncio.get_running_loop() or not loop.is_running():
            self._join(layer, group, channel, rule, last)
            return
        # On the loop of its inbox, so that no new message overtakes an earlier one.
        joined: concurrent.futures.Future[None] = concurrent.futures.Future()

        def join() -> None:
            if not joined.set_running_or_notify_cancel():
                return  # the caller was cancelled
            try:
                self._join(layer, group, channel, rule, last)
            except BaseException as error:  # noqa: BLE001 - the caller's
                joined.set_exception(error)
            else:
                joined.set_result(None)

        loop.call_soon_threadsafe(join)
        await asyncio.wrap_future(joined)

    def _join(self, layer: Joined, group: str, channel: str, rule: Rule, last: int | None) -> None:
        with self.lock:
            new = channel not in layer.groups.get(group, ())
            count = last if last is not None else rule.on_join if new else 0
            while new or count:
                box = layer.box(channel)
                kept = self._current(group, rule)
                if kept is None and isinstance(box, Inbox) and box.cursors is not None:
                    kept = self._begin(group, rule)
                given = admit(
                    *(box, group, None if kept is None else kept.tail, _position(kept), count),
                    missed=missed_by(box, new=new),
                    tainted=0,
                    deadline=steady() + layer.expiry,
                    leave=partial(_leave, layer, group, channel),
                )
                if given >= 0:
                    layer.metrics.count_replayed(given)
                    break
                layer.remove(channel, box)
            layer.enter(group, channel)

    def read(self, group: str, count: int | None, since: str | None) -> History:
        """Return the result of ``layer.history()``."""
        rule = self.rules.require(group, count)
        after = position_of(since) if since else None
        with self.lock:
            found = self._current(group, rule)
            if found is None:
                return History(complete=after is None, position="")
            if since == "":  # the position of a group without messages
                after = found.position._replace(offset=0)
            tail, position = found.tail, str(found.position)
            known = after is not None and after.epoch == found.epoch and after.offset <= found.offset
            if after is not None and known:
                wanted = tail.since(after.offset)
                complete = len(wanted) == found.offset - after.offset
                if count is not None and len(wanted) > count:
                    wanted, complete = wanted[:count], False
            else:
                wanted = tail.last(rule.count if count is None else count)
                complete = after is None and len(wanted) == found.offset
        return History((entry.entry() for entry in wanted), complete=complete, position=position)

    def position(self, group: str) -> Position:
        """Return the result of ``layer.position()``."""
        rule = self.rules.require(group)
        with self.lock:
            return (self._current(group, rule) or self._begin(group, rule)).position

    def forget(self, group: str, id: str | None) -> int:
        """Return the result of ``layer.forget()``."""
        rule = self.rules.require(group)
        position = None if id is None else position_of(id)
        with self.lock:
            found = self._current(group, rule)
            if found is None or (position is not None and position.epoch != found.epoch):
                return 0
            return found.tail.forget(None if position is None else position.offset, found.offset)

    def clear(self) -> None:
        """Forget all groups."""
        with self.lock:
            self._groups.clear()
            self._aging.clear()


def _position(kept: _Group | None) -> Position:
    return Position("", 0) if kept is None else kept.position


class KeepsHistories(BaseChannelLayer):
    """Base of the in-memory layer: its public methods for histories."""

    histories: MemoryHistories
    channels: dict[str, Inbox | Mailbox]

    async def history(self, group: str, count: int | None = None, *, since: str | None = None) -> History:
        """See the base class; a message is kept while this process lives."""
        self.require_valid_group_name(group)
        return self.histories.read(group, count, since)

    async def position(self, group: str) -> str:
        """See the base class."""
        self.require_valid_group_name(group)
        return str(self.histories.position(group))

    async def forget(self, group: str, id: str | None = None) -> int:
        """See the base class."""
        self.require_valid_group_name(group)
        return self.histories.forget(group, id)

    def loop_of(self, channel: str) -> asyncio.AbstractEventLoop | None:
        """Return the event loop on which a consumer reads ``channel``, else None."""
        box = self.channels.get(channel)
        return None if box is None else box.loop


def _leave(layer: Joined, group: str, channel: str) -> None:
    layer.groups.get(group, {}).pop(channel, None)


def pass_by(inbox: Inbox, place: tuple[str, Position], loop: asyncio.AbstractEventLoop) -> None:
    """Note, in a send on ``loop``, that a message has a place and is not for this consumer."""
    if inbox.loop is loop:  # not later: the next message may be noted by then
        offer_placed(inbox, None, place)
    else:
        inbox.loop.call_soon_threadsafe(offer_placed, inbox, None, place)


def offer_placed(inbox: Inbox, one: One | None, place: tuple[str, Position]) -> None:
    """Push a message from another thread or loop, with its place for the consumer's client."""
    if one is not None and not inbox.offer(one) and inbox.owner is not None:
        inbox.owner.count_drop(inbox.channel, "overflow")
    elif inbox.cursors is not None:
        inbox.cursors.note(one[0] if one is not None else None, *place)
