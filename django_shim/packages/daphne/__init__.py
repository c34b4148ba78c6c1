"""``daphne`` where the real one is missing: its names for settings, commands and tests, over uvicorn."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "4.2.3"
