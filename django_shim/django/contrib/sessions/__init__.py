"""``request.session``, from the same store as ``scope["session"]`` (``compat.sessions``)."""

from __future__ import annotations

from ...unserved import attribute_of

__all__: list[str] = []

__getattr__ = attribute_of(__name__)
