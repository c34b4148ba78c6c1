"""Who may connect: checks that stand between the server and the consumers."""

from __future__ import annotations

__all__: list[str] = []
