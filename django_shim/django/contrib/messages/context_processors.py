"""``messages`` in templates."""

from __future__ import annotations

from typing import Any

from .api import get_messages
from .constants import DEFAULT_LEVELS

__all__ = ["messages"]


def messages(request: Any) -> dict[str, Any]:
    """Return the request's messages, and their levels by name."""
    return {"messages": get_messages(request), "DEFAULT_MESSAGE_LEVELS": DEFAULT_LEVELS}
