"""``Doubts``: memberships that the backend may have although they have ended, because a call failed."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Doubts"]

MOST = 10_000
"""How many are remembered; the others last until their connections end."""


class Doubts:
    """Pairs of a connection's id and a group, each until it has been settled."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, object]] = {}
        """By connection, the groups, each with an object that tells this doubt from a later one."""
        self._count = 0

    def add(self, connection_id: str, group: str) -> None:
        """Remember a membership."""
        self.drop(connection_id, group)
        if self._count < MOST:
            self._of.setdefault(connection_id, {})[group] = object()
            self._count += 1

    def drop(self, connection_id: str, group: str) -> bool:
        """Forget a membership; return False if it was not in doubt."""
        groups = self._of.get(connection_id, {})
        if group not in groups:
            return False
        del groups[group]
        self._count -= 1
        if not groups:
            del self._of[connection_id]
        return True

    def drop_all(self, connection_id: str) -> None:
        """Forget those of a connection."""
        self._count -= len(self._of.pop(connection_id, ()))

    def settle(self) -> Iterator[tuple[str, str]]:
        """Yield each membership; it is forgotten when the next is asked for, unless it is in doubt again."""
        for name, groups in tuple(self._of.items()):
            for group, doubt in tuple(groups.items()):
                if self._of.get(name, {}).get(group) is doubt:
                    yield name, group
                    if self._of.get(name, {}).get(group) is doubt:
                        self.drop(name, group)
