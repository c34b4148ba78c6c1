"""Clients of resumable connections: a connection that drops has missed nothing when it is back.

``compat.client.Client`` is the one for Python (the extra ``client``); ``files``, ``hashed`` and ``integrity``
are for the page's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat.client.page import files, hashed, integrity

if TYPE_CHECKING:
    from compat.client.frames import Closed, QueueFull
    from compat.client.people import Presence
    from compat.client.python import Client

__all__ = ["Client", "Closed", "Presence", "QueueFull", "files", "hashed", "integrity"]

_MODULES = {
    "Client": "compat.client.python",
    "Closed": "compat.client.frames",
    "Presence": "compat.client.people",
    "QueueFull": "compat.client.frames",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: this package is loaded where websockets is not installed, too."""
    import importlib

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
