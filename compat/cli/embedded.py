"""The development server's stand-ins: layers in memory where the configured Redis does not answer.

Only the development server does this, and it says so. Any other process raises LayerUnavailable when it uses
a layer whose server is away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from compat.layers import (
    EMBEDDED_VARIABLE,
    InMemoryChannelLayer,
    channel_layers,
    get_channel_layer,
    register_channel_layer,
)

__all__ = ["LayerState", "embed_unreachable", "layer_states", "servers_of", "unreachable"]

PING_TIMEOUT_S = 2.0
REDIS_PORT = 6379


@dataclass(frozen=True)
class LayerState:
    """A layer as people see it in the server's first lines."""

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
    """Put a layer in memory in place of each whose Redis does not answer.

    Calls ``say(line)`` for each: what cannot be reached, what that means, how to start it. Returns alias to
    server for those that were replaced now. Raises InvalidChannelLayerError for a layer that is configured
    wrongly: a development server is where one wants to know.
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
        # By the variable, so that whatever this process starts (a worker, a shell) has the same view.
        aliases = [*filter(None, os.environ.get(EMBEDDED_VARIABLE, "").split(",")), alias]
        os.environ[EMBEDDED_VARIABLE] = ",".join(aliases)
        channel_layers.set(alias, None)
    else:
        register_channel_layer(alias, InMemoryChannelLayer())


def layer_states(replaced: Mapping[str, str] | None = None) -> list[LayerState]:
    """Every layer there is; ``replaced`` is what ``embed_unreachable`` returned."""
    states = []
    for alias in channel_layers.aliases():
        layer = get_channel_layer(alias)
        away = (replaced or {}).get(alias, "")
        servers = ", ".join(shown(host) for host in servers_of(layer))
        states.append(
            LayerState(
                alias,
                type(layer).__name__,
                server=away or servers,
                in_memory=isinstance(layer, InMemoryChannelLayer),
                stands_in=bool(away),
            )
        )
    return states


def servers_of(layer: Any) -> list[dict[str, Any]]:
    """The Redis servers behind a layer, as channels_redis describes them; none for one that has no server."""
    hosts = getattr(layer, "hosts", None)
    return [host for host in hosts if isinstance(host, dict)] if isinstance(hosts, list) else []


def unreachable(layer: Any) -> tuple[str, str] | None:
    """``(server, cause)`` for the first server of ``layer`` that does not answer a PING; None if all do."""
    for host in servers_of(layer):
        cause = _cause_of_silence(host)
        if cause is not None:
            return shown(host), cause
    return None


def _cause_of_silence(host: Mapping[str, Any]) -> str | None:
    import redis

    options = {name: value for name, value in host.items() if name != "address"}
    if "sentinels" in options or "connection_class" in options or "connection_pool" in options:
        return None  # more than one server, or a way of its own to reach it: for the layer to find out
    options |= {"socket_connect_timeout": PING_TIMEOUT_S, "socket_timeout": PING_TIMEOUT_S}
    address = host.get("address")
    client = redis.Redis.from_url(address, **options) if address else redis.Redis(**options)
    try:
        client.ping()
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        return str(error)
    except redis.RedisError:
        return None  # somebody answers, if only to say no: not a server that is away
    finally:
        client.close()
    return None


def shown(host: Mapping[str, Any]) -> str:
    """A server as people name it, without user and password: "127.0.0.1:6379"."""
    address = host.get("address")
    if not address:
        return f"{host.get('host', 'localhost')}:{host.get('port', REDIS_PORT)}"
    parts = urlsplit(str(address))
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname or 'localhost'}:{parts.port or REDIS_PORT}"


def _explanation(alias: str, server: str, cause: str) -> str:
    name, _, port = server.rpartition(":")
    how = "start it"
    if name in ("localhost", "127.0.0.1", "::1"):
        how = f"`redis-server --port {port}` or `docker run -p {port}:6379 redis:7`"
    return (
        f'Redis at {server} cannot be reached, so layer "{alias}" is in memory: other processes do not '
        f"share it. To use Redis: {how}, then start this server again. ({cause})"
    )
