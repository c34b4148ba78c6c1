"""Checks of connections before they reach the consumers."""

from __future__ import annotations

__all__: list[str] = []
