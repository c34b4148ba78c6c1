"""The histories of one Redis layer: how a message gets its place, and how the histories are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from compat.clock import steady
from compat.engine.cursors import Position, position_of
from compat.layers.history import History, Rule, Rules
from compat.layers.redis.keys import EXCLUDE_KEY, PLACE_KEY, RESERVED_KEY
from compat.layers.tail import Kept
from compat.redis.commands import Commands
from compat.redis.streams.history import (
    BEGIN,
    FORGET,
    NOWHERE,
    PLACE_LENGTH,
    RENEW_EPOCH,
    TAINT,
    Part,
    Place,
    Record,
    Stored,
    new_epoch,
)
from compat.redis.streams.receiver import Found
from compat.tracing import carried_on, without_trace

if TYPE_CHECKING:
    from compat.layers.redis.keeping import KeepsHistories

__all__ = ["PASSING", "Recordings", "Written", "is_told", "without_reserved"]

PASSING = "-"
"""The place of a message that its sender's history leaves out."""
HANDED_ON = frozenset((RESERVED_KEY, EXCLUDE_KEY, PLACE_KEY))


def without_reserved(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``message`` without the keys of the wire: it may come from a client, who may not set them."""
    return {key: value for key, value in message.items() if key not in HANDED_ON}


class Written(NamedTuple):
    """A message for a history, ready for the script."""

    message: dict[str, Any]
    body: bytes
    at: int
    """Where its place is in ``body``, or NOWHERE."""
    mark: str


class Recordings:
    """The histories of one layer.

    ``kinds``: those of their keys. ``shard_of(group)``: the host of a group. ``longer_s``: how long a
    position is kept after the messages. ``always``: how groups without a rule are kept, which nobody but this
    library reads; None: not at all. ``in_head``: the place stands before a message, and not in it.
    """

    def __init__(
        self,
        layer: KeepsHistories,
        rules: Rules,
        kinds: tuple[str, ...],
        shard_of: Callable[[str], int],
        longer_s: int,
        *,
        always: Record | None = None,
        in_head: bool = False,
    ) -> None:
        self.rules = rules
        self._layer = layer
        self._kinds = kinds
        self._shard_of = shard_of
        self._in_head = in_head
        self._always = always
        self._longer_s = longer_s
        self._of_rule = lru_cache(None)(self._record_of)

    def record(self, group: str) -> Record | None:
        """Return how a group's messages are kept; None: not at all."""
        rule = self.rules.of(group) if self.rules else None
        return self._always if rule is None else self._of_rule(rule)

    def _record_of(self, rule: Rule) -> Record:
        # Where all messages are recorded, those outside of the rule must not push out the others.
        count = max(rule.count, self._always.count) if self._always and rule.types else rule.count
        return Record(count, rule.seconds, self._longer_s)

    def most(self, group: str, count: int) -> int:
        """Return how many entries to read for the last ``count`` that newcomers get."""
        rule = self.rules.of(group)
        if rule is None or rule.types is None or self._always is None:
            return count
        return max(count, self._of_rule(rule).count)

    def where(self, group: str) -> tuple[int, list[str]]:
        """Return the host of a group's history, and its keys there."""
        return self._shard_of(group), self._layer.keys.history(group, self._kinds)

    # To write

    def write(self, group: str, message: Mapping[str, Any]) -> Written:
        """Return ``message`` with room for its place."""
        place = Place.made()
        mark = Place.read(place).mark
        if self._in_head:
            marked = dict(message)
            return Written(marked, place.encode() + self._layer.encoded(marked), 0, mark)
        marked = {**message, PLACE_KEY: place + group}
        body = self._layer.encoded(marked)
        return Written(marked, body, max(body.find(place.encode()), NOWHERE), mark)

    @staticmethod
    def placed(written: Written, epoch: str, offset: int, group: str) -> dict[str, Any]:
        """Return the message with a place that the script could not write into it."""
        return {**written.message, PLACE_KEY: f"{Place(epoch, offset, written.mark)}{group}"}

    # To read

    @staticmethod
    def place(text: object) -> tuple[Place, str] | None:
        """Return the place and the group in the value of PLACE_KEY; None if it has none."""
        try:
            return (Place.read(text), text[PLACE_LENGTH:]) if isinstance(text, str) else None
        except ValueError:
            return None

    def kept(
        self, group: str, place: Place, message: Mapping[str, Any], size: int, age_s: float = 0
    ) -> Kept | None:
        """Return the entry of a message that has been decoded; None if the group has no history here."""
        record = self.record(group)
        if record is None:
            return None
        excluded = message.get(EXCLUDE_KEY)
        return Kept(
            *(place.epoch, place.offset, without_reserved(message), steady() + record.seconds - age_s),
            tuple(excluded) if isinstance(excluded, list) else (),
            place.mark,
            size,
        )

    def arrived(self, group: str, body: bytes) -> Kept | None:
        """Return the entry of a message with its place in its head; raise ValueError if it has none there."""
        place = Place.read(body[:PLACE_LENGTH].decode("ascii", "replace"))
        message = self._decoded(group, body[PLACE_LENGTH:])
        carried_on(message)
        return self.kept(group, place, message, len(body))

    def _decoded(self, group: str, body: bytes) -> dict[str, Any]:
        try:
            message = self._layer.deserialize_kept(body)
            if not isinstance(message, dict):
                raise TypeError(f"it is not a dict but {type(message).__name__}")
        except Exception as error:  # noqa: BLE001 - whatever a serializer raises; the reader must go on
            self._layer.count_undecodable(f"the history of group {group}", error)
            return {}  # keeps its place, and is handed to nobody
        return message

    def _stored(self, group: str, epoch: str, stored: Stored) -> Kept | None:
        body = stored.body[PLACE_LENGTH:] if self._in_head else stored.body
        message = without_trace(self._decoded(group, body))
        text = stored.body[:PLACE_LENGTH].decode("ascii", "replace") if self._in_head else None
        found = self.place(text if self._in_head else message.get(PLACE_KEY))
        mark = found[0].mark if found is not None else ""
        place = Place(epoch, stored.offset, mark)
        return self.kept(group, place, message, len(stored.body), stored.age_s)

    async def read(
        self, commands: Commands, group: str, most: int, first: int | None = None, *, whole: bool = False
    ) -> Found:
        """Return the result of ``Record.read``, decoded; raise LayerUnavailable."""
        record = self.record(group)
        if record is None:
            return Found(Part())
        part = await record.read(commands, *self.where(group), most, first, whole=whole)
        entries = [self._stored(group, part.epoch, stored) for stored in part.entries]
        return Found(part, [entry for entry in entries if entry is not None])

    async def begin(self, commands: Commands, group: str) -> str:
        """Return the epoch of a group's history; begin one if there is none; raise LayerUnavailable."""
        record, (shard, keys) = self.record(group), self.where(group)
        keep_s = 1 if record is None else record.position_s
        epoch: bytes = await commands.run(shard, BEGIN, keys, new_epoch(), keep_s)
        return epoch.decode()

    async def gone_back(self, commands: Commands, group: str, epoch: str) -> None:
        """Begin another epoch for a history that has lost its last messages; raise LayerUnavailable."""
        shard, (_, position) = self.where(group)
        await commands.run(shard, RENEW_EPOCH, [position], epoch, new_epoch())

    async def taint(self, commands: Commands, group: str) -> int:
        """Note a message that is not in the history; return the offset up to which nothing is claimed."""
        record, (shard, (_, position)) = self.record(group), self.where(group)
        keep_s = 1 if record is None else record.position_s
        tainted: int = await commands.run(shard, TAINT, [position], keep_s)
        return tainted

    # For users

    async def history_by(
        self, commands: Commands, group: str, count: int | None, since: str | None
    ) -> History:
        """Return the result of ``layer.history()``."""
        rule = self.rules.require(group, count)
        after = position_of(since) if since else None
        part = (await self.read(commands, group, 0)).part
        if since == "":  # the position of a group without messages
            after = Position(part.epoch, 0)
        wanted = rule.count if count is None else count
        told: list[Kept] = []
        if after is None or after.epoch != part.epoch or after.offset > part.last:
            wanted = min(wanted, rule.count)
            if wanted:
                part, entries = await self.read(commands, group, self.most(group, wanted))
                told = [entry for entry in _young(entries) if is_told(rule, entry)][-wanted:]
            complete = after is None and part.gone == 0 and len(told) == part.last
        else:
            untainted, at, read = after.offset >= part.tainted, after.offset, 0
            while at < part.last and len(told) < wanted:  # some are perhaps not for newcomers
                part, entries = await self.read(commands, group, wanted - len(told), at + 1)
                young = _young(entries)
                told += [entry for entry in young if is_told(rule, entry)]
                at = entries[-1].offset if entries else part.last
                read += len(young)
            complete = untainted and at >= part.last and read == at - after.offset
        return History(
            (entry.entry() for entry in told),
            complete=complete,
            position=str(Position(part.epoch, part.last)) if part.epoch else "",
        )

    async def position_by(self, commands: Commands, group: str) -> str:
        """Return the result of ``layer.position()``."""
        self.rules.require(group)
        part = (await self.read(commands, group, 0)).part
        epoch = part.epoch or await self.begin(commands, group)
        return str(Position(epoch, part.last))

    async def forget_by(self, commands: Commands, group: str, id: str | None) -> int:
        """Return the result of ``layer.forget()``."""
        self.rules.require(group)
        shard, keys = self.where(group)
        position = None if id is None else position_of(id)
        which = ("", "") if position is None else (position.offset, position.epoch)
        forgotten: int = await commands.run(shard, FORGET, keys, *which)
        return forgotten


def _young(entries: Iterable[Kept]) -> list[Kept]:
    """Return the entries that are not too old: a Redis before 6.2 may have left some (``record.lua``)."""
    now = steady()
    return [entry for entry in entries if entry.until > now]


def is_told(rule: Rule, entry: Kept) -> bool:
    """Return True for a message that newcomers get."""
    return bool(entry.message) and rule.keeps(entry.message)
