"""Only ``static`` is here; the other libraries are part of the language or take the real Django."""

from __future__ import annotations

__all__: list[str] = []
