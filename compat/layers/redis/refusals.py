"""The plain channels whose messages Redis will always refuse to give: their readers go on without them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from compat.clock import steady
from compat.metrics import Throttle
from compat.redis.reasons import LASTING
from compat.redis.unavailable import RedisUnavailable

__all__ = ["Refusals"]

log = logging.getLogger("compat.layers")


class Refusals:
    """The refused channels of one reader; each is tried again after ``again_s`` seconds."""

    def __init__(self, again_s: float) -> None:
        self._again_s = again_s
        self._until: dict[str, float] = {}
        """When each is tried again, by ``steady()``."""
        self._throttle = Throttle()

    def _note(self, channel: str, where: str, error: BaseException) -> bool:
        """Leave a channel out for a while, and log it; return False for an error that may soon be over."""
        if not isinstance(error, RedisUnavailable) or error.reason not in LASTING:
            return False
        self._until[channel] = steady() + self._again_s
        if self._throttle.due(channel):
            log.error("nobody gets the messages of channel %s at %s: %s", channel, where, error.reason)
        return True

    def leave_out(self, errors: Mapping[str, BaseException], where: str, *, ever: bool) -> None:
        """Leave the channels out that had these errors; raise the first that may soon be over.

        ``ever``: the host has given a channel's messages before; if not, no error is a channel's own.
        """
        for channel, error in errors.items():
            if not ever or not self._note(channel, where, error):
                raise error

    def without(self, channels: Iterable[str]) -> list[str]:
        """Return the ``channels`` without those that are left out now."""
        now = steady()
        self._until = {channel: until for channel, until in self._until.items() if until > now}
        return [channel for channel in channels if channel not in self._until]

    def wait_s(self) -> float:
        """Return in how many seconds at most one of them is tried again."""
        return max(0.0, min(self._until.values(), default=0.0) - steady())
