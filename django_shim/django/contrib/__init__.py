"""Django's own apps, as far as they go without a database."""

from __future__ import annotations

__all__: list[str] = []
