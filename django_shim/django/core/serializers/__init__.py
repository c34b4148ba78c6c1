"""Only ``django.core.serializers.json`` is here: serialising querysets takes the real Django."""

from __future__ import annotations

__all__: list[str] = []
