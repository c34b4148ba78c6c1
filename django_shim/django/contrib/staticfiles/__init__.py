"""The apps' static files, in development."""

from __future__ import annotations

__all__: list[str] = []
