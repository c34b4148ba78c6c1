"""The configured layers: ``CHANNEL_LAYERS``, aliases, and ``get_channel_layer()``.

Names and behaviour are those of ``channels.layers`` (Channels 4.3). In addition, ``register_channel_layer``
adds layers by hand, and the development server replaces layers whose Redis it cannot reach with in-memory
layers (the environment variable ``COMPAT_EMBEDDED_LAYERS``).
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from compat.exceptions import ChannelFull, InvalidChannelLayerError
from compat.layers.base import BaseChannelLayer, PushLayer, SendResult
from compat.layers.entries import BACKENDS, backend_path, import_backend, no_test_config
from compat.layers.memory import InMemoryChannelLayer
from compat.layers.options import IN_MEMORY
from compat.layers.upstream import load_upstream
from compat.metrics import report_layers
from compat.redis.masking import safe_repr
from compat.settings import on_change, settings

if TYPE_CHECKING:
    from compat.layers.redis.core import RedisChannelLayer as RedisChannelLayer
    from compat.layers.redis.pubsub import RedisPubSubChannelLayer as RedisPubSubChannelLayer
    from compat.layers.redis.streams import RedisStreamsChannelLayer as RedisStreamsChannelLayer

__all__ = [
    "BACKENDS",
    "DEFAULT_CHANNEL_LAYER",
    "BaseChannelLayer",
    "ChannelFull",
    "ChannelLayerManager",
    "InMemoryChannelLayer",
    "InvalidChannelLayerError",
    "PushLayer",
    "SendResult",
    "channel_layers",
    "get_channel_layer",
    "has_layers",
    "known_layers",
    "missing_layer",
    "register_channel_layer",
    "required_layer",
    "stand_in",
    "unregister_channel_layer",
]

log = logging.getLogger("compat.layers")

DEFAULT_CHANNEL_LAYER = "default"
"""The alias that is used if no alias is given."""

EMBEDDED_VARIABLE = "COMPAT_EMBEDDED_LAYERS"


class ChannelLayerManager:
    """The layers of this process by alias; each is made at its first use and then kept.

    Threads whose first use is at the same time get one layer; another that one of them has made is dropped.
    ``backends`` is the cache. A change of ``CHANNEL_LAYERS`` removes the configured layers from it, and keeps
    those that were registered by hand.
    """

    def __init__(self) -> None:
        self.backends: dict[str, Any] = {}
        self._registered: set[str] = set()
        on_change(self._setting_changed)

    @property
    def configs(self) -> dict[str, dict[str, Any]]:
        """``CHANNEL_LAYERS``, or an empty dict; raises InvalidChannelLayerError if it is not a dict."""
        configured = settings.get("CHANNEL_LAYERS") or {}
        if not isinstance(configured, Mapping):
            raise InvalidChannelLayerError(
                f"CHANNEL_LAYERS must be a dict of alias to layer, as in "
                f'{{"default": {{"BACKEND": "compat.layers.InMemoryChannelLayer"}}}}; '
                f"found {safe_repr(configured)}"
            )
        return dict(configured)

    def make_backend(self, name: str) -> Any:
        """Return a new layer for ``name`` from its BACKEND and CONFIG; raise InvalidChannelLayerError."""
        return self._make(name, self.configs[name], "CONFIG")

    def make_test_backend(self, name: str) -> Any:
        """Return a new layer for ``name`` from its BACKEND and TEST_CONFIG; errors as above."""
        entry = self.configs[name]
        if "TEST_CONFIG" not in entry:
            raise InvalidChannelLayerError(no_test_config(name))
        return self._make(name, entry, "TEST_CONFIG")

    def __getitem__(self, alias: str) -> Any:
        backends = self.backends  # a change of the setting makes another dict
        if alias in backends:
            return backends[alias]
        made = _named(alias, self.make_backend(alias))
        # No lock: who makes a layer imports its module, and a thread that imports may wait for a layer.
        layer = backends.setdefault(alias, made)
        if layer is made and isinstance(layer, BaseChannelLayer):
            layer.made_beside(backends)
        return layer

    def __contains__(self, alias: object) -> bool:
        return alias in self.backends or alias in self.configs

    def __len__(self) -> int:
        return len(self.aliases())

    def __iter__(self) -> Iterator[str]:
        return iter(self.aliases())

    def aliases(self) -> list[str]:
        """Return every alias that has a layer or a configuration, sorted."""
        return sorted({*self.backends, *self.configs})

    def list_aliases(self) -> list[str]:
        """Return ``aliases()``; this is the name in fast-channels."""
        return self.aliases()

    def get(self, alias: str) -> Any:
        """Return the layer under ``alias``, or None; see ``get_channel_layer``."""
        return self[alias] if alias in self else None

    def clear(self) -> None:
        """Remove every layer that was made or registered; configured layers are made again when needed."""
        self.backends.clear()
        self._registered.clear()

    def set(self, key: str, layer: Any) -> Any:
        """Put ``layer`` under the alias ``key`` (None removes it), and return the previous layer or None."""
        previous = self.backends.pop(key, None)
        self._registered.discard(key)
        if layer is not None:
            self.backends[key] = _named(key, layer)
        return previous

    def register(self, alias: str, layer: Any) -> None:
        """Put ``layer`` under ``alias``, and keep it even if ``CHANNEL_LAYERS`` changes."""
        self.backends[alias] = _named(alias, layer)
        self._registered.add(alias)

    def unregister(self, alias: str) -> None:
        """Remove the layer under ``alias``, if there is one."""
        self.backends.pop(alias, None)
        self._registered.discard(alias)

    @contextlib.contextmanager
    def replaced(self, alias: str, layer: Any) -> Iterator[None]:
        """Put ``layer`` under ``alias`` inside a ``with`` block, as by ``register()``; then as it was before.

        A layer that was made from ``CHANNEL_LAYERS`` comes back if that setting is still the same.
        """
        previous, registered = self.backends.get(alias), alias in self._registered
        configured = settings.get("CHANNEL_LAYERS")
        self.register(alias, layer)
        try:
            yield
        finally:
            self.unregister(alias)
            if registered:
                self.register(alias, previous)
            elif previous is not None and settings.get("CHANNEL_LAYERS") is configured:
                self.set(alias, previous)

    def _reset_backends(self, setting: str, **kwargs: Any) -> None:
        """Handle a changed setting; this is Channels' private name, which tests call."""
        self._setting_changed(setting)

    def _setting_changed(self, name: str) -> None:
        if name == "CHANNEL_LAYERS":
            self.backends = {
                alias: self.backends[alias] for alias in self._registered if alias in self.backends
            }

    def _make(self, alias: str, entry: Any, key: str) -> Any:
        path = backend_path(alias, entry)
        config = entry.get(key) or {}
        if not isinstance(config, Mapping):
            raise InvalidChannelLayerError(
                f"CHANNEL_LAYERS[{alias!r}][{key!r}] must be a dict, not {safe_repr(config)}"
            )
        if alias in _embedded_aliases():
            log.warning("layer %r: an in-memory layer of this process stands in for %s", alias, path)
            return stand_in(config)
        backend = load_upstream(path, alias) if entry.get("UPSTREAM") else import_backend(path, alias)
        return backend(**config)


