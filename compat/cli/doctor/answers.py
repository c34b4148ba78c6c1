"""The answers of the Redis servers of a layer to the doctor's questions."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from compat.cli.embedded import CONNECT_TIMEOUT_S, masters_of, run_apart

if TYPE_CHECKING:
    from compat.redis.hosts import Host

__all__ = ["Answer", "ask", "text"]

ASKED = ("maxmemory", "maxmemory-policy", "timeout", "maxclients")


@dataclass(frozen=True)
class Answer:
    """The answers of one server: INFO, some of CONFIG and the time of a PING, or the reason of a
    ``failure``. What the user has no permission for is empty.
    """

    alias: str
    where: str
    failure: str = ""
    info: dict[str, Any] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    ping_s: float = 0.0
    in_cluster: bool = False
    """The layer knows that the server is a node of a cluster."""

    @property
    def version(self) -> str:
        """The version, such as "7.0.15"; "" if unknown."""
        return str(self.info.get("redis_version", ""))


def ask(alias: str, layer: Any) -> list[Answer]:
    """Ask the servers of a layer."""
    return run_apart(_ask_all(alias, layer))


async def _ask_all(alias: str, layer: Any) -> list[Answer]:
    return [await _ask(alias, where, host) for where, host in await masters_of(layer)]


async def _ask(alias: str, where: str, host: Host) -> Answer:
    from redis.asyncio import Redis
    from redis.exceptions import RedisError, ResponseError

    from compat.redis.hosts import close_pool
    from compat.redis.reasons import reason_of

    pool = host.pool()
    client = Redis(connection_pool=pool)
    try:
        try:
            info = dict(await asyncio.wait_for(client.info(), CONNECT_TIMEOUT_S))
        except ResponseError:  # not permitted, or renamed, as managed servers often have it
            info = {}
        begun = time.perf_counter()
        await asyncio.wait_for(client.ping(), CONNECT_TIMEOUT_S)
        ping_s = time.perf_counter() - begun
        config = await _config(client)
    except asyncio.TimeoutError:
        return Answer(alias, where, f"no answer within {CONNECT_TIMEOUT_S:g} s")
    except (RedisError, OSError) as failure:
        return Answer(alias, where, reason_of(failure))
    except Exception as failure:  # noqa: BLE001 - the project's credential_provider may raise any error
        return Answer(alias, where, f"{type(failure).__name__}: {failure}")
    finally:
        await close_pool(pool)
    return Answer(alias, where, info=info, config=config, ping_s=ping_s, in_cluster=host.is_shard)


async def _config(client: Any) -> dict[str, str]:
    """Return the options ``ASKED`` of the server; {} if it refuses CONFIG GET, as managed servers often
    do.
    """
    from redis.exceptions import RedisError

    found: dict[str, str] = {}
    for name in ASKED:
        try:
            found.update(await asyncio.wait_for(client.config_get(name), CONNECT_TIMEOUT_S))
        except (RedisError, asyncio.TimeoutError):
            break
    return {text(key): text(value) for key, value in found.items()}


def text(value: Any) -> str:
    """Return what Redis has sent as a str."""
    return value.decode() if isinstance(value, bytes) else str(value)
