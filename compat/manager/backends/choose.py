"""Choose the backend of a manager, and its channel layer.

A manager and the consumers of an app share their groups if they use one layer. So the manager uses the layer
"default" if it is configured and of the kind that BACKEND_TYPE names. Otherwise the manager makes a layer,
and registers it as "default" if there is none.
"""

from __future__ import annotations

import logging
from typing import Any

from compat.layers import (
    DEFAULT_CHANNEL_LAYER,
    channel_layers,
    get_channel_layer,
    has_layers,
    known_layers,
    register_channel_layer,
)
from compat.layers.memory import InMemoryChannelLayer
from compat.manager.backends.base import BaseBackend
from compat.manager.backends.memory import MemoryBackend
from compat.manager.backends.redis import RedisBackend
from compat.manager.config import WSConfig

__all__ = ["backend_for"]

log = logging.getLogger("compat.manager")


def backend_for(config: WSConfig, layer: Any = None) -> BaseBackend:
    """Return the backend for ``config``; ``layer`` is the layer to use, or its alias.

    Raises LookupError for an alias that is not configured.
    """
    if isinstance(layer, str):
        layer = _configured(layer)
    elif layer is None:
        layer = _fitting_default(config)
    kind = (
        config.BACKEND_TYPE if layer is None or _is_explicit(config) else _kind(layer) or config.BACKEND_TYPE
    )
    backend = (
        _redis(config, layer)
        if kind == "redis"
        else MemoryBackend(layer, server_id=config.SERVER_INSTANCE_ID)
    )
    if layer is None and DEFAULT_CHANNEL_LAYER not in channel_layers:
        register_channel_layer(DEFAULT_CHANNEL_LAYER, backend.layer)
    return backend


def _redis(config: WSConfig, layer: Any) -> RedisBackend:
    hosts = getattr(layer, "hosts", None)
    # A configured layer names the Redis to use, unless REDIS_URL is set as well.
    where = hosts[0] if hosts and "REDIS_URL" not in config.model_fields_set else config.REDIS_URL
    return RedisBackend(
        where,
        config.REDIS_REGISTRY_EXPIRY,
        config.REDIS_GROUP_EXPIRY,
        channel_prefix=config.REDIS_CHANNEL_PREFIX,
        layer=layer,
        lease=config.WS_HEARTBEAT_TIMEOUT,
        server_id=config.SERVER_INSTANCE_ID,
        reconnect_delay=config.WS_RECONNECT_DELAY,
    )


def _configured(alias: str) -> Any:
    layer = get_channel_layer(alias)
    if layer is None:
        raise LookupError(
            f"ConnectionManager(layer={alias!r}): no such channel layer; configured: {known_layers()}. Add "
            "it to CHANNEL_LAYERS, or pass the layer itself"
        )
    return layer


def _fitting_default(config: WSConfig) -> Any:
    layer = get_channel_layer(DEFAULT_CHANNEL_LAYER) if has_layers() else None
    if layer is None or not _is_explicit(config) or _kind(layer) in (None, config.BACKEND_TYPE):
        return layer
    log.warning(
        "BACKEND_TYPE=%s, and the channel layer 'default' is %s: the manager uses a layer of its own, so it "
        "and the consumers on 'default' do not see each other's groups",
        config.BACKEND_TYPE,
        type(layer).__name__,
    )
    return None


def _is_explicit(config: WSConfig) -> bool:
    return "BACKEND_TYPE" in config.model_fields_set


def _kind(layer: Any) -> str | None:
    """Return the BACKEND_TYPE for a layer of this library; None for any other layer."""
    if isinstance(layer, InMemoryChannelLayer):
        return "memory"
    return "redis" if hasattr(layer, "redis_hosts") else None
