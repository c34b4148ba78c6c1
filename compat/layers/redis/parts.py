"""The members of many groups, in parts that keep neither Redis nor the event loop for long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["in_parts"]

MEMBERS_AT_ONCE = 1000
"""Members that one script enters, which takes Redis a millisecond."""
MEMBERS_OF_GROUP = 4
"""What the commands for a group cost, in members."""


def in_parts(groups: Iterable[tuple[str, list[str]]]) -> Iterator[list[tuple[str, list[str]]]]:
    """Yield groups with their channels, in lists of some ``MEMBERS_AT_ONCE`` channels.

    A group with more than that comes in several pieces.
    """
    parts: list[tuple[str, list[str]]] = []
    size = 0
    for group, channels in groups:
        for start in range(0, len(channels), MEMBERS_AT_ONCE):
            parts.append((group, channels[start : start + MEMBERS_AT_ONCE]))
            size += len(parts[-1][1]) + MEMBERS_OF_GROUP
            if size >= MEMBERS_AT_ONCE:
                yield parts
                parts, size = [], 0
    if parts:
        yield parts
