"""Stores of sessions: ``base``, to derive from. Django's own stores are answered by one in memory."""

from __future__ import annotations

from ....unserved import attribute_of

__all__: list[str] = []

__getattr__ = attribute_of(__name__)
