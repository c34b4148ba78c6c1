"""The public methods of a Redis layer for histories, and their metrics."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from compat.layers.base import BaseChannelLayer
from compat.layers.history import History, Rules
from compat.layers.redis.keys import Keys
from compat.layers.redis.outside import SendBy
from compat.layers.redis.recordings import Recordings
from compat.redis.loops import background, require_no_loop

__all__ = ["KeepsHistories"]

log = logging.getLogger("compat.layers")

T = TypeVar("T")


class KeepsHistories(BaseChannelLayer):
    """Base of ``RedisLayer``."""

    keys: Keys
    rules: Rules
    recordings: Recordings
    on_reset: Mapping[str, Any] | None
    """What the members of a group are told if they have missed messages for ever."""

    def serialize(self, message: Any) -> bytes:
        """Return ``message`` as bytes, in the format of the wire."""
        raise NotImplementedError

    def encoded(self, message: Any) -> bytes:
        """Return what ``serialize`` does; a subclass's own may return a text, which redis-py takes."""
        data: bytes | str = self.serialize(message)
        return data.encode() if isinstance(data, str) else data

    def deserialize_kept(self, message: bytes) -> Any:
        """Return the message that ``serialize`` has turned into bytes, however long ago."""
        raise NotImplementedError

    def count_undecodable(self, source: str, error: Exception) -> None:
        """Count and log a message from ``source`` that could not be decoded."""
        raise NotImplementedError

    def _by_whom(self, by: SendBy[T], *arguments: Any) -> Coroutine[Any, Any, T]:
        raise NotImplementedError

    # For users

    async def history(self, group: str, count: int | None = None, *, since: str | None = None) -> History:
        """See the base class; in a mixed fleet it has what this library's processes have sent."""
        return await self._by_whom(self.recordings.history_by, group, count, since)

    async def position(self, group: str) -> str:
        """See the base class."""
        self.require_group(group)
        return await self._by_whom(self.recordings.position_by, group)

    async def forget(self, group: str, id: str | None = None) -> int:
        """See the base class; for a second, processes may still give it to those who join."""
        return await self._by_whom(self.recordings.forget_by, group, id)

    def history_sync(self, group: str, count: int | None = None, *, since: str | None = None) -> History:
        """Call ``history`` from code without an event loop, and block."""
        require_no_loop("layer.history(…)")
        return background.call(self.history(group, count, since=since))

    def forget_sync(self, group: str, id: str | None = None) -> int:
        """Call ``forget`` from code without an event loop, and block."""
        require_no_loop("layer.forget(…)")
        return background.call(self.forget(group, id))

    def ticket_sync(self, groups: Iterable[str] | Mapping[str, str | None], user: Any = None) -> str:
        """Call ``ticket`` from code without an event loop, and block."""
        require_no_loop("layer.ticket(…)")
        return background.call(self.ticket(groups, user))

    # What is counted

    def count_reset(self, group: str | None, reason: str, lost: int | None) -> None:
        """Count and log messages of a group, or direct ones (None), that are missing for ever."""
        self.metrics.drop(
            "reset",
            lost or 1,
            log,
            "%s: %s have missed %s: %s",
            self.name(),
            "channels of this process" if group is None else f"members of group {group}",
            "messages" if lost is None else f"{lost} messages",
            reason,
            cause=group,
        )

    def count_stranger(self, group: str) -> None:
        """Log, once in a while, that a group gets messages which its history does not have."""
        if self.metrics.throttle.due("stranger"):
            log.warning(
                "%s: group %s got a message from a process that keeps no history, such as one with the real "
                "channels_redis, or without this layer's CONFIG['history']. Its history does not have it, "
                "and who comes back is not told that nothing is missing",
                self.name(),
                group,
            )
