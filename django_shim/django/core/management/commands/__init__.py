"""The commands that the subset has."""

from __future__ import annotations

__all__: list[str] = []
