"""A connection that may be present, and what is told of it."""

from __future__ import annotations

from typing import Any

__all__ = ["Attendee", "Told"]


class Told:
    """What is told of a connection in a group: its person's ``key``, and the ``meta`` as text.

    ``before``: what was told of it as the same person, whether that is kept already or not.
    """

    __slots__ = ("_before", "_has_failed", "kept", "key", "meta")

    def __init__(self, key: str, meta: str, before: Told | None) -> None:
        self.key, self.meta = key, meta
        self._before, self._has_failed = before, False
        self.kept = False
        """True if this is kept, in Redis or in memory; else the call which tells it is under way."""

    def is_kept(self) -> None:
        """Note that this is kept now."""
        self._before, self.kept = None, True

    def fails(self) -> None:
        """Note that the call which tells it has failed, or has given way to a later one."""
        self._has_failed = True

    def standing(self) -> Told | None:
        """Return the last one, this or an earlier one, that is kept or under way; None if all have failed."""
        told: Told | None = self
        while told is not None and told._has_failed:
            told = told._before
        return told


class Attendee:
    """A connection that may be present."""

    __slots__ = ("away", "by_rule", "hears", "metas", "name", "persons", "scope")

    def __init__(self, scope: Any, name: str, *, hears: bool, by_rule: bool) -> None:
        self.scope = scope
        self.name = name
        """Its channel, or that of which it is the twin."""
        self.persons: set[str] = set()
        """The groups by which its persons are sent to, which it has joined."""
        self.by_rule = by_rule
        """It is present in the groups that it joins, by the option ``presence``."""
        self.hears = hears
        """Its consumer has a handler for ``presence.diff``."""
        self.away = False
        self.metas: dict[str, Told] = {}
        """By group."""

    def turns(self, *, away: bool) -> bool:
        """Note that its client is away, or is back; return False if that is known."""
        turned = self.away != away
        self.away = away
        return turned

    def name_in(self, group: str) -> str | None:
        """Return the key of its person in ``group``; None if it is not there."""
        told = self.metas.get(group)
        return None if told is None else told.key
