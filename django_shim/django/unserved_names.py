"""The table behind ``unserved``: for each module served here, the names that only the real Django has in it."""

from __future__ import annotations

__all__ = ["UNSERVED"]

UNSERVED: dict[str, frozenset[str]] = {}
