"""Only ``static`` is here; the other libraries are part of the language or take the real Django."""

from __future__ import annotations

from ..unserved import attribute_of

__all__: list[str] = []

__getattr__ = attribute_of(__name__)
