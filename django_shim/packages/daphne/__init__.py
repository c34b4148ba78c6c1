"""``daphne`` if the real one is not installed: its settings, commands and test tools, with uvicorn."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "4.2.3"
