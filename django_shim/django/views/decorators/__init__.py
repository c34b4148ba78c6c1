"""Decorators for views."""

from __future__ import annotations

__all__: list[str] = []
