"""Layers in memory that replace layers whose Redis does not answer, in the development server only.

Any other process raises LayerUnavailable when it uses a layer whose server is away.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from compat.layers import (
    EMBEDDED_VARIABLE,
    InMemoryChannelLayer,
    channel_layers,
    get_channel_layer,
    register_channel_layer,
    stand_in,
)

if TYPE_CHECKING:
    from compat.redis.hosts import Host

__all__ = [
    "LayerState",
    "embed_unreachable",
    "layer_state",
    "layer_states",
    "masters_of",
    "run_apart",
    "servers_of",
    "unreachable",
]

CONNECT_TIMEOUT_S = 2.0

T = TypeVar("T")


@dataclass(frozen=True)
class LayerState:
    """The description of a layer, as the first lines of the server show it."""

    alias: str
    backend: str
    server: str = ""
    in_memory: bool = False
    stands_in: bool = False

    def __str__(self) -> str:
        where = " (this process only)" if self.in_memory else f" at {self.server}" if self.server else ""
        instead = f", while Redis at {self.server} is away" if self.stands_in else ""
        return f"{self.alias}: {self.backend}{where}{instead}"


def embed_unreachable(say: Callable[[str], None]) -> dict[str, str]:
    """Replace each layer whose Redis does not answer by a layer in memory.

    Calls ``say(line)`` with an explanation for each. Returns a dict of alias to server for the layers that
    this call replaced. Raises InvalidChannelLayerError for a layer that is configured wrongly.
    """
    replaced = {}
    for alias in channel_layers.aliases():
        layer = get_channel_layer(alias)
        away = unreachable(layer)
        if away is None:
            continue
        server, cause = away
        replaced[alias] = server
        say(_explanation(alias, server, cause))
        _embed(alias)
    return replaced


def _embed(alias: str) -> None:
    if alias in channel_layers.configs:
        # The variable is for the processes that this one starts (a worker, a shell).
        aliases = [*filter(None, os.environ.get(EMBEDDED_VARIABLE, "").split(",")), alias]
        os.environ[EMBEDDED_VARIABLE] = ",".join(aliases)
        channel_layers.set(alias, stand_in(channel_layers.configs[alias].get("CONFIG") or {}))
    else:
        register_channel_layer(alias, InMemoryChannelLayer())


def layer_states(replaced: Mapping[str, str]) -> list[LayerState]:
    """Return the state of every layer; ``replaced`` is the return value of ``embed_unreachable``."""
    return [
        layer_state(alias, get_channel_layer(alias), replaced.get(alias, ""))
        for alias in channel_layers.aliases()
    ]


def layer_state(alias: str, layer: Any, away: str = "") -> LayerState:
    """Return the state of a layer; ``away`` is the server that it replaces."""
    servers = ", ".join(host.server for host in servers_of(layer))
    upstream = type(layer).__module__.startswith("channels_redis")
    return LayerState(
        alias,
        f"{type(layer).__name__} of channels_redis" if upstream else type(layer).__name__,
        server=away or servers,
        in_memory=isinstance(layer, InMemoryChannelLayer),
        stands_in=bool(away),
    )


def servers_of(layer: Any) -> list[Host]:
    """Return the Redis servers of a layer of ours, of a cluster its first shard; [] for any other layer."""
    hosts: list[Host] = list(getattr(layer, "redis_hosts", ()))
    return [host for host in hosts if not host.is_shard] or hosts[:1]


async def masters_of(layer: Any) -> list[tuple[str, Host]]:
    """Return the servers of a layer of ours with their addresses; of a cluster a shard of each master."""
    from compat.redis.cluster import master_of

    hosts: list[Host] = list(getattr(layer, "redis_hosts", ()))
    if not hosts or not hosts[0].is_shard:
        return [(host.where, host) for host in hosts]
    try:
        shards = {await master_of(host): host for host in hosts}
    except Exception:  # noqa: BLE001 - a credential_provider may raise any error
        return [(hosts[0].server, hosts[0])]  # whoever uses it will hear why
    return list(shards.items())


def unreachable(layer: Any) -> tuple[str, str] | None:
    """Return ``(server, cause)`` for the first server of ``layer`` that cannot be reached, or None."""
    for host in servers_of(layer):
        cause = run_apart(_cause_of_silence(host))
        if cause is not None:
            return host.where, cause
    return None


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread, because the caller may be inside a running event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


async def _cause_of_silence(host: Host) -> str | None:
    from redis.exceptions import AuthenticationError, RedisError

    from compat.redis.hosts import close_pool
    from compat.redis.reasons import reason_of

    pool = host.pool()
    connection = host.connection(pool)
    try:
        await asyncio.wait_for(host.connect(connection), CONNECT_TIMEOUT_S)
    except AuthenticationError:
        return None  # the server answers; a wrong password is an error to report
    except asyncio.TimeoutError:
        return f"no answer within {CONNECT_TIMEOUT_S:g} s"
    except (RedisError, OSError) as error:
        return reason_of(error)
    except Exception:  # noqa: BLE001 - the project's credential_provider may raise any error
        return None  # an error to report, as a wrong password is
    finally:
        await connection.disconnect()
        await close_pool(pool)
    return None


def _explanation(alias: str, server: str, cause: str) -> str:
    name, _, port = server.rpartition(":")
    here = name in ("localhost", "127.0.0.1", "::1")
    how = f"`redis-server --port {port}` or `docker run -p {port}:6379 redis:7`" if here else "start it there"
    return (
        f'Redis at {server} cannot be reached, so layer "{alias}" is in memory: other processes do not '
        f"share it. To use Redis: {how}, then start this server again. ({cause})"
    )
