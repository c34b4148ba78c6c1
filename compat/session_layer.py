"""Sessions beside a channel layer: in its Redis, or in memory where the layer is in memory.

``SESSION_ENGINE = "compat.session_layer"`` chooses it; ``SESSION_CHANNEL_LAYER`` names the layer by its alias
("default"). All processes that share the layer share the sessions, a websocket can save one, and a logout
ends it everywhere. ``await layer.flush()``, which is for tests, may forget them.
"""

from __future__ import annotations

from compat.exceptions import ImproperlyConfigured
from compat.layers import channel_layers, get_channel_layer
from compat.layers.values import KeyValues
from compat.session_store import KeyValueSession
from compat.settings import settings

__all__ = ["LayerSession", "SessionStore"]


class LayerSession(KeyValueSession):
    """A session in the ``key_values`` of a channel layer; ImproperlyConfigured where there is none."""

    def store(self) -> KeyValues:
        alias = settings.SESSION_CHANNEL_LAYER
        layer = get_channel_layer(alias)
        values: KeyValues | None = getattr(layer, "key_values", None)
        if values is None:
            configured = ", ".join(map(repr, channel_layers.aliases())) or "none"
            found = f"{type(layer).__name__} keeps no values" if layer else f"configured: {configured}"
            raise ImproperlyConfigured(
                f"SESSION_ENGINE = 'compat.session_layer' needs a channel layer under {alias!r} that keeps "
                f"values, as compat's own do; {found}. Name one in SESSION_CHANNEL_LAYER, or write a "
                "store() of your own (compat.session_store)"
            )
        return values


SessionStore = LayerSession
"""What ``SESSION_ENGINE = "compat.session_layer"`` gives."""
