"""Who is here: the people of a group, and how they change.

A person is known by a key, and has one entry for each connection. An entry that is leaving counts only while
there is no other, so a page that is loaded again is the same person all the time.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any, NamedTuple

from compat.names import key_behind

__all__ = ["Diff", "Entry", "Place", "Presence", "connections", "key_of", "meta_text", "shown"]

MAX_KEY, MAX_META = 200, 1024
"""Characters of a key, and bytes of what is told of a connection."""
MAX_ENTRIES = 256
"""Connections of one person in one group; those after it are not counted."""
MAX_TOLD = 8192
"""Bytes of metas that are told of one person; ``shown`` in people.lua does the same."""
TOO_MANY = -1


class Entry(NamedTuple):
    """One connection of a person in a group."""

    process: str
    """The process and event loop that it belongs to."""
    away: bool
    """Its client is away, and may come back."""
    leaving: bool
    """It has ended, a moment ago."""
    meta: str
    """What is told of it, as the text of a JSON object."""
    since: int
    """When it came, in ms by the clock of what keeps the presence."""


class Place(NamedTuple):
    """A connection in a group, as a person."""

    group: str
    key: str
    channel: str


class Presence(dict[str, dict[str, Any]]):
    """The people in a group: ``{key: {"metas": [{…}, …], "away": False}}``, a meta for each connection.

    A person with more than ``MAX_TOLD`` bytes of them has ``"more"``: how many connections are not listed.

    ``version`` is that of the last change: a ``presence.diff`` with this version or an earlier one is in it.
    """

    def __init__(self, people: Mapping[str, dict[str, Any]] | None = None, version: int = 0) -> None:
        super().__init__(people or {})
        self.version = version

    def apply(self, diff: Diff) -> None:
        """Make a change."""
        self.version = diff.version
        self.update(diff.joins)
        for key in diff.leaves:
            self.pop(key, None)


class Diff(NamedTuple):
    """A change: who has come or is not as before, and who has left."""

    version: int
    joins: dict[str, dict[str, Any]]
    leaves: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, body: bytes | str) -> Diff:
        """Return the diff in a published body; raise ValueError."""
        given = json.loads(body)
        try:
            return cls(int(given["version"]), dict(given["joins"]), dict(given["leaves"]))
        except (TypeError, KeyError) as error:
            raise ValueError(f"it is no change of who is here: {error!r}") from error

    @classmethod
    def between(cls, before: Presence, after: Presence) -> Diff:
        """Return what has changed."""
        joins = {key: person for key, person in after.items() if before.get(key) != person}
        leaves = {key: person for key, person in before.items() if key not in after}
        return cls(after.version, joins, leaves)


def shown(entries: Iterable[Entry]) -> dict[str, Any] | None:
    """Return what is told of a person with these entries; None if there is none."""
    every = sorted(entries, key=lambda entry: (entry.since, entry.meta))
    listed = [entry for entry in every if not entry.leaving] or every
    if not listed:
        return None
    # Each change of a person is sent to everybody with all of this: its size must have a limit.
    ends = accumulate(len(entry.meta) for entry in listed)
    metas = [json.loads(entry.meta) for entry, end in zip(listed, ends, strict=True) if end <= MAX_TOLD]
    told = {"metas": metas, "away": all(entry.away for entry in listed)}
    return told if len(metas) == len(listed) else {**told, "more": len(listed) - len(metas)}


def connections(person: Mapping[str, Any]) -> int:
    """Return how many connections of a person are here."""
    return len(person["metas"]) + int(person.get("more", 0))


def key_of(key: Any) -> str:
    """Return the key of a person as text: a user's key, or a str, int or UUID as it is.

    Raises TypeError for anything else, ValueError for an empty or long text.
    """
    given = key_behind(key)
    if isinstance(given, bool) or not isinstance(given, str | int | uuid.UUID):
        raise TypeError(
            f"presence: the key of a person is a str, an int, a UUID or a user with such a key, not {key!r}. "
            "It must be the same for all of a person's connections, and for nobody else"
        )
    text = str(given)
    if not 0 < len(text) <= MAX_KEY:
        raise ValueError(f"presence: a key has 1 to {MAX_KEY} characters, not {len(text)}: {text[:60]!r}")
    return text


def meta_text(meta: Mapping[str, Any] | None) -> str:
    """Return what is told of a connection as JSON; raise TypeError and ValueError."""
    if meta is not None and not isinstance(meta, Mapping):
        raise TypeError(f"presence: meta is a dict, such as {{'name': 'Ada'}}, not {meta!r}")
    try:
        text = json.dumps(dict(meta or {}), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"presence: meta must have a form in JSON: {error}") from error
    if len(text) > MAX_META:
        raise ValueError(
            f"presence: meta is {len(text)} bytes as JSON, and at most {MAX_META} are told to everybody in "
            "the group. Send a name or an id, and load the rest where it is shown"
        )
    return text
