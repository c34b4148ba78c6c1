"""Cache backends: memory, and none at all."""

from __future__ import annotations

__all__: list[str] = []
