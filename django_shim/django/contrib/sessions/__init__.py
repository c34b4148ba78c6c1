"""``request.session``, from the same store as ``scope["session"]`` (``compat.sessions``)."""

from __future__ import annotations

__all__: list[str] = []
