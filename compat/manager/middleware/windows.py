"""Sliding windows that count: in this process, or in Redis for all servers together.

Both are exact: an entry is let in if fewer than ``limit`` were let in during the ``window_s`` before it, and
fewer than ``burst`` during the last second. One that is refused does not count.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from redis.exceptions import RedisError

from compat.metrics import Throttle
from compat.redis.loops import PerLoop

__all__ = ["LocalWindows", "RedisWindows", "Verdict", "Windows"]

log = logging.getLogger("compat.manager")

BURST_S = 1.0
PATIENCE_S = 2.0
"""How long a message waits for Redis; redis-py by itself would try again for many seconds."""
AWAY_S = 5.0
"""How long Redis is not asked again after it could not be reached."""
FORGET_ABOVE = 10_000
"""Keys that are kept at most before those with an empty window are thrown out."""


class Verdict(NamedTuple):
    """Whether an entry is let in."""

    allowed: bool
    remaining: int
    """How many more would be let in now."""
    retry_after_s: float
    """When the next would be let in; 0 for one that was."""


class Windows(Protocol):
    """Windows by key."""

    async def enter(self, key: str) -> Verdict: ...


class LocalWindows:
    """The windows of this process."""

    def __init__(self, limit: int, window_s: float, burst: int) -> None:
        self.limit, self.window_s, self.burst = limit, window_s, burst
        self._entries: OrderedDict[str, deque[float]] = OrderedDict()

    async def enter(self, key: str) -> Verdict:
        return self.enter_now(key, time.monotonic())

    def enter_now(self, key: str, now: float) -> Verdict:
        """``enter`` at a given time, in seconds of a clock that does not go back."""
        entries = self._entries.get(key)
        if entries is None:
            self._forget(now)
            entries = self._entries[key] = deque()
        while entries and entries[0] <= now - self.window_s:
            entries.popleft()
        free_at = 0.0
        if len(entries) >= self.limit:
            free_at = entries[-self.limit] + self.window_s
        if len(entries) >= self.burst:
            free_at = max(free_at, entries[-self.burst] + min(BURST_S, self.window_s))
        if free_at > now:
            return Verdict(False, 0, free_at - now)
        entries.append(now)
        self._entries.move_to_end(key)
        return Verdict(True, self.limit - len(entries), 0.0)

    def _forget(self, now: float) -> None:
        """Throw out the windows, least recently entered first, that have had no message for long."""
        while len(self._entries) >= FORGET_ABOVE:
            key, entries = next(iter(self._entries.items()))
            if entries and entries[-1] > now - self.window_s:
                return
            del self._entries[key]


class ScriptOnLoop:
    """The script that enters a window, with a client of one event loop."""

    text = (Path(__file__).parent / "sliding_window.lua").read_text(encoding="utf-8")

    def __init__(self, redis: Any) -> None:
        self.script = redis.register_script(self.text)
        self._redis = redis

    async def aclose(self) -> None:
        """The loop ends, and with it every connection that was opened on it."""
        await self._redis.connection_pool.disconnect()


class RedisWindows:
    """Windows that all servers share, by the clock of Redis.

    ``redis``: a ``redis.asyncio`` client, of any decoding. While Redis cannot be reached, each server goes on
    with windows of its own, says so once a minute, and asks Redis again every few seconds. The client serves
    the event loop that uses it first; any other loop (a test's) gets one like it.
    """

    def __init__(self, redis: Any, limit: int, window_s: float, burst: int, key_prefix: str) -> None:
        self.limit, self.window_s, self.burst = limit, window_s, burst
        self.key_prefix = key_prefix
        self._redis = redis
        self._given_away = False
        self._scripts: PerLoop[ScriptOnLoop] = PerLoop(self._on_loop)
        self._local = LocalWindows(limit, window_s, burst)
        self._throttle = Throttle()
        self._away_until = 0.0

    async def enter(self, key: str) -> Verdict:
        if time.monotonic() < self._away_until:
            return await self._local.enter(key)
        arguments = (self.limit, round(self.window_s * 1e6), self.burst, uuid.uuid4().hex)
        script = self._scripts.get(asyncio.get_running_loop()).script
        asked = script(keys=[self.key_prefix + key], args=arguments)
        try:
            allowed, number = await asyncio.wait_for(asked, PATIENCE_S)
        except (RedisError, OSError, asyncio.TimeoutError) as error:
            self._away_until = time.monotonic() + AWAY_S
            if self._throttle.due("unreachable"):
                reason = str(error) or f"no answer in {PATIENCE_S:g} s"
                log.warning("rate limit: Redis cannot be reached, each server counts by itself: %s", reason)
            return await self._local.enter(key)
        if allowed:
            return Verdict(True, int(number), 0.0)
        return Verdict(False, 0, int(number) / 1e6)

    def _on_loop(self, loop: asyncio.AbstractEventLoop) -> ScriptOnLoop:
        if not self._given_away:
            self._given_away = True
            return ScriptOnLoop(self._redis)
        pool = self._redis.connection_pool
        twin = type(pool)(connection_class=pool.connection_class, **pool.connection_kwargs)
        return ScriptOnLoop(type(self._redis)(connection_pool=twin))
