"""The middleware of a fresh project; what is not here is left out of the chain."""

from __future__ import annotations

__all__: list[str] = []
