"""What Django calls ``django.core``."""

from __future__ import annotations

__all__: list[str] = []
