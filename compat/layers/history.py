"""Histories of groups: which groups have one (``CONFIG["history"]``), and what of it is returned.

A message of a group with a history has a position: an offset, 1, 2, 3, …, and the epoch of the history, which
changes when what keeps it has lost it. Both together are the ``id`` of an entry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from compat.exceptions import ImproperlyConfigured
from compat.layers.options import check_options
from compat.layers.patterns import Patterns
from compat.types import Message, is_number

__all__ = ["History", "HistoryEntry", "Rule", "Rules"]

COUNT, SECONDS = 100, 24 * 60 * 60
"""The defaults of a rule."""


class HistoryEntry(dict[str, Any]):
    """A message of a history: the dict that was sent, and the ``id`` of the entry."""

    __slots__ = ("id",)

    def __init__(self, message: Message, id: str) -> None:
        super().__init__(message)
        self.id = id


class History(list[HistoryEntry]):
    """Messages of a group, the oldest first.

    ``complete``: there were no others in what was asked for. False if some are gone: too many or too old,
    forgotten, or lost with what keeps the history. ``position``: the ``id`` of the newest message that the
    group has had, for ``since=``; empty if it has had none.
    """

    def __init__(self, entries: Iterable[HistoryEntry] = (), *, complete: bool, position: str) -> None:
        super().__init__(entries)
        self.complete = complete
        self.position = position

    def read_as(self, read: Callable[[Message], Message]) -> History:
        """Return the same history, with each message as ``read`` returns it."""
        entries = (HistoryEntry(read(entry), entry.id) for entry in self)
        return History(entries, complete=self.complete, position=self.position)


ORDERS = ("compat_", "__")
"""The beginning of names of handlers for the library's own orders, such as a close."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """What is kept of a group: ``count`` messages for ``seconds``; ``on_join``: how many a member gets."""

    count: int = COUNT
    seconds: int = SECONDS
    types: tuple[str, ...] | None = None
    """The types of messages that are kept; None: all."""
    on_join: int = 0

    def keeps(self, message: Message) -> bool:
        """Return True if ``message`` belongs into the history; an order is only for present members."""
        kind = message.get("type")
        if isinstance(kind, str) and kind.replace(".", "_").startswith(ORDERS):
            return False
        return self.types is None or kind in self.types


FIELDS = tuple(field.name for field in dataclasses.fields(Rule))


class Rules(Patterns[Rule]):
    """The option ``history`` of a layer: ``{pattern: {"count", "seconds", "types", "on_join"}}``.

    Raises TypeError and ValueError.
    """

    def __init__(self, given: Mapping[Any, Any] | None, layer: str) -> None:
        super().__init__("history", "{'chat_*': {'count': 100}}", given, _rule)
        self._layer = layer

    def require(self, group: str, count: object = None) -> Rule:
        """Return the rule of a group; raise ImproperlyConfigured if it has none.

        ``count``: how many messages are asked for; raises TypeError and ValueError if that is no number.
        """
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 0):
            problem = ValueError if isinstance(count, int) else TypeError
            raise problem(f"history: the number of messages must be an int, 0 or more, not {count!r}")
        rule = self.of(group)
        if rule is None:
            raise ImproperlyConfigured(
                f"{self._layer} keeps no history of group {group!r}: name it in CONFIG['history'] of "
                f"CHANNEL_LAYERS, for example {{{group!r}: {{'count': 100, 'on_join': 50}}}}; a pattern such "
                "as 'chat_*' is for many groups"
            )
        return rule


def _rule(pattern: Any, given: Any) -> Rule:
    where = f"history[{pattern!r}]"
    if not isinstance(given, Mapping):
        raise ValueError(
            f"{where} must be a dict with 'count', 'seconds', 'types' or 'on_join', not {given!r}"
        )
    check_options(where, {str(name): value for name, value in given.items()}, FIELDS)
    rule = Rule(**given)
    for name in ("count", "seconds"):
        value = getattr(rule, name)
        if not is_number(value) or not 1 <= value < 2**31:
            raise ValueError(f"{where}[{name!r}] must be a number, 1 or more, not {value!r}")
    if not isinstance(rule.on_join, int) or isinstance(rule.on_join, bool) or rule.on_join < 0:
        raise ValueError(f"{where}['on_join'] must be a number of messages, 0 for none, not {rule.on_join!r}")
    if rule.on_join > rule.count:
        raise ValueError(f"{where}: 'on_join' is {rule.on_join}, and only {rule.count} are kept ('count')")
    types = rule.types
    if types is not None and (isinstance(types, str) or not _are_texts(types)):
        raise ValueError(f"{where}['types'] must be a list of message types, not {types!r}")
    return Rule(int(rule.count), int(rule.seconds), None if types is None else tuple(types), rule.on_join)


def _are_texts(values: Any) -> bool:
    return isinstance(values, Sequence | set | frozenset) and all(isinstance(value, str) for value in values)
