"""Sliding windows: in this process, or in Redis for all servers together.

Both are exact: an entry is admitted if fewer than ``limit`` were admitted during the last ``window_s``
seconds, and fewer than ``burst`` during the last second. Refused entries do not count.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import time
import uuid
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from redis.asyncio import BlockingConnectionPool, RedisCluster
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import RedisError

from compat.metrics import Throttle
from compat.redis.loops import PerLoop

__all__ = ["LocalWindows", "RedisWindows", "Verdict", "Windows"]

log = logging.getLogger("compat.manager")

BURST_S = 1.0
PATIENCE_S = 2.0
"""Seconds that a message waits for Redis; redis-py alone would retry for many seconds."""
AWAY_S = 5.0
"""Seconds without a new attempt after Redis could not be reached."""
FORGET_ABOVE = 10_000
"""The number of keys above which those with an empty window are removed."""


class Verdict(NamedTuple):
    """Whether an entry is admitted."""

    allowed: bool
    remaining: int
    """How many more entries would be admitted now."""
    retry_after_s: float
    """Seconds until the next entry is admitted; 0 if this one was."""


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
        """Enter at the time ``now``, in seconds of a monotonic clock."""
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
        """Remove windows that have become empty, least recently entered first."""
        while len(self._entries) >= FORGET_ABOVE:
            key, entries = next(iter(self._entries.items()))
            if entries and entries[-1] > now - self.window_s:
                return
            del self._entries[key]


class ScriptOnLoop:
    """The script that enters a window, with the Redis client of one event loop."""

    text = (Path(__file__).parent / "sliding_window.lua").read_text(encoding="utf-8")

    def __init__(self, redis: Any) -> None:
        self.script = redis.register_script(self.text)
        self._redis = redis

    async def aclose(self) -> None:
        """Close the connections that were opened on the loop."""
        if isinstance(self._redis, RedisCluster):
            await self._redis.aclose()
        else:
            await self._redis.connection_pool.disconnect()


class RedisWindows:
    """Windows that all servers share, by the clock of Redis.

    ``redis`` is a ``redis.asyncio`` client, with or without decoding. While Redis cannot be reached, each
    server uses windows of its own, logs this once a minute, and tries Redis again every few seconds. The
    client serves the first event loop that uses it; any other loop (in tests) gets a client with the same
    options. A ``RedisCluster`` serves one event loop at a time.
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
        if not self._given_away or isinstance(self._redis, RedisCluster):
            self._given_away = True
            return ScriptOnLoop(self._redis)
        return ScriptOnLoop(type(self._redis)(connection_pool=_twin(self._redis.connection_pool)))


def _twin(pool: Any) -> Any:
    """Return a pool of redis-py with the options of another one, and no connection of its event loop."""
    options = {**pool.connection_kwargs, "connection_class": pool.connection_class}
    options["max_connections"] = pool.max_connections
    if isinstance(pool, BlockingConnectionPool):
        options["timeout"] = pool.timeout
    if not isinstance(pool, SentinelConnectionPool):
        return type(pool)(**options)
    del options["connection_pool"]  # the pool itself
    asked = pool.sentinel_manager
    sentinels = copy.copy(asked)
    sentinels.sentinels = [type(one)(connection_pool=_twin(one.connection_pool)) for one in asked.sentinels]
    options.update(is_master=pool.is_master, check_connection=pool.check_connection)
    return type(pool)(pool.service_name, sentinels, **options)
