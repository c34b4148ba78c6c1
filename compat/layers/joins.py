"""Concurrent calls that add channels to groups: one that fails removes no member that another has added."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

__all__ = ["Joins"]


class _Calls:
    """The calls that add one channel to one group."""

    __slots__ = ("count", "is_member")

    def __init__(self, *, is_member: bool) -> None:
        self.count = 0
        self.is_member = is_member
        """True if the channel was a member before, or one of the calls has succeeded."""


class Joins:
    """The calls under way that add channels to groups.

    ``lists(group, channel)`` tells whether a channel is listed as a member, as it is from the beginning of a
    call; ``leave(group, channel)`` takes it out, also if it is not listed.
    """

    def __init__(self, lists: Callable[[str, str], bool], leave: Callable[[str, str], None]) -> None:
        self._lists, self._leave = lists, leave
        self._under_way: dict[tuple[str, str], _Calls] = {}

    @contextmanager
    def call(self, group: str, channel: str) -> Iterator[None]:
        """Add a channel to a group in the block; if that fails, remove it, unless it is a member already."""
        place = group, channel
        calls = self._under_way.get(place)
        if calls is None:
            calls = self._under_way[place] = _Calls(is_member=self._lists(group, channel))
        calls.count += 1
        try:
            yield
        except BaseException:  # also when cancelled
            if (self._end(place, calls) and not calls.is_member) or not self._lists(group, channel):
                self._leave(group, channel)
            raise
        calls.is_member = True
        self._end(place, calls)

    def _end(self, place: tuple[str, str], calls: _Calls) -> bool:
        """End a call; return True if it was the last one, and the channel has not left meanwhile."""
        calls.count -= 1
        if calls.count or self._under_way.get(place) is not calls:
            return False
        del self._under_way[place]
        return True

    def left(self, group: str, channel: str) -> None:
        """Note that a channel has left; calls from now on are counted separately."""
        self._under_way.pop((group, channel), None)

    def is_new(self, group: str, channel: str) -> bool:
        """Return True while calls add a channel that was not a member, and none of them has succeeded."""
        calls = self._under_way.get((group, channel))
        return calls is not None and not calls.is_member

    def firsts(self, groups: Mapping[str, Iterable[str]]) -> dict[str, str]:
        """Return the first channel of each of these groups, except those for which ``is_new`` is true."""
        firsts: dict[str, str] = {}
        for group, channels in groups.items():
            for channel in channels:
                if not self.is_new(group, channel):
                    firsts[group] = channel
                    break
        return firsts
