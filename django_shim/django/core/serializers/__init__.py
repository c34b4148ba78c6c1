"""Only ``django.core.serializers.json`` is here: serialising querysets takes the real Django."""

from __future__ import annotations

from ...unserved import attribute_of

__all__: list[str] = []

__getattr__ = attribute_of(__name__)
