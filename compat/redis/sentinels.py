"""The master behind sentinels: which one it is, and when it is another one.

The sentinels are redis-py's; but it asks them one after another, each several times, so one that is silent
costs seconds. Here all are asked at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from compat.redis.waiting import sleep

__all__ = ["SETTLED_S", "Sentinels", "follow_master", "sentinel_pool"]

ANSWER_WITHIN_S = 0.5
"""Seconds that a sentinel has for its answer, unless ``sentinel_kwargs`` says otherwise."""
FOLLOW_EVERY_S = 1.0
"""Seconds between two questions whether the master is still the same."""
SETTLED_S = FOLLOW_EVERY_S + ANSWER_WITHIN_S
"""Seconds after which other processes have left an old master too. What they write to it is lost."""

Address = tuple[str, int]


class Sentinels(Sentinel):
    """Asks all sentinels at once, and believes the one with the newest configuration."""

    async def discover_master(self, service_name: str) -> Address:
        """Return the address of the master, as soon as a majority has answered or the others cannot.

        Raises MasterNotFoundError, which names the cause for each sentinel.
        """
        asking = {asyncio.ensure_future(_master(client, service_name)): client for client in self.sentinels}
        enough, answers, left = len(asking) // 2 + 1, 0, set(asking)
        states: list[Mapping[str, Any]] = []
        reasons: list[str] = []
        try:
            while left and answers < enough:
                done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    state = task.result()
                    if isinstance(state, str):
                        reasons.append(f"{_address(asking[task])}: {state}")
                        continue
                    answers += 1
                    if state is not None and self.check_master_state(dict(state), service_name):
                        states.append(state)
        finally:
            for task in left:
                task.cancel()
        if not states:
            said = "; ".join(reasons) or "they know no such master, or believe that it is down"
            raise MasterNotFoundError(f"no sentinel names a master {service_name!r} ({said})")
        newest = max(states, key=lambda state: int(state.get("config-epoch", 0)))
        return str(newest["ip"]), int(newest["port"])


async def _master(client: Redis, name: str) -> Mapping[str, Any] | str | None:
    """Return what a sentinel knows about a master, None if nothing, or the reason why there is no answer."""
    try:
        states: Any = await client.sentinel_masters()
    except (RedisError, OSError) as error:
        return str(error).rstrip(".") or type(error).__name__
    state: Mapping[str, Any] | None = states.get(name)
    return state


def _address(client: Redis) -> str:
    kwargs = client.connection_pool.connection_kwargs
    return f"{kwargs['host']}:{kwargs['port']}"


def sentinel_pool(options: dict[str, Any]) -> ConnectionPool:
    """Return the pool for the entry of ``hosts`` with ``sentinels``, which is emptied of its keys."""
    once = Retry(NoBackoff(), 0)
    asked = {
        "socket_timeout": ANSWER_WITHIN_S,
        "socket_connect_timeout": ANSWER_WITHIN_S,
        "retry": once,
        **(options.pop("sentinel_kwargs", None) or {}),
    }
    sentinels = Sentinels(  # type: ignore[no-untyped-call]
        [(host, int(port)) for host, port in options.pop("sentinels")], sentinel_kwargs=asked
    )
    return SentinelConnectionPool(options.pop("master_name"), sentinels, **options)  # type: ignore[no-untyped-call]


async def follow_master(pool: ConnectionPool, moved: Callable[[], None]) -> None:
    """Call ``moved()`` each time that the sentinels name another master; return at once for other pools.

    A master that is silent, together with its machine, would be noticed only when a reply is overdue.
    """
    sentinels = getattr(pool, "sentinel_manager", None)
    if sentinels is None:
        return
    master: Address | None = None
    while True:
        try:
            found: Address = await sentinels.discover_master(pool.service_name)  # type: ignore[attr-defined]
        except (RedisError, OSError):
            found = master or ("", 0)
        if master is not None and found != master:
            moved()
        if found[1]:
            master = found
        await sleep(FOLLOW_EVERY_S)
