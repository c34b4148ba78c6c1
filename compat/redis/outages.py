"""Record outages of the hosts on one event loop: log each one once, and tell the consumers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from compat.clock import wall
from compat.metrics import Gap, LayerMetrics
from compat.redis.sentinels import SETTLED_S
from compat.redis.shards import Shards
from compat.redis.unavailable import RedisUnavailable
from compat.types import Message

__all__ = ["OutageLog", "event_of"]

log = logging.getLogger("compat.layers")


class Reporting(Protocol):
    """The attributes of a layer that an ``OutageLog`` uses."""

    metrics: LayerMetrics
    on_disconnect: Message | None
    on_reconnect: Message | None

    def name(self) -> str: ...


class OutageLog:
    """Records for each host whether it is lost; logs one line when an outage begins and one when it ends."""

    def __init__(self, layer: Reporting, shards: Shards, announce: Callable[[Message], None]) -> None:
        self.layer = layer
        self.shards = shards
        self.announce = announce
        self._gaps: dict[int, Gap] = {}
        self._causes: dict[int, set[str]] = {}
        self._affected: dict[int, set[object]] = {}
        self._logged: set[int] = set()
        self._settling: dict[int, asyncio.TimerHandle] = {}

    def lost(self, index: int, error: RedisUnavailable, who: object, since: float) -> None:
        """Record that ``who`` cannot use a host; log the first cause as a warning, further ones at INFO.

        ``since`` is the time, by the wall clock, at which the host answered last.
        """
        self._affected.setdefault(index, set()).add(who)
        if index in self._settling:
            self._settling.pop(index).cancel()
        causes = self._causes.setdefault(index, set())
        is_new = error.reason not in causes
        causes.add(error.reason)
        if is_new or index not in self._logged:  # soon after another one its line is late
            due = self.layer.metrics.outages.due((index, error.reason), int(is_new))
            if due and index in self._logged:
                log.info(
                    "%s: Redis at %s: %s", self.layer.name(), self.shards.hosts[index].where, error.reason
                )
            elif due:
                again = f" ({due} times since the last report)" if due > 1 else ""
                log.warning("%s. Trying again until it answers%s", error, again)
                self._logged.add(index)
        gap = self._gaps.get(index)
        if gap is not None:
            gap.extend(since)
        else:
            self._gaps[index] = self.layer.metrics.gap_begins(since)
            if self.layer.on_disconnect is not None:
                self.announce(self.layer.on_disconnect)

    def back(self, index: int, who: object) -> None:
        """Record that ``who`` can use a host again; the outage ends when all affected objects can.

        Where sentinels name the master it ends later: senders may not have found the new one yet.
        """
        affected = self._affected.get(index)
        if affected is None:
            return
        affected.discard(who)
        if affected or index in self._settling:
            return
        if "sentinels" in self.shards.hosts[index].options:
            loop = asyncio.get_running_loop()
            self._settling[index] = loop.call_later(SETTLED_S, self._end, index)
        else:
            self._end(index)

    def _end(self, index: int) -> None:
        self._settling.pop(index, None)
        del self._affected[index]
        self._causes.pop(index, None)
        lasted_s = self.layer.metrics.gap_ends(self._gaps.pop(index), wall())
        if index in self._logged:
            self._logged.discard(index)
            where = self.shards.hosts[index].where
            log.warning("%s: Redis at %s is back after %.1f s", self.layer.name(), where, lasted_s)
        if self.layer.on_reconnect is not None:
            self.announce(self.layer.on_reconnect)

    def closed(self) -> None:
        """End every outage without a log line or a message: those that could tell its end are closed."""
        for timer in self._settling.values():
            timer.cancel()
        self._settling.clear()
        for gap in self._gaps.values():
            gap.end(wall())
        self._gaps.clear()
        self._causes.clear()
        self._affected.clear()
        self._logged.clear()


def event_of(option: Any, name: str) -> Message | None:
    """Return the message for an option such as ``on_disconnect``: a type, a message, or None.

    ``name`` is the option's name. Raises ValueError for any other value.
    """
    if option is None:
        return None
    if isinstance(option, str) and option:
        return {"type": option}
    if isinstance(option, dict) and isinstance(option.get("type"), str):
        return dict(option)
    raise ValueError(f"{name} must be a message type such as 'redis.disconnect', or None; found {option!r}")
