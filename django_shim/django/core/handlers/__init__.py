"""From a request to a response: middleware, view, errors."""

from __future__ import annotations

__all__: list[str] = []
