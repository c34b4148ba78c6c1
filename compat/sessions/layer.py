"""Sessions in the store of a channel layer: its Redis, or memory for a layer in memory.

``SESSION_ENGINE = "compat.session_layer"`` selects it; ``SESSION_CHANNEL_LAYER`` is the alias of the layer
("default"). All processes that share the layer share the sessions, a websocket can save one, and a logout
ends it everywhere. ``await layer.flush()``, which is for tests, may delete them.
"""

from __future__ import annotations

from compat.exceptions import ImproperlyConfigured
from compat.layers import get_channel_layer, known_layers
from compat.layers.values import KeyValues
from compat.sessions.store import KeyValueSession
from compat.settings import settings

__all__ = ["LayerSession", "SessionStore"]


class LayerSession(KeyValueSession):
    """A session in the ``key_values`` of a channel layer. Raises ImproperlyConfigured if the layer has
    none.
    """

    def store(self) -> KeyValues:
        alias = settings.SESSION_CHANNEL_LAYER
        layer = get_channel_layer(alias)
        values: KeyValues | None = getattr(layer, "key_values", None)
        if values is None:
            found = f"{type(layer).__name__} stores no values" if layer else f"configured: {known_layers()}"
            raise ImproperlyConfigured(
                f"SESSION_ENGINE = 'compat.session_layer' needs a channel layer {alias!r} that stores "
                f"values, as those of compat do; {found}. Name one in SESSION_CHANNEL_LAYER, or write your "
                "own store() (compat.sessions.store)"
            )
        return values


SessionStore = LayerSession
"""The class that ``SESSION_ENGINE = "compat.session_layer"`` selects."""