def stand_in(config: Mapping[str, Any]) -> InMemoryChannelLayer:
    """Return a layer in memory with those options of another layer that it has too, such as ``history``."""
    return InMemoryChannelLayer(**{name: value for name, value in config.items() if name in IN_MEMORY})


def _named(alias: str, layer: Any) -> Any:
    if isinstance(layer, BaseChannelLayer):
        layer.registered(alias)
    return layer


def _embedded_aliases() -> list[str]:
    return [alias for alias in os.environ.get(EMBEDDED_VARIABLE, "").split(",") if alias]


def get_channel_layer(alias: str | None = DEFAULT_CHANNEL_LAYER) -> Any:
    """Return the layer under ``alias``, or None if no layer is configured or registered under it.

    Errors in the configuration or in the layer's constructor are raised.
    """
    if alias is None:
        return None
    manager = channel_layers
    layer = manager.backends.get(alias)
    if layer is not None:
        return layer
    return manager[alias] if alias in manager.configs else None


def register_channel_layer(alias: str, layer: Any) -> None:
    """Make ``get_channel_layer(alias)`` return ``layer``, whatever ``CHANNEL_LAYERS`` contains."""
    channel_layers.register(alias, layer)


def unregister_channel_layer(alias: str) -> None:
    """Undo ``register_channel_layer``."""
    channel_layers.unregister(alias)


def known_layers() -> str:
    """Return the aliases of all layers, for the text of an error."""
    return ", ".join(map(repr, channel_layers.aliases())) or "none"


def required_layer(alias: str, asked: str) -> BaseChannelLayer:
    """Return the layer that ``asked`` needs; raise InvalidChannelLayerError, which lists the others."""
    layer: BaseChannelLayer | None = get_channel_layer(alias)
    if layer is None:
        raise InvalidChannelLayerError(
            f"{asked}: there is no layer {alias!r}; configured: {known_layers()}. Add it to CHANNEL_LAYERS "
            f"or call register_channel_layer({alias!r}, layer)"
        )
    return layer


def missing_layer(consumer: Any) -> str:
    """Return the error text for a consumer whose ``channel_layer_alias`` is not configured, or None."""
    name, alias = type(consumer).__name__, consumer.channel_layer_alias
    if alias is None:
        return f"{name} has no channel layer: its channel_layer_alias is None. Set that to a layer's alias."
    configured = ", ".join(channel_layers) or "none"
    return (
        f"{name} uses channel layer {alias!r}, which is not configured. Configured: {configured}. Add it to "
        "CHANNEL_LAYERS, or set channel_layer_alias on the class."
    )


def has_layers() -> bool:
    """Return True if any layer is registered or configured."""
    return len(channel_layers) > 0


channel_layers = ChannelLayerManager()
report_layers(lambda: channel_layers.backends)


def __getattr__(name: str) -> Any:
    # Import the Redis clients only when they are used.
    if name == "RedisChannelLayer":
        from compat.layers.redis.core import RedisChannelLayer

        return RedisChannelLayer
    if name == "RedisPubSubChannelLayer":
        from compat.layers.redis.pubsub import RedisPubSubChannelLayer

        return RedisPubSubChannelLayer
    if name == "RedisStreamsChannelLayer":
        from compat.layers.redis.streams import RedisStreamsChannelLayer

        return RedisStreamsChannelLayer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
